#!/usr/bin/env python3
"""Writes the logits that Hugging Face transformers computes (fp32, PyTorch eager) for merope's prompts.

    merope verify MODEL --quick --dump-prompts prompts.json
    python tools/dump_hf_logits.py MODEL prompts.json logits.safetensors
    merope verify MODEL --quick --against logits.safetensors

MODEL is a Hugging Face directory or a .gguf file. The prompts come as token ids, so that no second tokenizer has a say.
The file holds, for each prompt, "<id>.ids" (int32) and "<id>.logits" (float32, one row after each token).
Needs torch, transformers and safetensors; for a .gguf file gguf and accelerate too.
"""

import argparse
import json
import os
import sys

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import AutoModelForCausalLM, LlamaForCausalLM


def load(path):
    """The model in fp32 with eager attention, whatever the checkpoint stores."""
    if path.endswith(".gguf"):
        directory, name = os.path.split(os.path.abspath(path))
        loaded = AutoModelForCausalLM.from_pretrained(directory, gguf_file=name, dtype=torch.float32)
        # What GGUF loading returns keeps traces of it (packed weights, a quantization config): a fresh model of the same
        # state is an ordinary one.
        config = loaded.config
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        config._attn_implementation = "eager"
        model = LlamaForCausalLM(config)
        model.load_state_dict(loaded.state_dict())
        model.tie_weights()
    else:
        model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager")
    model = model.to(torch.float32).eval()
    for name, parameter in model.named_parameters():
        if parameter.dtype != torch.float32:
            sys.exit(f"{path}: {name}: expected float32 after loading, found {parameter.dtype}")
    return model


def dump(model, prompts):
    """{tensor name: array} of all prompts."""
    tensors = {}
    with torch.inference_mode():
        for prompt in prompts:
            ids = torch.tensor([prompt["ids"]])
            logits = model(input_ids=ids, use_cache=False).logits[0]
            tensors[prompt["id"] + ".ids"] = ids[0].to(torch.int32).numpy()
            tensors[prompt["id"] + ".logits"] = np.ascontiguousarray(logits.float().numpy())
    return tensors


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a Hugging Face directory or a .gguf file")
    parser.add_argument("prompts", help="JSON, as merope verify --dump-prompts writes it")
    parser.add_argument("output", help="the .safetensors file to write")
    parser.add_argument("--threads", type=int, default=0, help="default: PyTorch's own")
    arguments = parser.parse_args()
    if arguments.threads > 0:
        torch.set_num_threads(arguments.threads)
    with open(arguments.prompts, encoding="utf-8") as file:
        prompts = json.load(file)["prompts"]
    tensors = dump(load(arguments.model), prompts)
    save_file(tensors, arguments.output, metadata={"format": "merope-logits", "source": f"transformers, {arguments.model}"})
    positions = sum(len(prompt["ids"]) for prompt in prompts)
    print(f"{arguments.output}: logits of {len(prompts)} prompts, {positions} positions", file=sys.stderr)


if __name__ == "__main__":
    main()
