"""A hub for the tests: a server with the parts of Hugging Face's and ModelScope's APIs from which huggingface_hub, modelscope and
merope download. Faults can be put in.

huggingface_hub 2.4 and modelscope_hub 0.5 download from it unchanged (tests/oracles/hub_oracle.py)."""

import hashlib
import http.server
import json
import re
import threading
import time
import urllib.parse


def git_sha1(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Model:
    """The files of a model, by path. Files of at least lfs bytes are LFS files, named by their SHA-256."""

    def __init__(self, files, lfs=10_000, gated=False):
        self.files, self.lfs, self.gated = dict(files), lfs, gated

    @property
    def commit(self):
        return hashlib.sha1(repr(sorted((path, git_sha1(content)) for path, content in self.files.items())).encode()).hexdigest()

    def etag(self, path):
        content = self.files[path]
        return hashlib.sha256(content).hexdigest() if len(content) >= self.lfs else git_sha1(content)


class Hub:
    """Serves self.models until it is closed. `fault(handler)` may answer a request itself, and then returns True."""

    def __init__(self, models, fault=None):
        self.models, self.fault, self.log, self.lock = models, fault, [], threading.Lock()
        self.rate = None  # bytes per second and connection
        hub = self

        class Handler(Answers):
            pass

        Handler.hub = hub
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def environment(self, home):
        """The environment of a user whose home directory is `home`."""
        return {"HF_ENDPOINT": self.url, "MODELSCOPE_ENDPOINT": self.url, "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache"),
                "HF_HOME": str(home / "hf"), "HF_HUB_CACHE": str(home / "hf/hub"), "HF_TOKEN_PATH": str(home / "hf/token"), "HF_TOKEN": "",
                "HF_HUB_OFFLINE": "", "TRANSFORMERS_OFFLINE": "", "HF_HUB_DISABLE_XET": "1",
                "MODELSCOPE_CACHE": str(home / "modelscope"), "no_proxy": "127.0.0.1"}

    def sent(self, path=""):
        """The bytes of bodies that were sent for URLs that contain `path`."""
        with self.lock:
            return sum(size for _, url, size in self.log if path in url)

    def requests(self, path=""):
        with self.lock:
            return [url for _, url, _ in self.log if path in url]


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub = None

    def log_message(self, *_):
        pass

    def count(self, size):
        with self.hub.lock:
            self.hub.log.append((self.command, self.path, size))

    def answer(self, status, body=b"", kind="application/json", headers=(), cut=None):
        """Sends an answer. cut: the connection ends after so many bytes of the body."""
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        body = body if self.command == "GET" else b""
        sent = 0
        try:
            for at in range(0, len(body[:cut]), 1 << 16):
                piece = body[:cut][at:at + (1 << 16)]
                self.wfile.write(piece)
                sent += len(piece)
                if self.hub.rate:
                    time.sleep(len(piece) / self.hub.rate)
        finally:
            self.count(sent)
        if cut is not None:
            self.close_connection = True
            self.connection.close()

    def missing(self, code):
        self.answer(404, {"error": code}, headers=[("X-Error-Code", code), ("X-Error-Message", code)])

    def do_HEAD(self):
        self.do_GET()

    def do_PUT(self):
        self.missing("NotFound")

    do_POST = do_PUT

    def do_GET(self):
        try:
            if not (self.hub.fault and self.hub.fault(self)):
                self.route()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def route(self):
        url = urllib.parse.urlsplit(self.path)
        query = {name: values[0] for name, values in urllib.parse.parse_qs(url.query).items()}
        path = urllib.parse.unquote(url.path)
        if path == "/api/models":
            word = query.get("search", "").lower()
            return self.answer(200, [{"id": name} for name in self.hub.models if word in name.lower()])
        if path == "/openapi/v1/models":
            word = query.get("search", "").lower()
            return self.answer(200, {"data": {"models": [{"id": name} for name in self.hub.models if word in name.lower()]}})
        for pattern, method in ((r"/api/models/([^/]+/[^/]+)/revision/(.+)", self.hf_model), (r"/api/models/([^/]+/[^/]+)", self.hf_model),
                                (r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", self.hf_tree),
                                (r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.hf_file),
                                (r"/api/v1/models/([^/]+/[^/]+)/(repo/files|repo|revisions)", self.modelscope),
                                (r"/api/v1/models/([^/]+/[^/]+)", self.modelscope)):
            if found := re.fullmatch(pattern, path):
                name, *rest = found.groups()
                model = self.hub.models.get(name)
                if model is None:
                    return self.missing("RepoNotFound")
                if model.gated and "Bearer good" not in self.headers.get("Authorization", ""):
                    return self.answer(403, {}, headers=[("X-Error-Code", "GatedRepo"), ("X-Error-Message", "gated")])
                return method(name, model, *rest, query=query)
        return self.missing("NotFound")

    def hf_model(self, name, model, revision="main", query=None):
        if revision not in ("main", "refs/pr/1", model.commit):
            return self.missing("RevisionNotFound")
        files = []
        for path, content in model.files.items():
            entry = {"rfilename": path}
            if "blobs" in query:
                entry |= {"size": len(content), "blobId": git_sha1(content)}
                if len(content) >= model.lfs:
                    entry["lfs"] = {"sha256": model.etag(path), "size": len(content), "pointerSize": 130}
            files.append(entry)
        return self.answer(200, {"id": name, "modelId": name, "sha": model.commit, "private": False, "siblings": files})

    def hf_tree(self, name, model, revision, query=None):
        entries = []
        for path, content in model.files.items():
            entry = {"type": "file", "oid": git_sha1(content), "size": len(content), "path": path}
            if len(content) >= model.lfs:
                entry["lfs"] = {"oid": model.etag(path), "size": len(content), "pointerSize": 130}
            entries.append(entry)
        return self.answer(200, entries)

    def hf_file(self, name, model, revision, path, query=None):
        if path not in model.files:
            return self.missing("EntryNotFound")
        headers = [("X-Repo-Commit", model.commit), ("ETag", f'"{model.etag(path)}"'), ("Accept-Ranges", "bytes")]
        if len(model.files[path]) >= model.lfs:
            headers += [("X-Linked-Etag", f'"{model.etag(path)}"'), ("X-Linked-Size", str(len(model.files[path])))]
        return self.content(model.files[path], headers)

    def content(self, content, headers=(), cut=None):
        """Sends a file, or the range of it that was asked for."""
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(found[1]), min(int(found[2] or len(content) - 1), len(content) - 1)
            return self.answer(206, content[first:last + 1], "application/octet-stream",
                               [*headers, ("Content-Range", f"bytes {first}-{last}/{len(content)}")], cut)
        return self.answer(200, content, "application/octet-stream", headers, cut)

    def modelscope(self, name, model, what="", query=None):
        revision = query.get("Revision", "master")
        if revision not in ("master", "main"):
            return self.answer(404, {"Code": 404, "Success": False, "Message": "revision not found"})
        if what == "repo/files":
            files = [{"Name": path.split("/")[-1], "Path": path, "Type": "blob", "Size": len(content), "Revision": model.commit,
                      "Sha256": hashlib.sha256(content).hexdigest(), "IsLFS": len(content) >= model.lfs}
                     for path, content in model.files.items()]
            return self.answer(200, {"Code": 200, "Success": True, "Data": {"Files": files}})
        if what == "repo":
            if query.get("FilePath") not in model.files:
                return self.answer(404, {"Code": 404, "Success": False, "Message": "file not found"})
            return self.content(model.files[query["FilePath"]])
        if what == "revisions":
            return self.answer(200, {"Code": 200, "Success": True, "Data": {"RevisionMap": {
                "Branches": [{"Revision": "master"}], "Tags": []}}})
        return self.answer(200, {"Code": 200, "Success": True, "Data": {"Name": name.split("/")[1], "Path": name.split("/")[0]}})
