#!/usr/bin/env python3
"""Compares merope's fp32 logits with those of Hugging Face transformers (fp32, PyTorch eager).

scripts/test runs this script with MEROPE_BIN (the program) and MEROPE_SMOLLM2 (SmolLM2-135M-Instruct as .gguf) in the
environment. The script needs a Python that has torch, transformers, safetensors, gguf and accelerate. The checks run on
SmolLM2, and on a tiny random Llama, Qwen2 or Qwen3 for each variant of config.json, some also as a GGUF file:

- The relative L2 error of the centred logits, over all positions, is at most 5e-6 in the mean and at most 2e-5 at any position.
- The top-1 token is the same wherever HF's margin exceeds 1e-4.
- (SmolLM2, bf16) `merope verify --quick` passes the report's table. The mean KL divergence over all positions of the report's
  prompts is at most 1e-3.
- (SmolLM2) `merope verify --quick --dtype fp32 --against` HF's logits gives PASS.
- (SmolLM2) 64 greedy tokens are equal after each of the report's 25 prompts (eight of them without MEROPE_WHOLE=1). At the
  first difference, HF's margin may be at most twice the largest logit error measured.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import unittest

import gguf
import numpy as np
import torch
import transformers
from safetensors.numpy import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "tools"))
import dump_hf_logits  # noqa: E402

transformers.utils.logging.disable_progress_bar()

MEROPE = os.environ.get("MEROPE_BIN")
SMOLLM2 = os.environ.get("MEROPE_SMOLLM2")
MEAN_LIMIT, WORST_LIMIT, MARGIN = 5e-6, 2e-5, 1e-4


def merope(*arguments, codes=(0,)):
    done = subprocess.run([MEROPE, *arguments], capture_output=True, text=True, encoding="utf-8")
    if done.returncode not in codes:
        raise AssertionError(f"merope {' '.join(arguments)}: exit code {done.returncode}: {done.stderr}")
    return done.stdout


def compare(test, name, ours, hf, prompts):
    """Checks both limits and the top-1 rule over all prompts. Returns the largest error of a single centred logit."""
    errors, largest = [], 0.0
    for prompt in prompts:
        test.assertEqual(ours[prompt["id"] + ".ids"].tolist(), prompt["ids"])
        z, z0 = (rows[prompt["id"] + ".logits"].astype(np.float64) for rows in (ours, hf))
        test.assertEqual(z.shape, z0.shape)
        test.assertTrue(np.isfinite(z).all())
        c = z - z.mean(axis=1, keepdims=True)
        c0 = z0 - z0.mean(axis=1, keepdims=True)
        errors.append(np.linalg.norm(c - c0, axis=1) / np.linalg.norm(c0, axis=1))
        largest = max(largest, np.abs(c - c0).max())
        top = np.sort(z0, axis=1)[:, -2:]
        clear = top[:, 1] - top[:, 0] > MARGIN
        differing = clear & (z.argmax(axis=1) != z0.argmax(axis=1))
        test.assertFalse(differing.any(), f"{name}, {prompt['id']}: another top-1 at positions {np.flatnonzero(differing)}")
    errors = np.concatenate(errors)
    print(f"{name}: {errors.size} positions, relative L2 error mean {errors.mean():.2e}, worst {errors.max():.2e}", flush=True)
    test.assertLessEqual(errors.mean(), MEAN_LIMIT, name)
    test.assertLessEqual(errors.max(), WORST_LIMIT, name)
    return largest


@unittest.skipUnless(SMOLLM2, "MEROPE_SMOLLM2 is not set: the path of SmolLM2-135M-Instruct as .gguf")
class SmolLM2(unittest.TestCase):
    GREEDY = 64

    def test_logits_and_greedy_tokens(self):
        model = dump_hf_logits.load(SMOLLM2)
        with tempfile.TemporaryDirectory() as directory:
            prompts_path = os.path.join(directory, "prompts.json")
            merope("verify", SMOLLM2, "--quick", "--dump-prompts", prompts_path)
            with open(prompts_path, encoding="utf-8") as file:
                prompts = [p for p in json.load(file)["prompts"] if p["kind"] == "report"]
            self.assertEqual(len(prompts), 25)
            with open(prompts_path, "w", encoding="utf-8") as file:
                json.dump({"prompts": prompts}, file)
            logits_path = os.path.join(directory, "ours.safetensors")
            merope("verify", SMOLLM2, "--prompts", prompts_path, "--dump-logits", logits_path, "--dtype", "fp32")
            largest = compare(self, "SmolLM2", load_file(logits_path), dump_hf_logits.dump(model, prompts), prompts)
        for prompt in prompts if os.environ.get("MEROPE_WHOLE") == "1" else prompts[::3][:8]:
            self.check_greedy(model, prompt, largest)

    def test_against_hf(self):
        with tempfile.TemporaryDirectory() as directory:
            prompts_path, hf_path = os.path.join(directory, "prompts.json"), os.path.join(directory, "hf.safetensors")
            merope("verify", SMOLLM2, "--quick", "--dump-prompts", prompts_path)
            with open(prompts_path, encoding="utf-8") as file:
                prompts = json.load(file)["prompts"]
            model = dump_hf_logits.load(SMOLLM2)
            save_file(dump_hf_logits.dump(model, prompts), hf_path)
            result = json.loads(merope("verify", SMOLLM2, "--quick", "--dtype", "fp32", "--against", hf_path, "--json"))
            save_file(dump_hf_logits.dump(model, prompts, top_k=20), hf_path)
            judged = json.loads(merope("verify", SMOLLM2, "--quick", "--target", hf_path, "--json"))
        self.assertEqual(judged["target"], f"{hf_path}, the 20 most probable tokens")
        self.assertEqual(judged["verdict"], "PASS")
        self.assertEqual(result["baseline"], hf_path)
        self.assertEqual(result["verdict"], "PASS")
        self.assertEqual(result["positions"]["prompts"], len(prompts))
        self.assertGreater(result["positions"]["figures"]["kl"]["mean"], 0)

    def test_bf16(self):
        # Exit code 2: (b) may be inconclusive on the few positions of --quick.
        result = json.loads(merope("verify", SMOLLM2, "--quick", "--json", codes=(0, 2)))
        self.assertEqual(result["first_token"]["verdict"], "PASS")
        self.assertEqual(len(result["first_token"]["rows"]), 25)
        self.assertGreaterEqual(result["reference"]["positions"], 300)
        self.assertEqual(result["reference"]["verdict"], "PASS")
        report = [p for p in result["positions"]["by_prompt"] if p["kind"] == "report"]
        self.assertEqual(len(report), 25)
        kl = sum(p["mean_kl"] * p["positions"] for p in report) / sum(p["positions"] for p in report)
        print(f"bf16 on the report's prompts: mean KL {kl:.2e}; (b) {result['positions']['verdict']}", flush=True)
        self.assertLessEqual(kl, 1e-3)

    def check_greedy(self, model, prompt, largest):
        run = merope("run", SMOLLM2, prompt["text"], "--max-tokens", str(self.GREEDY), "--dtype", "fp32", "--ignore-eos", "--json")
        ours = json.loads(run)["ids"]
        self.assertEqual(len(ours), self.GREEDY)
        # HF reads prompt and answer in one pass. Up to the first difference, HF's choice after each token is its greedy token.
        with torch.inference_mode():
            rows = model(input_ids=torch.tensor([prompt["ids"] + ours]), use_cache=False).logits[0].double()
        rows = rows[len(prompt["ids"]) - 1:-1]
        for i, (row, token) in enumerate(zip(rows, ours, strict=True)):
            if int(row.argmax()) != token:
                margin = float(row.max() - row[token])
                print(f"{prompt['id']}: token {i} differs at a margin of {margin:.2e}", flush=True)
                self.assertLessEqual(margin, 2 * largest, f"{prompt['id']}: token {i}")
                return


BASE = dict(vocab_size=320, hidden_size=64, intermediate_size=160, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-5, tie_word_embeddings=True, rope_theta=10000.0)

CLASSES = {"llama": (LlamaConfig, LlamaForCausalLM), "qwen2": (Qwen2Config, Qwen2ForCausalLM),
           "qwen3": (Qwen3Config, Qwen3ForCausalLM)}

# The differences of each variant from BASE. "rope" goes to rope_parameters. "model" is a key of CLASSES (default: "llama").
VARIANTS = {
    "plain": {},
    "untied": dict(tie_word_embeddings=False),
    "attention-bias": dict(attention_bias=True),
    "mlp-bias": dict(mlp_bias=True, attention_bias=True),
    "head-dim-larger": dict(head_dim=32),
    "head-dim-smaller": dict(head_dim=8),
    "no-gqa": dict(num_key_value_heads=4),
    "gqa-4": dict(num_attention_heads=8, num_key_value_heads=2),
    "mqa": dict(num_key_value_heads=1),
    "odd-sizes": dict(vocab_size=331, hidden_size=72, intermediate_size=117, num_attention_heads=6, num_key_value_heads=3,
                      head_dim=10),
    "eps-theta": dict(rms_norm_eps=1e-6, rope_theta=500000.0),
    "rope-linear": dict(rope=dict(rope_type="linear", factor=4.0)),
    "rope-llama3": dict(rope=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                  original_max_position_embeddings=64)),
    "rope-yarn": dict(rope=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=64)),
    "rope-yarn-tuned": dict(rope=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=64, beta_fast=16.0,
                                      beta_slow=2.0, attention_factor=1.1)),
    "rope-yarn-mscale": dict(rope=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=64, mscale=1.0,
                                       mscale_all_dim=0.5)),
    "rope-yarn-exact": dict(rope=dict(rope_type="yarn", factor=3.0, original_max_position_embeddings=64, truncate=False)),
    "qwen2": dict(model="qwen2"),
    "qwen2-untied-no-gqa": dict(model="qwen2", tie_word_embeddings=False, num_key_value_heads=4),
    "qwen2-yarn": dict(model="qwen2", rope=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=64)),
    "qwen2-unused-window": dict(model="qwen2", use_sliding_window=False, sliding_window=16, max_window_layers=0),
    "qwen3": dict(model="qwen3", head_dim=32),
    "qwen3-untied-gqa-4": dict(model="qwen3", head_dim=8, tie_word_embeddings=False, num_attention_heads=8, num_key_value_heads=2,
                               rms_norm_eps=1e-6, rope_theta=1000000.0),
    "qwen3-attention-bias": dict(model="qwen3", head_dim=16, attention_bias=True),
    "qwen3-odd-sizes": dict(model="qwen3", vocab_size=331, hidden_size=72, intermediate_size=117, num_attention_heads=6,
                            num_key_value_heads=3, head_dim=10),
    # The window is as long as the context, so it leaves nothing out.
    "qwen3-window": dict(model="qwen3", head_dim=32, use_sliding_window=True, sliding_window=256, max_window_layers=1),
}
# The variants that are also written as a GGUF file.
GGUF_VARIANTS = ["untied", "head-dim-larger", "qwen2", "qwen2-untied-no-gqa", "qwen3", "qwen3-untied-gqa-4", "qwen3-attention-bias"]


def make(variant):
    fields = BASE | {k: v for k, v in variant.items() if k not in ("rope", "model")}
    theta = fields.pop("rope_theta")
    make_config, make_model = CLASSES[variant.get("model", "llama")]
    config = make_config(**fields, rope_parameters={"rope_type": "default", "rope_theta": theta} | variant.get("rope", {}),
                         bos_token_id=1, eos_token_id=2, attn_implementation="eager")
    torch.manual_seed(3)
    model = make_model(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Weights large enough that attention and logits matter, norms that are not all 1, biases that are not 0.
            if parameter.dim() == 2:
                parameter.normal_(0, 1.5 / parameter.shape[1] ** 0.5 if "embed" not in name else 1.0)
            else:
                parameter.normal_(1.0 if "norm" in name else 0.0, 0.2)
    return model


def rewrite_as_v4(directory):
    """Rewrites config.json in the form of transformers 4: rope_theta and rope_scaling at the top level, and torch_dtype."""
    path = os.path.join(directory, "config.json")
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    config["torch_dtype"] = config.pop("dtype")
    config["transformers_version"] = "4.51.0"
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file, indent=2)


def write_gguf(model, path):
    """Writes the model with the names of the gguf package. As llama.cpp's converter does, permutes q and k of a Llama alone."""
    config, kind = model.config, model.config.model_type
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer = gguf.GGUFWriter(path, kind)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    architecture = {name: number for number, name in gguf.MODEL_ARCH_NAMES.items()}[kind]
    names = gguf.get_tensor_name_map(architecture, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        values = tensor.numpy()
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(name.split(".")[-2])
        if kind == "llama" and heads:
            values = values.reshape(heads, 2, head_dim // 2, -1).swapaxes(1, 2).reshape(values.shape)
        writer.add_tensor(names.get_name(name, (".weight", ".bias")), np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def our_logits(model_path, prompts, directory):
    prompts_path, logits_path = os.path.join(directory, "prompts.json"), os.path.join(directory, "ours")
    with open(prompts_path, "w", encoding="utf-8") as file:
        json.dump({"prompts": prompts}, file)
    merope("verify", model_path, "--prompts", prompts_path, "--dump-logits", logits_path, "--dtype", "fp32")
    return load_file(logits_path)


class TinyRandomModels(unittest.TestCase):
    def test_variants(self):
        for name, variant in VARIANTS.items():
            model = make(variant)
            prompts = self.prompts(model.config.vocab_size)
            hf = dump_hf_logits.dump(model, prompts)
            for style in ("5", "4"):
                with self.subTest(variant=name, style=style), tempfile.TemporaryDirectory() as directory:
                    model.save_pretrained(directory)
                    if style == "4":
                        rewrite_as_v4(directory)
                    ours = our_logits(directory, prompts, directory)
                    compare(self, f"{name} (transformers {style} config)", ours, hf, prompts)

    def test_gguf(self):
        for name in GGUF_VARIANTS:
            model = make(VARIANTS[name])
            prompts = self.prompts(model.config.vocab_size)
            with self.subTest(variant=name), tempfile.TemporaryDirectory() as directory:
                path = os.path.join(directory, "model.gguf")
                write_gguf(model, path)
                compare(self, f"{name} (GGUF)", our_logits(path, prompts, directory), dump_hf_logits.dump(model, prompts), prompts)

    @staticmethod
    def prompts(vocab):
        """Returns a prompt that fills the context (past the original length of every scaled RoPE), and shorter prompts."""
        draws = random.Random(5)
        return [{"id": f"random-{n}", "ids": [draws.randrange(vocab) for _ in range(n)]} for n in (256, 1, 2, 65, 130)]


if __name__ == "__main__":
    if not MEROPE:
        print("skipped: MEROPE_BIN is not set: the path of the program")
        sys.exit(77)
    unittest.main(verbosity=2)
