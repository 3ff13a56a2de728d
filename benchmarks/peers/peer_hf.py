"""Hugging Face transformers on PyTorch: SDPA attention, bf16."""

import time

import peer as base

PEER = base.Peer(
    name="transformers",
    folder="hf",
    variants={"bf16": "bf16"},
    requirements="PEER_HF",
    packages=("transformers", "torch"),
    torch=True,
    as_is=("bf16",),
    without_batches=("bf16",),
)


class Engine:
    flags = "bf16, sdpa, dynamic cache"

    def __init__(self, variant, model, threads):
        import torch
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(threads)
        self.torch = torch
        self.model = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16, attn_implementation="sdpa").eval()
        self.vocabulary = base.vocabulary(model)

    def run(self, prompts, output):
        torch = self.torch
        with torch.inference_mode():
            start = time.perf_counter()
            reply = self.model(torch.tensor(prompts), use_cache=True, logits_to_keep=1)
            token = reply.logits[:, -1].argmax(-1, keepdim=True)
            first = time.perf_counter()
            for _ in range(output - 1):
                reply = self.model(token, past_key_values=reply.past_key_values, use_cache=True)
                token = reply.logits[:, -1].argmax(-1, keepdim=True)
            end = time.perf_counter()
        return base.Timing(first - start, end - first, len(prompts) * (output - 1), end - start)


if __name__ == "__main__":
    base.main(PEER, None, Engine)
