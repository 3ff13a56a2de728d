#!/usr/bin/env python3
"""Writes the intermediate results of a model that another program ran, for merope to judge.

    merope verify MODEL --quick --dump-prompts prompts.json
    python tools/dump_layers.py hf MODEL prompts.json layers.safetensors --dtype bfloat16
    merope verify MODEL --layers --target layers.safetensors --numerics bf16-ops

hf runs the model in Hugging Face transformers (PyTorch eager). msprobe reads a dump of msprobe (level L0, task "tensor"):
one step, one prompt, prefilled in one pass.

    python tools/dump_layers.py msprobe DUMP_PATH layers.safetensors [--prompts prompts.json]

The ids of the prompts are those that the embedding of the dump got; --prompts FILE is needed if the dump does not have them: its
first prompt is that of step0.

The file holds, for each prompt, "<id>.ids" (int32), and for each known module "<id>.<point>" (float32, one row for each token). The
names of the points are those of Hugging Face's modules without "model.". The input of o_proj is "self_attn.attended", and the
input of down_proj "mlp.act_fn". vLLM's fused modules (qkv_proj, gate_up_proj) are split.
Needs torch and safetensors; hf needs transformers too.
"""

import argparse
import json
import os
import re
import sys

import numpy as np
import torch
from safetensors.numpy import save_file

# Modules whose first output is a point of the same name.
OUTPUTS = re.compile(
    r"(embed_tokens|norm|lm_head"
    r"|layers\.\d+(\.(input_layernorm|post_attention_layernorm|self_attn\.[qkv]_proj|self_attn\.[qk]_norm|self_attn\.o_proj"
    r"|mlp\.(gate|up|down)_proj))?)"
)
# Modules whose first input is a point of another name.
INPUTS = {"self_attn.o_proj": "self_attn.attended", "mlp.down_proj": "mlp.act_fn"}


def rows(tensor):
    """(tokens, width) of a tensor (tokens, …) or (1, tokens, …)."""
    tensor = tensor.detach().float().cpu()
    if tensor.dim() > 2 and tensor.shape[0] == 1:
        tensor = tensor[0]
    return np.ascontiguousarray(tensor.reshape(tensor.shape[0], -1).numpy())


class Points:
    """Collects the points of one prompt from the inputs and outputs of its modules."""

    def __init__(self):
        self.values = {}

    def add(self, module, inputs, outputs):
        """inputs, outputs: lists of tensors."""
        name = module.removeprefix("model.")
        if OUTPUTS.fullmatch(name) and outputs:
            value = rows(outputs[0])
            # vLLM's layers give the residual stream in two parts.
            if re.fullmatch(r"layers\.\d+", name) and len(outputs) == 2 and outputs[1].shape == outputs[0].shape:
                value = value + rows(outputs[1])
            self.values[name] = value
        for suffix, point in INPUTS.items():
            if name.endswith("." + suffix) and inputs:
                self.values[name.removesuffix(suffix) + point] = rows(inputs[0])
        if name.endswith(".mlp.gate_up_proj") and outputs:
            base = name.removesuffix("gate_up_proj")
            self.values[base + "gate_proj"], self.values[base + "up_proj"] = np.split(rows(outputs[0]), 2, axis=1)
        if name.endswith(".self_attn.qkv_proj") and outputs:
            self.values[name] = rows(outputs[0])  # split when the width of q is known

    def finish(self):
        for name in [n for n in self.values if n.endswith(".qkv_proj")]:
            base, value = name.removesuffix("qkv_proj"), self.values.pop(name)
            if base + "attended" not in self.values:
                raise SystemExit(f"{name}: expected the input of {base}o_proj too, to know the width of q, found none")
            q = self.values[base + "attended"].shape[1]
            kv = (value.shape[1] - q) // 2
            self.values[base + "q_proj"], self.values[base + "k_proj"], self.values[base + "v_proj"] = np.split(value, [q, q + kv], axis=1)
        return self.values


def tensors_of(prompt_id, ids, points):
    values = points.finish()
    for name, value in values.items():
        if value.shape[0] != len(ids):
            raise SystemExit(f"{prompt_id}: {name}: expected a row for each of {len(ids)} tokens, found {value.shape[0]} rows")
    if not values:
        raise SystemExit(f"{prompt_id}: expected results of modules, found none")
    return {prompt_id + ".ids": np.array(ids, dtype=np.int32)} | {
        f"{prompt_id}.{name}": np.ascontiguousarray(value) for name, value in values.items()
    }


