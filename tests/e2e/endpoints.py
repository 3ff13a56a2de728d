"""Servers for the tests of endpoints: merope's own answers behind the API of /v1/completions, a server with fixed delays, and a
proxy that lies."""

import http.client
import http.server
import json
import math
import pathlib
import sys
import tempfile
import threading
import time
import urllib.parse

import merope


class Server:
    """An HTTP server in a thread of this process, until it is closed. `answer(method, path, body)` gives the status and an object
    or bytes or a function that writes the answer."""

    def __init__(self):
        server, self.log = self, []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                self.reply(b"")

            def do_POST(self):
                self.reply(self.rfile.read(int(self.headers["Content-Length"])))

            def reply(self, body):
                server.log.append((self.command, self.path, self.headers.get("Authorization"), body))
                status, answer = server.answer(self.command, self.path, body)
                if callable(answer):  # it writes the answer itself
                    self.close_connection = True
                    answer(self)
                    return
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        class Listener(http.server.ThreadingHTTPServer):
            daemon_threads, request_queue_size = True, 1024

        self.http = Listener(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()


class MeropeServer(Server):
    """Each request runs `merope batch` on the model."""

    def __init__(self, model, *options, owner="merope", context=64):
        self.model, self.options, self.owner, self.context = model, options, owner, context
        super().__init__()

    def answer(self, method, path, body):
        if path == "/v1/models":
            return 200, {"object": "list", "data": [{"id": "tiny", "owned_by": self.owner, "max_model_len": self.context}]}
        if path != "/v1/completions":
            return 404, {"error": {"message": "no such path"}}
        with tempfile.TemporaryDirectory(prefix="merope-endpoint-") as folder:
            request = json.loads(body)
            stream = request.pop("stream", False)
            request.pop("stream_options", None)
            line = {"custom_id": "1", "method": "POST", "url": path, "body": request}
            (pathlib.Path(folder) / "in.jsonl").write_text(json.dumps(line))
            done = merope.run("batch", self.model, f"{folder}/in.jsonl", f"{folder}/out.jsonl", *self.options)
            if done.returncode not in (0, 1):
                return 500, {"error": {"message": done.stderr.decode(errors="replace")}}
            response = json.loads((pathlib.Path(folder) / "out.jsonl").read_text())["response"]
        return response["status_code"], streamed(response["body"]) if stream and response["status_code"] == 200 else response["body"]


def streamed(answer):
    """Writes a finished answer as a stream, a chunk a token."""
    def write(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.end_headers()
        for _ in range(answer["usage"]["completion_tokens"]):
            handler.wfile.write(b"data: " + json.dumps({"choices": [{"index": 0, "text": "x"}]}).encode() + b"\n\n")
        handler.wfile.write(b"data: " + json.dumps({"choices": [], "usage": answer["usage"]}).encode() + b"\n\ndata: [DONE]\n\n")
    return write


class TimedServer(Server):
    """Streams the asked number of tokens: the first after `ttft` seconds, each other one `tpot` seconds later."""

    def __init__(self, ttft, tpot):
        self.ttft, self.tpot = ttft, tpot
        super().__init__()

    def answer(self, method, path, body):
        if path == "/v1/models":
            return 200, {"data": [{"id": "timed"}]}
        if path != "/v1/completions":
            return 404, {}
        request = json.loads(body)

        def write(handler):
            start = time.monotonic()
            handler.send_response(200)
            handler.send_header("Content-Type", "text/event-stream")
            handler.end_headers()
            for i in range(request["max_tokens"]):
                wait = start + self.ttft + i * self.tpot - time.monotonic()
                if wait > 0:
                    time.sleep(wait)
                handler.wfile.write(b"data: " + json.dumps({"choices": [{"index": 0, "text": "x"}]}).encode() + b"\n\n")
            usage = {"prompt_tokens": len(request["prompt"]), "completion_tokens": request["max_tokens"]}
            handler.wfile.write(b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\ndata: [DONE]\n\n")
        return 200, write


class StreamingServer(MeropeServer):
    """Streams tokens without a meaning, like TimedServer; all else is merope's."""

    ttft, tpot = 0.002, 0.0002

    def answer(self, method, path, body):
        if path == "/v1/completions" and json.loads(body).get("stream"):
            return TimedServer.answer(self, method, path, body)
        return super().answer(method, path, body)


class Proxy(Server):
    """Passes requests on to a server. `lie(request, ask, n)` may answer /v1/completions itself: it gets the request, a function
    that asks a server, and the number of the request; it returns (status, object)."""

    def __init__(self, upstream, lie):
        self.upstream, self.lie, self.lock, self.n = upstream, lie, threading.Lock(), 0
        super().__init__()

    def answer(self, method, path, body):
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
        return response.status, data if data.startswith(b"data:") else json.loads(data or b"null")  # a stream stays as it is


def ignored_temperature(request, ask, _):
    return ask({**request, "temperature": 0})


def tempered_logprobs(temperature):
    """The logprobs of the listed tokens after this temperature."""
    def temper(row):
        values = {name: entry["logprob"] if isinstance(entry, dict) else entry for name, entry in row.items()}
        total = math.log(sum(math.exp(x / temperature) for x in values.values()))
        return {name: {**entry, "logprob": values[name] / temperature - total} if isinstance(entry, dict) else
                values[name] / temperature - total for name, entry in row.items()}

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
    """Every count-th answer breaks off in its middle. Nothing is wrong with the answers."""
    def lie(request, ask, n):
        status, answer = ask(request)
        if n % count:
            return status, answer
        data = json.dumps(answer).encode()

        def write(handler):
            handler.send_response(status)
            handler.send_header("Content-Length", str(len(data)))
            handler.end_headers()
            handler.wfile.write(data[:len(data) // 2])
        return status, write
    return lie


def main():
    """Serves until standard input ends: endpoints.py TimedServer TTFT TPOT, or endpoints.py StreamingServer MODEL [OPTION...]. Prints
    the URL. For tests in which `merope` is the Python package."""
    kind, *arguments = sys.argv[1:]
    server = TimedServer(*map(float, arguments)) if kind == "TimedServer" else StreamingServer(*arguments)
    print(server.url, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
