"""Models by name: `merope pull` and ORG/NAME in every command, against the hub of hub.py, with every fault that a hub, a network
or a disk can have."""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import hub
import merope

BIG = 40 << 20  # bytes: two ranges, 40 pieces


def broken(times, **how):
    """A fault: the first `times` requests for the weights get this answer."""
    left = [times]

    def fault(handler):
        if "safetensors" not in handler.path or "index" in handler.path or left[0] == 0:
            return False
        left[0] -= 1
        handler.answer(**how)
        return True
    return fault


class HubCase(merope.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.files = {path.name: path.read_bytes() for path in cls.model.iterdir()}
        cls.big = {"config.json": b"{}", "model.safetensors": random.Random(7).randbytes(BIG)}

    def setUp(self):
        self.home = pathlib.Path(tempfile.mkdtemp(dir=self.scratch))
        self.cache = self.home / "hf/hub"

    def serve(self, models, fault=None):
        server = hub.Hub(models, fault)
        self.addCleanup(server.__exit__)
        self.server = server
        return server

    def environment(self, **more):
        return {**self.server.environment(self.home), **more}

    def pull(self, *arguments, code=0, words=(), **environment):
        """Pulls, and returns the JSON; or checks the error, and returns standard error."""
        if code == 0:
            return json.loads(self.good("pull", *arguments, "--json", env=self.environment(**environment)).stdout)
        return self.refused(code, words, "pull", *arguments, env=self.environment(**environment))

    def check_nothing_half_written(self):
        """Every file of every snapshot is whole, and every blob has its hash."""
        for blob in self.cache.glob("models--*/blobs/*"):
            if not blob.name.endswith((".merope-part", ".merope-done")):
                content = blob.read_bytes()
                self.assertIn(blob.name, (hashlib.sha256(content).hexdigest(), hub.git_sha1(content)))
        for link in self.cache.glob("models--*/snapshots/*/*"):
            self.assertTrue(link.is_file(), link)


class PullTest(HubCase):
    def test_a_model_arrives_and_runs(self):
        self.serve({"org/tiny": hub.Model({**self.files, "pytorch_model.bin": b"x" * 99, "README.md": b"# tiny"})})
        found = self.pull("org/tiny")
        self.assertEqual(found["commit"], self.server.models["org/tiny"].commit)
        self.assertEqual(found["path"], str(self.cache / "models--org--tiny/snapshots" / found["commit"]))
        names = {path.name for path in pathlib.Path(found["path"]).iterdir()}
        self.assertLessEqual({"config.json", "model.safetensors", "tokenizer.json"}, names)
        self.assertFalse({"pytorch_model.bin", "README.md"} & names)
        self.assertEqual(found["bytes"], found["fetched_bytes"])
        self.assertEqual((self.cache / "models--org--tiny/refs/main").read_text(), found["commit"])
        self.check_nothing_half_written()
        again = self.pull("org/tiny")
        self.assertEqual((again["fetched_bytes"], again["path"]), (0, found["path"]))

    def test_a_command_fetches_what_it_names_and_then_needs_no_hub(self):
        self.serve({"org/tiny": hub.Model(self.files)})
        first = self.good("run", "org/tiny", "hi", "--max-tokens", 3, env=self.environment())
        self.assertIn("fetching org/tiny", first.stderr.decode())
        asked = len(self.server.requests())
        second = self.good("run", "org/tiny", "hi", "--max-tokens", 3, env=self.environment(HF_HUB_OFFLINE="1"))
        local = self.good("run", self.model, "hi", "--max-tokens", 3)
        self.assertEqual({first.stdout, second.stdout}, {local.stdout})
        self.assertEqual(len(self.server.requests()), asked)
        for command in (["inspect"], ["tokenize", "hi"], ["bench", "latency", "--input-len", 4, "--output-len", 2, "--repeats", 1]):
            at = 2 if command[0] == "bench" else 1
            self.good(*command[:at], "org/tiny", *command[at:], env=self.environment())
        self.assertEqual(len(self.server.requests()), asked)

    def test_offline_the_error_names_the_command(self):
        self.serve({"org/tiny": hub.Model(self.files)})
        error = self.refused(3, ["HF_HUB_OFFLINE", "merope pull org/tiny"], "run", "org/tiny", "hi",
                             env=self.environment(HF_HUB_OFFLINE="1"))
        self.assertIn("not in the cache", error)
        self.pull("org/tiny", code=3, words=["TRANSFORMERS_OFFLINE"], TRANSFORMERS_OFFLINE="yes")
        self.assertEqual(self.server.requests(), [])

    def test_an_incomplete_snapshot_is_fetched_again(self):
        self.serve({"org/tiny": hub.Model(self.files)})
        path = pathlib.Path(self.pull("org/tiny")["path"])
        (path / "config.json").unlink()
        self.refused(3, ["expected config.json", "HF_HUB_OFFLINE"], "inspect", "org/tiny", env=self.environment(HF_HUB_OFFLINE="1"))
        self.good("inspect", "org/tiny", env=self.environment())

    def test_shards_come_by_their_index(self):
        shards = {"config.json": b"{}", "a.safetensors": b"a" * 20_000, "b.safetensors": b"b" * 30_000, "c.safetensors": b"c" * 9,
                  "model.safetensors.index.json": json.dumps({"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}).encode()}
        self.serve({"org/shards": hub.Model(shards)})
        found = self.pull("org/shards")
        self.assertEqual({path.name for path in pathlib.Path(found["path"]).iterdir()}, set(shards) - {"c.safetensors"})
        shards["model.safetensors.index.json"] = json.dumps({"weight_map": {"x": "../a"}}).encode()
        self.serve({"org/shards": hub.Model(shards)})
        self.pull("org/shards", code=3, words=["model.safetensors.index.json", '"../a"'])

    def test_gguf(self):
        self.serve({"org/two": hub.Model({"x-Q8_0.gguf": b"8" * 99, "x-Q4_0.gguf": b"4" * 50}), "org/one": hub.Model({"y.gguf": b"1"})})
        self.pull("org/two", code=3, words=["x-Q8_0.gguf", "x-Q4_0.gguf", "--file"])
        self.assertTrue(self.pull("org/two", "--file", "*Q8_0*")["path"].endswith("/x-Q8_0.gguf"))
        self.pull("org/two", "--file", "*Q3*", code=3, words=['"*Q3*"', "x-Q8_0.gguf"])
        self.assertTrue(self.pull("org/one")["path"].endswith("/y.gguf"))

    def test_revisions(self):
        self.serve({"org/tiny": hub.Model(self.files)})
        commit = self.pull("org/tiny@refs/pr/1")["commit"]
        self.assertEqual((self.cache / "models--org--tiny/refs/refs/pr/1").read_text(), commit)
        self.good("inspect", "org/tiny@" + commit, env=self.environment(HF_HUB_OFFLINE="1"))
        self.pull("org/tiny@v9", code=3, words=["org/tiny", 'no revision "v9"'])

    def test_modelscope(self):
        self.serve({"org/tiny": hub.Model(self.files)})
        found = self.pull("org/tiny", "--from", "modelscope", MODELSCOPE_API_TOKEN="token")
        self.good("inspect", "org/tiny", env=self.environment(HF_HUB_OFFLINE="1"))
        self.assertEqual(self.pull("org/tiny", "--from", "modelscope")["fetched_bytes"], 0)
        self.assertEqual((self.cache / "models--org--tiny/refs/master").read_text(), found["commit"])
        self.pull("org/tyni", "--from", "modelscope", code=3, words=["no model org/tyni", "MODELSCOPE_API_TOKEN"])

    def test_wrong_names(self):
        self.serve({})
        for name in ("tiny", "a/b/c", "../b", "a/..", "a/b@", "a/b@../c", "a/b@x y", "/a/b", "a//b", "ä/b", "a/" + "b" * 97):
            self.refused(64, "expected", "pull", name, env=self.environment())
        self.assertEqual(self.server.requests(), [])


class FaultTest(HubCase):
    def serve_big(self, fault=None, **kind):
        return self.serve({"org/tiny": hub.Model(self.big, **kind)}, fault)

    def test_refusals(self):
        self.serve_big(gated=True)
        self.pull("org/tiny", code=3, words=["gated", "accept its conditions", "HF_TOKEN"])
        self.pull("org/tiny", code=3, words=["the present token has no access"], HF_TOKEN="bad")
        token = self.home / "hf/token"
        token.parent.mkdir(parents=True, exist_ok=True)
        token.write_text("good\n")
        self.pull("org/tiny")
        self.serve_big(lambda handler: handler.answer(401, {}) or True)
        self.pull("org/tiny", code=3, words=["the token of HF_TOKEN was refused"], HF_TOKEN="hf_secret")
        self.serve({"org/tiny-model": hub.Model(self.big), "other/tiny": hub.Model(self.big)})
        error = self.pull("org/tiny", code=3, words=["no model org/tiny", "near names: org/tiny-model, other/tiny"])
        self.assertNotIn("hf_secret", error)

    def test_what_passes_is_tried_again(self):
        for how in ({"status": 503}, {"status": 429, "headers": [("Retry-After", "1")]}, {"status": 200, "body": b"x" * BIG, "cut": 0}):
            self.setUp()
            self.serve_big(broken(2, **how))
            self.assertEqual(self.pull("org/tiny")["bytes"], BIG + 2)
            self.check_nothing_half_written()

    def test_what_stays_is_an_error(self):
        self.serve_big(broken(-1, status=500))
        begin = time.monotonic()
        self.pull("org/tiny", code=3, words=["model.safetensors", "500", "tries: 5"])
        self.assertGreater(time.monotonic() - begin, 7)  # 0.5 + 1 + 2 + 4 s
        self.serve_big(broken(-1, status=429, headers=[("Retry-After", "4000")]))
        self.pull("org/tiny", code=3, words=["429", "Retry-After: 4000", "tries: 1"])
        self.serve_big(broken(-1, status=418))
        self.pull("org/tiny", code=3, words=["model.safetensors", "418"])
        self.check_nothing_half_written()

    def test_the_list_may_fail_too(self):
        for fault, words in (
                (lambda handler: handler.answer(200, b"<html>log in</html>", "text/html") or True, ["expected JSON, found text/html"]),
                (lambda handler: handler.answer(200, b'{"sha": 1') or True, ["/api/models/org/tiny"]),
                (lambda handler: handler.answer(200, {"sha": "0" * 40}) or True, ["siblings"]),
                (lambda handler: handler.answer(200, {"sha": "../../x", "siblings": []}) or True, ["40 hexadecimal digits"]),
                (lambda handler: handler.answer(200, []) or True, ["expected an object"])):
            self.serve_big(fault)
            self.pull("org/tiny", code=3, words=words)

    def test_file_names_that_leave_the_cache(self):
        for path in ("../x", "/etc/x", "a/../../x", "a\0b", "a//b", "a/./b", "", "a\\b", "a\nb", "x" * 300):
            self.serve({"org/evil": hub.Model({"config.json": b"{}", "model.safetensors": b"x", path: b"evil"})})
            self.pull("org/evil", code=3, words=["rfilename", "relative file name"])
            self.pull("org/evil", "--from", "modelscope", code=3, words=["Path", "relative file name"])
        self.assertEqual(list(self.scratch.rglob("x")), [])

    def test_an_html_page_instead_of_the_file(self):
        self.serve_big(broken(-1, status=200, body=b"<html>", kind="text/html"))
        self.pull("org/tiny", code=3, words=["model.safetensors", "HTML page"])

    def test_redirect_loop(self):
        def fault(handler):
            if "resolve" in handler.path:
                handler.answer(302, b"", headers=[("Location", handler.path + "?secret=1")])
                return True
            return False
        self.serve_big(fault)
        error = self.pull("org/tiny", code=3, words=["redirects"])
        self.assertNotIn("secret", error)

    def test_other_bytes_of_the_same_size_are_refused_and_not_kept(self):
        good = self.big["model.safetensors"]
        self.serve_big(lambda handler: "safetensors" in handler.path and (handler.content(good[:-1] + b"?") or True))
        if good.endswith(b"?"):
            self.fail("the test's own change is none")
        self.pull("org/tiny", code=3, words=["model.safetensors", "sha256", "is not used"])
        self.check_nothing_half_written()
        self.assertFalse((self.cache / "models--org--tiny/refs/main").exists())
        self.server.fault = None
        self.assertGreaterEqual(self.pull("org/tiny")["fetched_bytes"], BIG)
        self.check_nothing_half_written()

    def test_a_file_of_another_size(self):
        good = self.big["model.safetensors"]
        for content in (good[:-1], good + b"!"):
            self.serve_big(lambda handler, content=content: "safetensors" in handler.path and (handler.content(content) or True))
            self.pull("org/tiny", code=3, words=["model.safetensors", "changed on the hub"])

    def test_a_server_without_ranges(self):
        self.serve_big(lambda handler: "safetensors" in handler.path and (handler.answer(200, self.big["model.safetensors"],
                                                                                      "application/octet-stream") or True))
        self.pull("org/tiny")
        self.check_nothing_half_written()

    def test_a_body_that_ends_again_and_again(self):
        good = self.big["model.safetensors"]
        self.serve_big(lambda handler: "safetensors" in handler.path and (handler.content(good, cut=3_000_000) or True))
        self.pull("org/tiny")
        self.assertLess(self.server.sent("safetensors"), BIG + (1 << 20))  # it goes on where it was
        self.check_nothing_half_written()

    def test_the_token_stays_at_the_hub(self):
        seen = {}

        def fault(handler):
            if "resolve" in handler.path and "safetensors" in handler.path:
                seen["hub"] = handler.headers.get("Authorization")
                handler.answer(302, b"", headers=[("Location", elsewhere.url.replace("127.0.0.1", "localhost") + handler.path)])
                return True
            return False

        def note(handler):
            seen["elsewhere"] = handler.headers.get("Authorization")
            return False
        elsewhere = hub.Hub({"org/tiny": hub.Model(self.big)}, note)
        self.addCleanup(elsewhere.__exit__)
        self.serve_big(fault)
        self.pull("org/tiny", HF_TOKEN="hf_secret", no_proxy="127.0.0.1,localhost")
        self.assertEqual(seen, {"hub": "Bearer hf_secret", "elsewhere": None})

    def test_a_proxy(self):
        self.serve_big()
        proxy = hub.Hub(self.server.models)  # it answers absolute URLs by their paths
        self.addCleanup(proxy.__exit__)
        self.pull("org/tiny", HF_ENDPOINT="http://hub.invalid", http_proxy=proxy.url, no_proxy="")
        self.assertEqual(self.server.requests(), [])
        self.assertGreater(len(proxy.requests("hub.invalid")), 1)

    def test_nobody_answers(self):
        self.serve_big()
        self.server.__exit__()
        begin = time.monotonic()
        self.pull("org/tiny", code=3, words=[self.server.url, "onnect"])
        self.assertLess(time.monotonic() - begin, 60)

    def test_a_connection_that_stands_still(self):
        stop, stalled = threading.Event(), []

        def fault(handler):
            if "safetensors" not in handler.path or stalled:
                return False
            stalled.append(1)
            handler.send_response(200)
            handler.send_header("Content-Length", str(BIG))
            handler.end_headers()
            stop.wait(60)
            handler.close_connection = True
            return True
        self.serve_big(fault)
        self.addCleanup(stop.set)
        self.pull("org/tiny", HF_HUB_DOWNLOAD_TIMEOUT="2")

    def test_two_pulls_at_once_fetch_once(self):
        self.serve_big()
        self.server.rate = 20e6
        with concurrent.futures.ThreadPoolExecutor() as pool:
            found = list(pool.map(lambda _: self.pull("org/tiny"), range(2)))
        self.assertEqual(sorted(one["fetched_bytes"] > 0 for one in found), [False, True])
        self.assertEqual(self.server.sent("safetensors"), BIG)
        self.check_nothing_half_written()

    def test_a_full_disk(self):
        disk = self.home / "disk"
        disk.mkdir()
        if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", disk], capture_output=True).returncode:
            if os.environ.get("CI") == "true":
                self.fail("CI runs as root and mounts a small disk")
            self.skipTest("a small disk needs root")
        self.addCleanup(subprocess.run, ["umount", disk], check=True)
        self.serve_big()
        self.pull("org/tiny", code=3, words=["MB of free disk", str(disk)], HF_HUB_CACHE=str(disk))
        # The disk fills while the file is fetched.
        small = {"config.json": b"{}", "model.safetensors": self.big["model.safetensors"][:10 << 20]}

        def fill(handler):
            if "safetensors" in handler.path and not (disk / "filler").exists():
                (disk / "filler").write_bytes(b"x" * (25 << 20))
            return False
        self.serve({"org/tiny": hub.Model(small)}, fill)
        self.pull("org/tiny", code=3, words=["No space left"], HF_HUB_CACHE=str(disk))
        (disk / "filler").unlink()
        self.server.fault = None
        self.assertLess(self.pull("org/tiny", HF_HUB_CACHE=str(disk))["fetched_bytes"], 10 << 20)

    def test_kills_lose_nothing(self):
        """Kills a pull of 200 MB 30 times. It repeats at most 16 MB a kill."""
        chance = random.Random(5)
        size, kills = 200_000_000, 30
        self.serve({"org/tiny": hub.Model({"config.json": b"{}", "model.safetensors": chance.randbytes(size)})})
        self.server.rate = size / 4 / 30  # bytes per second of each of four connections: 30 s in all
        for _ in range(kills):
            process = subprocess.Popen([merope.BIN, "pull", "org/tiny"], env={**os.environ, **self.environment()},
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(chance.uniform(0.1, 1.2))
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.assertFalse(list(self.cache.glob("models--*/snapshots/*/model.safetensors")))
        self.server.rate = None
        self.pull("org/tiny")
        self.check_nothing_half_written()
        self.assertLess(self.server.sent("safetensors") - size, kills * (16 << 20))


if __name__ == "__main__":
    merope.main()
