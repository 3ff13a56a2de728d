"""Servers for the tests of `merope verify --endpoint`: transformers behind the API of /v1/completions in vLLM's shape, and a proxy
that lies.

The model computes in bf16 and rounds the result of every op, as PyTorch does."""

import copy
import http.client
import http.server
import json
import threading
import urllib.parse

import torch
import transformers

TOKENS_AT_MOST = 4096


class Server:
    """An HTTP server of this process, until it is closed. `answer(method, path, body)` gives (status, object)."""

    def __init__(self):
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                self.reply(b"")

            def do_POST(self):
                self.reply(self.rfile.read(int(self.headers["Content-Length"])))

            def reply(self, body):
                status, answer = server.answer(self.command, self.path, body, self)
                if status == 0:  # break the connection off
                    self.close_connection = True
                    return
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()


def load(gguf):
    """The weights of a GGUF file in bf16, and its tokenizer."""
    directory, file = gguf.rsplit("/", 1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory, gguf_file=file)
    model = transformers.AutoModelForCausalLM.from_pretrained(directory, gguf_file=file, dtype=torch.float32)
    return model.to(torch.bfloat16).eval(), tokenizer


def error(status, message):
    return status, {"error": {"message": message, "type": "BadRequestError", "param": None, "code": status}}


class HfServer(Server):
    def __init__(self, model, tokenizer, name="model", most=20):
        self.model, self.tokenizer, self.name, self.most, self.lock = model, tokenizer, name, most, threading.Lock()
        super().__init__()

    def answer(self, method, path, body, _):
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


class Proxy(Server):
    """Passes requests on to a server. `lie(request, ask, n)` may answer /v1/completions itself: it gets the request, a function
    that asks a server, and the number of the request; it returns (status, object)."""

    def __init__(self, upstream, lie):
        self.upstream, self.lie, self.lock, self.n = upstream, lie, threading.Lock(), 0
        super().__init__()

    def answer(self, method, path, body, _):
        if path != "/v1/completions":
            return self.ask(method, path, body)
        with self.lock:
            self.n += 1
            n = self.n
        return self.lie(json.loads(body), lambda request, url=None: self.ask("POST", path, json.dumps(request).encode(), url), n)

    def ask(self, method, path, body, url=None):
        host = urllib.parse.urlparse(url or self.upstream).netloc
        connection = http.client.HTTPConnection(host, timeout=600)
        connection.request(method, path, body or None, {"Content-Type": "application/json"} if body else {})
        response = connection.getresponse()
        data = response.read()
        connection.close()
        return response.status, json.loads(data or b"null")


def ignored_temperature(request, ask, _):
    return ask({**request, "temperature": 0})


def tempered_logprobs(temperature):
    """The logprobs of the listed tokens after this temperature."""
    def temper(row):
        values = {name: entry["logprob"] if isinstance(entry, dict) else entry for name, entry in row.items()}
        new = torch.log_softmax(torch.tensor(list(values.values())) / temperature, dim=0).tolist()
        return {name: {**entry, "logprob": x} if isinstance(entry, dict) else x for (name, entry), x in zip(row.items(), new)}

    def lie(request, ask, _):
        status, answer = ask(request)
        if status == 200:
            choice = answer["choices"][0]
            if choice.get("logprobs"):
                choice["logprobs"]["top_logprobs"] = [temper(row) for row in choice["logprobs"]["top_logprobs"]]
            if choice.get("prompt_logprobs"):
                choice["prompt_logprobs"] = [row and temper(row) for row in choice["prompt_logprobs"]]
        return status, answer
    return lie


def dropped_token(request, ask, _):
    """The sixth generated token is lost, and the counts hide it."""
    status, answer = ask({**request, "max_tokens": request["max_tokens"] + (request["max_tokens"] > 5)})
    if status == 200 and request["max_tokens"] > 5:
        choice = answer["choices"][0]
        lists = [choice["token_ids"], *(choice["logprobs"] or {}).values()]
        for values in lists:
            del values[5]
        answer["usage"]["completion_tokens"] -= 1
    return status, answer


def stale_cache():
    """Every tenth answer has the generated part of an earlier one."""
    last = {}

    def lie(request, ask, n):
        status, answer = ask(request)
        if status == 200 and request["max_tokens"] > 3:
            choice, key = answer["choices"][0], request["max_tokens"]
            if n % 10 == 0 and key in last:
                choice.update(last[key])
            else:
                last[key] = {name: choice[name] for name in ("text", "token_ids", "logprobs")}
        return status, answer
    return lie


def every(count, other):
    """Every count-th answer comes from another server."""
    return lambda request, ask, n: ask(request, other.url) if n % count == 0 else ask(request)


def broken(count):
    """Every count-th exchange breaks off without an answer. Nothing is wrong with the answers."""
    return lambda request, ask, n: (0, None) if n % count == 0 else ask(request)
