"""Models that one program fetches, another one finds: merope, huggingface_hub, transformers and modelscope, with their own clients
and caches. The hub is the one of tests/e2e/hub.py; that their clients download from it unchanged shows that it speaks their APIs."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import hub  # noqa: E402
import merope  # noqa: E402


class HubOracle(merope.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.files = {path.name: path.read_bytes() for path in cls.model.iterdir()}

    def setUp(self):
        self.home = pathlib.Path(tempfile.mkdtemp(dir=self.scratch))
        self.server = hub.Hub({"org/tiny-1.5": hub.Model(self.files)})
        self.addCleanup(self.server.__exit__)

    def environment(self, **more):
        return {**self.server.environment(self.home), **more}

    def python(self, source, **environment):
        done = subprocess.run([sys.executable, "-c", source], env={**os.environ, **self.environment(**environment)}, capture_output=True,
                              text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.splitlines()[-1]

    def test_transformers_reads_what_merope_fetched(self):
        pulled = json.loads(self.good("pull", "org/tiny-1.5", "--json", env=self.environment()).stdout)
        asked = len(self.server.requests())
        found = json.loads(self.python(
            "import json, torch, transformers\n"
            "model = transformers.AutoModelForCausalLM.from_pretrained('org/tiny-1.5', dtype=torch.float32)\n"
            "tokenizer = transformers.AutoTokenizer.from_pretrained('org/tiny-1.5')\n"
            "print(json.dumps([model.num_parameters(), tokenizer('hi there')['input_ids']]))", HF_HUB_OFFLINE="1"))
        ours = json.loads(self.good("tokenize", "org/tiny-1.5", "hi there", "--json", env=self.environment(HF_HUB_OFFLINE="1")).stdout)
        self.assertEqual(found[1][-len(ours["ids"]):], ours["ids"])
        self.assertGreater(found[0], 0)
        path = self.python("import huggingface_hub\nprint(huggingface_hub.snapshot_download('org/tiny-1.5'))", HF_HUB_OFFLINE="1")
        self.assertEqual(path, pulled["path"])
        self.assertEqual(len(self.server.requests()), asked)

    def test_huggingface_hub_adds_only_what_is_missing(self):
        self.good("pull", "org/tiny-1.5", env=self.environment())
        sent = self.server.sent("model.safetensors")
        path = self.python("import huggingface_hub\nprint(huggingface_hub.snapshot_download('org/tiny-1.5'))")
        self.assertEqual(self.server.sent("model.safetensors"), sent)
        for name, content in self.files.items():
            self.assertEqual((pathlib.Path(path) / name).read_bytes(), content)

    def test_merope_reads_what_huggingface_hub_fetched(self):
        self.python("import huggingface_hub\nprint(huggingface_hub.snapshot_download('org/tiny-1.5'))")
        self.good("inspect", "org/tiny-1.5", env=self.environment(HF_HUB_OFFLINE="1"))
        pulled = json.loads(self.good("pull", "org/tiny-1.5", "--json", env=self.environment()).stdout)
        self.assertEqual(pulled["fetched_bytes"], 0)

    def test_merope_reads_what_modelscope_fetched(self):
        path = self.python("from modelscope import snapshot_download\nprint(snapshot_download('org/tiny-1.5'))")
        self.assertTrue(path.startswith(str(self.home / "modelscope")), path)
        self.good("inspect", "org/tiny-1.5", env=self.environment(HF_HUB_OFFLINE="1"))
        self.assertFalse((self.home / "hf/hub").exists())

    def test_merope_reads_the_older_cache_of_modelscope(self):
        for number, above in enumerate(("models", "hub/models", "hub")):
            home = self.home / str(number)
            folder = home / above / "org/tiny-1___5"
            folder.mkdir(parents=True)
            for name, content in self.files.items():
                (folder / name).write_bytes(content)
            self.good("inspect", "org/tiny-1.5", env=self.environment(HF_HUB_OFFLINE="1", MODELSCOPE_CACHE=str(home)))


if __name__ == "__main__":
    merope.main()
