"""transformers behind the API of /v1/completions, in vLLM's shape. The model computes in bf16 and rounds the result of every op, as
PyTorch does."""

import copy
import json
import pathlib
import sys
import threading

import torch
import transformers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import endpoints  # noqa: E402

TOKENS_AT_MOST = 4096


def load(gguf):
    """The weights of a GGUF file in bf16, and its tokenizer."""
    directory, file = gguf.rsplit("/", 1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory, gguf_file=file)
    model = transformers.AutoModelForCausalLM.from_pretrained(directory, gguf_file=file, dtype=torch.float32)
    return model.to(torch.bfloat16).eval(), tokenizer


def error(status, message):
    return status, {"error": {"message": message, "type": "BadRequestError", "param": None, "code": status}}


class HfServer(endpoints.Server):
    def __init__(self, model, tokenizer, name="model", most=20):
        self.model, self.tokenizer, self.name, self.most, self.lock = model, tokenizer, name, most, threading.Lock()
        super().__init__()

    def answer(self, method, path, body):
        if path == "/v1/models":
            context = self.model.config.max_position_embeddings
            return 200, {"object": "list", "data": [{"id": self.name, "owned_by": "transformers", "max_model_len": context}]}
        if path == "/tokenize":
            return 200, {"tokens": self.tokenizer.encode(json.loads(body)["prompt"])}
        if path != "/v1/completions":
            return error(404, "no such path")
        with self.lock, torch.inference_mode():
            return self.complete(json.loads(body))

    def complete(self, request):
        k, of_prompt = request.get("logprobs") or 0, request.get("prompt_logprobs")
        if max(k, of_prompt or 0) > self.most:
            return error(400, f"at most {self.most} logprobs")
        prompt = request["prompt"]
        ids = self.tokenizer.encode(prompt) if isinstance(prompt, str) else prompt
        if len(ids) + request["max_tokens"] > self.model.config.max_position_embeddings:
            return error(400, "the prompt is too long")
        random = torch.Generator().manual_seed(request["seed"]) if "seed" in request else None
        tokens, chosen, top, text, finish = [], [], [], "", "length"
        out = self.model(torch.tensor([ids]), use_cache=True)
        prompt_logits = out.logits[0]
        logits = prompt_logits[-1].float()
        while len(tokens) < min(request["max_tokens"], TOKENS_AT_MOST):
            logprobs = torch.log_softmax(logits, dim=-1)
            token = self.draw(logits, request, random)
            tokens.append(token)
            chosen.append(logprobs[token].item())
            top.append({f"token_id:{i}": x for i, x in self.row(logprobs, k, token)})
            text = self.tokenizer.decode(tokens)
            stop = next((s for s in request.get("stop", []) if s in text), None)
            if stop is not None:
                text, finish = text[:text.index(stop)], "stop"
                break
            if not request.get("ignore_eos") and token == self.tokenizer.eos_token_id:
                finish = "stop"
                break
            out = self.model(torch.tensor([[token]]), past_key_values=out.past_key_values, use_cache=True)
            logits = out.logits[0, -1].float()
        choice = {"index": 0, "text": text, "finish_reason": finish, "token_ids": tokens, "prompt_token_ids": ids}
        if k:
            choice["logprobs"] = {"tokens": [f"token_id:{t}" for t in tokens], "token_logprobs": chosen, "top_logprobs": top}
        if of_prompt:
            rows = torch.log_softmax(prompt_logits.float(), dim=-1)
            choice["prompt_logprobs"] = [None] + [
                {str(i): {"logprob": x, "rank": rank + 1} for rank, (i, x) in enumerate(self.row(rows[n], of_prompt, ids[n + 1]))}
                for n in range(len(ids) - 1)]
        return 200, {"object": "text_completion", "model": self.name, "choices": [choice],
                     "usage": {"prompt_tokens": len(ids), "completion_tokens": len(tokens), "total_tokens": len(ids) + len(tokens)}}

    @staticmethod
    def row(logprobs, k, also):
        values, ids = torch.topk(logprobs, k)
        row = list(zip(ids.tolist(), values.tolist()))
        return row if also in ids.tolist() else row + [(also, logprobs[also].item())]

    @staticmethod
    def draw(logits, request, random):
        logits = logits.clone()
        for token, bias in request.get("logit_bias", {}).items():
            logits[int(token)] += bias
        if not request.get("temperature", 1):
            return int(torch.argmax(logits))
        p = torch.softmax(logits / request["temperature"], dim=-1)
        if "top_p" in request:
            order = torch.argsort(p, descending=True)
            before = torch.cumsum(p[order], 0) - p[order]
            p[order[before >= request["top_p"]]] = 0
        return int(torch.multinomial(p / p.sum(), 1, generator=random))


def changed(model, change):
    """A copy of the model with changed weights or settings."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        change(other)
    return other.eval()


def projections(model):
    return [m for name, m in model.named_modules() if isinstance(m, torch.nn.Linear) and name.endswith("_proj")]


def five_bit(model):
    """Each weight on one of 31 levels, with one scale per 32 weights."""
    for m in projections(model):
        w = m.weight.float().view(-1, 32)
        scale = w.abs().amax(dim=1, keepdim=True) / 15
        m.weight.copy_(((w / scale).round() * scale).view_as(m.weight))


def merged_lora(size, rank=8):
    """Adds to each projection a random product of this rank, of a relative Frobenius norm of `size`."""
    def change(model):
        random = torch.Generator().manual_seed(1)
        for m in projections(model):
            out, into = m.weight.shape
            delta = torch.randn(out, rank, generator=random) @ torch.randn(rank, into, generator=random)
            m.weight.copy_(m.weight.float() + delta * (size * m.weight.float().norm() / delta.norm()))
    return change


def without_last_layers(n):
    def change(model):
        model.model.layers = model.model.layers[:-n]
        model.config.num_hidden_layers -= n
    return change


def other_theta(factor):
    def change(model):
        model.model.rotary_emb.inv_freq /= factor ** torch.linspace(0, 1, len(model.model.rotary_emb.inv_freq))
    return change
