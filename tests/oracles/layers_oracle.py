#!/usr/bin/env python3
"""Checks that `merope verify --layers --target` passes the intermediate results of Hugging Face transformers in bf16, and names the
wrong op of a model with a fault. SmolLM2-135M-Instruct (MEROPE_SMOLLM2), read by tools/dump_layers.py; the msprobe dump is
written here, in the layout that msprobe 8.3.0 writes at level L0."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

import torch
import transformers
from safetensors.numpy import save_file

TOOLS = os.path.join(os.path.dirname(__file__), "..", "..", "tools")
sys.path.insert(0, TOOLS)
import dump_hf_logits  # noqa: E402
import dump_layers  # noqa: E402

transformers.utils.logging.disable_progress_bar()

MEROPE = os.environ.get("MEROPE_BIN")
SMOLLM2 = os.environ.get("MEROPE_SMOLLM2")


def write_msprobe_dump(path, model, prompts):
    """Writes the inputs and outputs of all modules as msprobe does: stepN/rank/dump.json, and one .pt file for each tensor."""
    for step, prompt in enumerate(prompts):
        directory = os.path.join(path, f"step{step}", "rank")
        tensors = os.path.join(directory, "dump_tensor_data")
        os.makedirs(tensors)
        data = {}

        def hook(name):
            def see(module, inputs, output):
                key = f"Module.{name}.{type(module).__name__}.forward.0"

                def keep(values, kind):
                    entries = []
                    for i, value in enumerate(values):
                        if torch.is_tensor(value):
                            data_name = f"{key}.{kind}.{i}.pt"
                            torch.save(value.clone(), os.path.join(tensors, data_name))
                            entries.append({"type": "torch.Tensor", "shape": list(value.shape), "data_name": data_name})
                        else:
                            entries.append(None)
                    return entries

                outputs = output if isinstance(output, tuple) else (output,)
                data[key] = {"input_args": keep(inputs, "input"), "input_kwargs": {}, "output": keep(outputs, "output")}

            return see

        hooks = [module.register_forward_hook(hook(name)) for name, module in model.named_modules() if name]
        with torch.inference_mode():
            model(input_ids=torch.tensor([prompt["ids"]]), use_cache=False)
        for handle in hooks:
            handle.remove()
        with open(os.path.join(directory, "dump.json"), "w", encoding="utf-8") as file:
            json.dump({"task": "tensor", "level": "L0", "framework": "pytorch", "dump_data_dir": tensors, "data": data}, file)


@unittest.skipUnless(SMOLLM2, "MEROPE_SMOLLM2 is not set: the path of SmolLM2-135M-Instruct as .gguf")
class Layers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.scratch.cleanup)
        prompts = cls.path("prompts.json")
        subprocess.run([MEROPE, "verify", SMOLLM2, "--quick", "--dump-prompts", prompts], check=True, capture_output=True)
        with open(prompts, encoding="utf-8") as file:
            cls.prompts = json.load(file)["prompts"][:3]
        cls.model = dump_hf_logits.load(SMOLLM2, torch.bfloat16)

    @classmethod
    def path(cls, name):
        return os.path.join(cls.scratch.name, name)

    def judge(self, tensors, numerics="bf16-ops"):
        path = self.path("layers.safetensors")
        save_file(tensors, path)
        done = subprocess.run([MEROPE, "verify", SMOLLM2, "--layers", "--target", path, "--numerics", numerics, "--json"], capture_output=True)
        self.assertIn(done.returncode, (0, 1), done.stderr.decode(errors="replace"))
        result = json.loads(done.stdout)
        self.assertEqual(result["verdict"], "FAIL" if done.returncode else "PASS")
        return result

    def test_an_honest_model_passes(self):
        result = self.judge(dump_layers.from_hf(self.model, self.prompts))
        worst = max(result["points"], key=lambda point: point["ratio_alone"])
        print(f"transformers in bf16: {len(result['points'])} points, largest ratio of an own error {worst['ratio_alone']:.2f} ({worst['point']})")
        self.assertEqual(result["verdict"], "PASS")
        self.assertEqual(len(result["points"]), 30 * 12 + 3)
        # merope's own bf16 keeps fp32 between the ops: PyTorch, which rounds after each, does not pass as that.
        result = self.judge(dump_layers.from_hf(self.model, self.prompts[:1]), "bf16")
        self.assertEqual(result["verdict"], "FAIL")

    def test_a_fault_is_named(self):
        weight = self.model.model.layers[7].self_attn.k_proj.weight
        kept = weight[5].clone()
        try:
            with torch.no_grad():
                weight[5] *= 1.5
            dump = self.path("msprobe")
            write_msprobe_dump(dump, self.model, self.prompts)
        finally:
            with torch.no_grad():
                weight[5] = kept
        tensors = dump_layers.from_msprobe(dump)
        self.assertEqual([name for name in tensors if name.endswith(".ids")], ["step-0.ids", "step-1.ids", "step-2.ids"])
        self.assertEqual(tensors["step-1.ids"].tolist(), self.prompts[1]["ids"])
        result = self.judge(tensors)
        self.assertEqual(result["verdict"], "FAIL")
        self.assertEqual(result["culprit"]["point"], "layers.7.self_attn.k_proj")
        self.assertTrue(result["culprit"]["alone"])


class FusedModules(unittest.TestCase):
    def test_they_are_split(self):
        points = dump_layers.Points()
        qkv = torch.arange(2 * 8.0).reshape(2, 8)
        points.add("model.layers.0.self_attn.qkv_proj", [], [qkv])
        points.add("model.layers.0.self_attn.o_proj", [torch.zeros(2, 4)], [torch.ones(2, 6)])
        points.add("model.layers.0.mlp.gate_up_proj", [], [torch.arange(12.0).reshape(2, 6)])
        points.add("model.layers.0", [], [torch.ones(2, 6), torch.full((2, 6), 2.0)])
        values = points.finish()
        self.assertEqual(values["layers.0.self_attn.q_proj"].tolist(), qkv[:, :4].tolist())
        self.assertEqual(values["layers.0.self_attn.k_proj"].tolist(), qkv[:, 4:6].tolist())
        self.assertEqual(values["layers.0.self_attn.v_proj"].tolist(), qkv[:, 6:].tolist())
        self.assertEqual(values["layers.0.mlp.up_proj"].tolist(), [[3, 4, 5], [9, 10, 11]])
        self.assertEqual(values["layers.0"].tolist(), [[3] * 6] * 2)
        self.assertNotIn("layers.0.self_attn.qkv_proj", values)


if __name__ == "__main__":
    if not MEROPE:
        print("skipped: MEROPE_BIN is not set: the path of the program")
        sys.exit(77)
    unittest.main(verbosity=2)