def from_hf(model, prompts):
    """{tensor name: array} of a model of transformers."""
    tensors = {}
    for prompt in prompts:
        points = Points()

        def hook(name):
            def see(_module, inputs, output):
                outputs = output if isinstance(output, tuple) else (output,)
                points.add(name, [x for x in inputs if torch.is_tensor(x)], [x for x in outputs if torch.is_tensor(x)])

            return see

        hooks = [module.register_forward_hook(hook(name)) for name, module in model.named_modules() if name]
        with torch.inference_mode():
            model(input_ids=torch.tensor([prompt["ids"]], device=model.device), use_cache=False)
        for handle in hooks:
            handle.remove()
        tensors |= tensors_of(prompt["id"], prompt["ids"], points)
    return tensors


def load_tensor(directory, entry):
    if not isinstance(entry, dict) or "data_name" not in entry:
        return None
    path = os.path.join(directory, os.path.basename(entry["data_name"]))
    if path.endswith(".npy"):
        return torch.from_numpy(np.load(path))
    return torch.load(path, map_location="cpu", weights_only=True)


def dump_files(path):
    """The dump.json of each step, in the order of the steps."""
    found = []
    for directory, _, files in os.walk(path):
        if "dump.json" in files:
            step = re.search(r"step(\d+)", os.path.relpath(directory, path) + os.sep)
            found.append((int(step.group(1)) if step else 0, os.path.join(directory, "dump.json")))
    if not found:
        raise SystemExit(f"{path}: expected step0/rank/dump.json, as msprobe writes it, found none")
    if len({step for step, _ in found}) != len(found):
        raise SystemExit(f"{path}: expected the dump of one rank, found several")
    return sorted(found)


def from_msprobe(path, prompts=None):
    """{tensor name: array} of a dump of msprobe."""
    tensors = {}
    for number, (step, file_name) in enumerate(dump_files(path)):
        with open(file_name, encoding="utf-8") as file:
            dump = json.load(file)
        if dump.get("task") != "tensor":
            raise SystemExit(f"{file_name}: task: expected \"tensor\", which keeps values, found {dump.get('task')!r}")
        directory = os.path.join(os.path.dirname(file_name), "dump_tensor_data")
        points, ids = Points(), None
        for key, module in dump["data"].items():
            parsed = re.fullmatch(r"Module\.(.+)\.[^.]+\.forward\.0", key)
            if not parsed:
                continue
            name = parsed.group(1)
            if not any(name.endswith(last) for last in ("embed_tokens", "norm", "_proj", "lm_head")) and not re.search(r"layers\.\d+$", name):
                continue
            inputs, outputs = (
                [tensor for tensor in (load_tensor(directory, entry) for entry in module.get(field) or []) if tensor is not None]
                for field in ("input_args", "output")
            )
            if name.endswith("embed_tokens") and inputs:
                ids = inputs[0].flatten().tolist()
            points.add(name, inputs, outputs)
        prompt_id = f"step-{step}"
        if prompts is not None:
            if number >= len(prompts):
                raise SystemExit(f"{path}: step{step}: expected a prompt for each step, found {len(prompts)} prompts")
            prompt_id, ids = prompts[number]["id"], prompts[number]["ids"]
        if ids is None:
            raise SystemExit(f"{file_name}: expected the input of embed_tokens, found none: name the prompts with --prompts")
        tensors |= tensors_of(prompt_id, ids, points)
    return tensors


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    hf = commands.add_parser("hf", help="run the model in transformers")
    hf.add_argument("model", help="a Hugging Face directory or a .gguf file")
    hf.add_argument("prompts", help="JSON, as merope verify --dump-prompts writes it")
    hf.add_argument("output", help="the .safetensors file to write")
    hf.add_argument("--most", type=int, default=8, help="how many prompts, the first ones (default: %(default)s)")
    hf.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32", help="what the model is run in (default: %(default)s)")
    hf.add_argument("--device", default="cpu", help="where: cpu, cuda, npu, … (default: %(default)s)")
    msprobe = commands.add_parser("msprobe", help="read a dump of msprobe")
    msprobe.add_argument("dump", help="msprobe's dump_path")
    msprobe.add_argument("output", help="the .safetensors file to write")
    msprobe.add_argument("--prompts", help="JSON with the ids of the prompts, if the dump lacks them")
    arguments = parser.parse_args()

    prompts = None
    if arguments.prompts:
        with open(arguments.prompts, encoding="utf-8") as file:
            prompts = json.load(file)["prompts"]
    if arguments.command == "hf":
        import dump_hf_logits

        model = dump_hf_logits.load(arguments.model, getattr(torch, arguments.dtype)).to(arguments.device)
        tensors = from_hf(model, prompts[: arguments.most])
    else:
        tensors = from_msprobe(arguments.dump, prompts)
    save_file(tensors, arguments.output, metadata={"format": "merope-layers"})
    n_prompts = sum(name.endswith(".ids") for name in tensors)
    print(f"{arguments.output}: {len(tensors) - n_prompts} results of {n_prompts} prompts", file=sys.stderr)


if __name__ == "__main__":
    main()
