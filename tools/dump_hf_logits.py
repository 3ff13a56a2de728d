#!/usr/bin/env python3
"""Writes the logits that Hugging Face transformers computes (PyTorch eager, fp32 unless told otherwise) for merope's prompts.

    merope verify MODEL --quick --dump-prompts prompts.json
    python tools/dump_hf_logits.py MODEL prompts.json logits.safetensors
    merope verify MODEL --quick --against logits.safetensors

With --dtype bfloat16 or float16, and --device, the file is what `merope verify MODEL --quick --target logits.safetensors` judges.

MODEL is a Hugging Face directory or a .gguf file. The prompts come as token ids, so that no second tokenizer has a say.
The file holds, for each prompt, "<id>.ids" (int32) and "<id>.logits" (float32, one row after each token). With --top-k, in place
of the logits, "<id>.top_ids" (int32) and "<id>.top_logprobs" (float32), the K most probable tokens after each token, and
"<id>.next_logprobs" (float32), the log-probabilities of the prompt's tokens from the second on.
Needs torch, transformers and safetensors; for a .gguf file gguf and accelerate too.
"""

import argparse
import json
import os
import sys

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import AutoModelForCausalLM


def load(path, dtype=torch.float32):
    """The model in dtype with eager attention, whatever the checkpoint stores."""
    if path.endswith(".gguf"):
        directory, name = os.path.split(os.path.abspath(path))
        loaded = AutoModelForCausalLM.from_pretrained(directory, gguf_file=name, dtype=torch.float32)
        # What GGUF loading returns keeps traces of it (packed weights, a quantization config): a fresh model of the same
        # state is an ordinary one.
        config = loaded.config
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        config._attn_implementation = "eager"
        model = AutoModelForCausalLM.from_config(config)
        model.load_state_dict(loaded.state_dict())
        model.tie_weights()
    else:
        model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype, attn_implementation="eager")
    model = model.to(dtype).eval()
    for name, parameter in model.named_parameters():
        if parameter.dtype != dtype:
            sys.exit(f"{path}: {name}: expected {dtype} after loading, found {parameter.dtype}")
    return model


def dump(model, prompts, top_k=0):
    """{tensor name: array} of all prompts: whole rows, or of the top_k most probable tokens."""
    tensors = {}
    with torch.inference_mode():
        for prompt in prompts:
            ids = torch.tensor([prompt["ids"]], device=model.device)
            logits = model(input_ids=ids, use_cache=False).logits[0].float().cpu()
            ids = ids[0].cpu()
            tensors[prompt["id"] + ".ids"] = ids.to(torch.int32).numpy()
            if top_k == 0:
                tensors[prompt["id"] + ".logits"] = np.ascontiguousarray(logits.numpy())
                continue
            logprobs = torch.log_softmax(logits.double(), dim=-1)
            top = torch.topk(logprobs, top_k, dim=-1)
            tensors[prompt["id"] + ".top_ids"] = top.indices.to(torch.int32).numpy()
            tensors[prompt["id"] + ".top_logprobs"] = top.values.float().numpy()
            following = torch.gather(logprobs[:-1], 1, ids[1:, None]).squeeze(1)
            tensors[prompt["id"] + ".next_logprobs"] = following.float().numpy()
    return tensors


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a Hugging Face directory or a .gguf file")
    parser.add_argument("prompts", help="JSON, as merope verify --dump-prompts writes it")
    parser.add_argument("output", help="the .safetensors file to write")
    parser.add_argument("--threads", type=int, default=0, help="default: PyTorch's own")
    parser.add_argument("--top-k", type=int, default=0, metavar="K", help="the K (at least 20) most probable tokens of each row, not the whole row")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32", help="what the model is run in (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="where: cpu, cuda, npu, … (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.top_k != 0 and arguments.top_k < 20:
        parser.error(f"--top-k: expected at least 20, found {arguments.top_k}")
    if arguments.threads > 0:
        torch.set_num_threads(arguments.threads)
    with open(arguments.prompts, encoding="utf-8") as file:
        prompts = json.load(file)["prompts"]
    model = load(arguments.model, getattr(torch, arguments.dtype)).to(arguments.device)
    tensors = dump(model, prompts, arguments.top_k)
    source = f"transformers, {arguments.model}, {arguments.dtype}, {arguments.device}"
    save_file(tensors, arguments.output, metadata={"format": "merope-logits", "source": source})
    positions = sum(len(prompt["ids"]) for prompt in prompts)
    print(f"{arguments.output}: logits of {len(prompts)} prompts, {positions} positions", file=sys.stderr)


if __name__ == "__main__":
    main()
