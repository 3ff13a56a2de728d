"""merope verify --bundle and merope replay: the evidence gives the same result again, without the model and the server, and a byte
that has changed is named."""

import hashlib
import json
import shutil

import endpoint_test
import endpoints
import merope

BLOCK = 64 << 10


class BundleTest(endpoint_test.ServedCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.model = endpoint_test.sharpen(cls.model)

    def bundle(self, name, *arguments, code=0, **options):
        folder = self.scratch / name
        done = merope.run("verify", self.model, *arguments, "--json", "--bundle", folder, timeout=600, **options)
        self.assertEqual(done.returncode, code, done.stderr.decode(errors="replace"))
        return folder, json.loads(done.stdout)

    def replay(self, folder, code=0):
        done = merope.run("replay", folder, "--json", timeout=600)
        self.assertEqual(done.returncode, code, done.stderr.decode(errors="replace"))
        return json.loads(done.stdout)

    def damage(self, folder):
        """Flips a byte of each file, at its beginning and at its end; each must be named, with its place."""
        for file in sorted(folder.iterdir()):
            size = file.stat().st_size
            for at in {0, size // 2, size - 1}:
                with file.open("r+b") as f:
                    f.seek(at)
                    byte = f.read(1)
                    f.seek(at)
                    f.write(bytes([byte[0] ^ 4]))
                error = self.refused(3, file.name, "replay", folder)
                if not file.name.startswith("manifest"):
                    begin = at // BLOCK * BLOCK
                    self.assertIn(f"{file.name}: a byte between {begin} and {min(begin + BLOCK, size) - 1} has changed", error)
                with file.open("r+b") as f:
                    f.seek(at)
                    f.write(byte)

    def reseal(self, folder, name, data):
        """Writes a file, and its hashes into the manifest, as a forger would."""
        (folder / name).write_bytes(data)
        manifest = json.loads((folder / "manifest.json").read_text())
        for entry in manifest["files"]:
            if entry["file"] == name:
                entry["bytes"], entry["sha256"] = len(data), hashlib.sha256(data).hexdigest()
                entry["blocks"] = [hashlib.sha256(data[i:i + BLOCK]).hexdigest() for i in range(0, len(data), BLOCK)]
        text = json.dumps(manifest).encode()
        (folder / "manifest.json").write_bytes(text)
        (folder / "manifest.sha256").write_text(f"{hashlib.sha256(text).hexdigest()}  manifest.json\n")

    def test_a_model(self):
        folder, result = self.bundle("own", "--quick", "--dtype", "int8", code=1)
        self.assertEqual({f.name for f in folder.iterdir() if not f.name.startswith("suspects-")},
                         {"manifest.json", "manifest.sha256", "verification.json", "result.json", "baseline.f32", "target.f32",
                          "reference.f32", "emulated.f32", "rounded.f32"})
        manifest = json.loads((folder / "manifest.json").read_text())
        weights = (self.model / "model.safetensors").read_bytes()
        self.assertEqual(manifest["weights"], [{"file": "model.safetensors", "bytes": len(weights), "sha256": hashlib.sha256(weights).hexdigest()}])
        self.assertEqual([e["sha256"] for e in manifest["tokenizer"] if e["file"] == "tokenizer.json"],
                         [hashlib.sha256((self.model / "tokenizer.json").read_bytes()).hexdigest()])
        self.assertEqual(self.replay(folder, code=1), result)
        self.damage(folder)
        self.assertEqual(self.replay(folder, code=1), result)
        self.assertIn("follow from the kept rows", merope.run("replay", folder).stdout.decode())

    def test_a_server(self):
        server = self.serve(endpoints.MeropeServer(self.model, "--dtype", "bf16"))
        eager = self.serve(endpoints.MeropeServer(self.model, "--dtype", "bf16"))
        url = server.url.replace("http://", "http://user:geheim@")
        folder, result = self.bundle("server", *endpoint_test.QUICK, "--endpoint", url, "--endpoint-eager", eager.url, "--stability",
                                     "--api-key-env", "MY_KEY", env={"MY_KEY": "sk-geheim"})
        server.__exit__()
        eager.__exit__()
        self.assertEqual(self.replay(folder), result)
        for file in folder.iterdir():
            self.assertNotIn(b"geheim", file.read_bytes(), file)
        self.damage(folder)
        # An answer that is not there is an error, not a question to the server.
        lines = (folder / "answers.jsonl").read_bytes().splitlines(keepends=True)
        self.reseal(folder, "answers.jsonl", b"".join(lines[:-1]))
        self.refused(3, "expected an answer in the file of answers, found none", "replay", folder)

    def test_a_server_with_a_file_of_answers(self):
        server = self.serve(endpoints.MeropeServer(self.model, "--dtype", "bf16"))
        answers = self.scratch / "answers.jsonl"
        folder, result = self.bundle("answers", *endpoint_test.QUICK, "--endpoint", server.url, "--answers", answers)
        self.assertEqual((folder / "answers.jsonl").read_bytes(), answers.read_bytes())
        self.assertEqual(self.replay(folder), result)

    def test_files_of_logits(self):
        prompts, rows = self.scratch / "prompts.json", self.scratch / "rows.safetensors"
        self.good("verify", self.model, "--quick", "--dump-prompts", prompts)
        self.good("verify", self.model, "--dtype", "bf16", "--prompts", prompts, "--dump-logits", rows)
        folder, result = self.bundle("file", "--quick", "--target", rows)
        rows.unlink()
        self.assertEqual(self.replay(folder), result)

    def test_a_forged_result_is_seen(self):
        folder, result = self.bundle("forged", "--quick")
        copy = self.scratch / "copy"
        kept = json.loads((folder / "result.json").read_text())
        for change, words in ((lambda r: r["positions"]["figures"]["kl"].update(mean=0.5), "/positions/figures/kl/mean: the rows give"),
                              (lambda r: r.update(verdict="FAIL"), "/verdict: the rows give the string \"PASS\", found the string \"FAIL\""),
                              (lambda r: r.pop("mode"), "/mode: the rows give the string \"quick\", found nothing")):
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(folder, copy)
            forged = json.loads(json.dumps(kept))
            change(forged)
            self.reseal(copy, "result.json", json.dumps(forged).encode())
            self.refused(3, words, "replay", copy)
        facts = json.loads((folder / "verification.json").read_text())
        for change, words in ((lambda f: f.pop("prompts"), "prompts: expected a list, found nothing"),
                              (lambda f: f["prompts"].append(f["prompts"][0]), "expected one of its own"),
                              (lambda f: f["prompts"][0]["ids"].append(-1), "expected token ids"),
                              (lambda f: f["prompts"][0]["ids"].append(5), "baseline.f32: expected "),
                              (lambda f: f["prompts"][0]["ids"].append(512), "expected token ids below"),
                              (lambda f: f["prompts"][0].update(first=99), "first: expected"),
                              (lambda f: f.update(prompts=[]), "expected at least 2 positions"),
                              (lambda f: f["config"].update(vocab_size=2**31), "expected"),
                              (lambda f: f["config"].update(vocab_size=1), "vocab_size"),
                              (lambda f: f.update(mode="x"), "mode: expected quick, default or full"),
                              (lambda f: f.update(numerics="x"), "numerics: expected"),
                              (lambda f: f.update(reference_positions=-1), "reference_positions"),
                              (lambda f: f.update(names={"x": "y"}), "names: expected texts by token id"),
                              (lambda f: f.update(samples=[{"sample": 0, "positions": [["a", 9]]}]), "suspects-0.f32"),
                              (lambda f: f.update(endpoint={}), "endpoint.url: expected a text, found nothing"),
                              (lambda f: f.update(format=2), "format: expected")):
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(folder, copy)
            forged = json.loads(json.dumps(facts))
            change(forged)
            self.reseal(copy, "verification.json", json.dumps(forged).encode())
            self.refused(3, words, "replay", copy)

    def test_directories(self):
        full = self.scratch / "full"
        full.mkdir()
        (full / "a").write_text("")
        self.refused(3, "full: expected an empty or a new directory", "verify", self.model, "--quick", "--bundle", full)
        self.refused(3, "a: ", "verify", self.model, "--quick", "--bundle", full / "a")
        self.refused(3, "none/manifest.json: expected a file that can be read: No such file", "replay", self.scratch / "none")
        self.refused(3, "full/manifest.json", "replay", full)
        self.refused(64, "DIR", "replay")
        self.refused(64, "bundle", "verify", self.model, "--bundle", "x", "--self-test")


if __name__ == "__main__":
    merope.main()
