"""Tests the Python package as a user installs it: pip install of this checkout into a new environment, the README's example,
code written for vLLM, the package's own tests, and its types."""

import json
import os
import pathlib
import re
import subprocess
import sys
import textwrap

import merope

MODEL = os.environ.get("MEROPE_SMOLLM2", "")


class Python(merope.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.model = cls.synth("python-model", max_position_embeddings=4096)
        venv = cls.scratch / "venv"
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        cls.python = venv / "bin/python"
        # The flags and the compiler's name are those of the program's build, so ccache has most of the objects.
        cls.call("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--config-settings",
                 "cmake.define.MEROPE_WERROR=ON", f"{merope.ROOT}[test]", **cls.compiler())

    @staticmethod
    def compiler():
        try:
            cache = pathlib.Path(os.environ["MEROPE_BUILD"], "CMakeCache.txt").read_text()
        except (KeyError, FileNotFoundError):
            return {}
        found = re.search(r"^CMAKE_CXX_COMPILER:\w+=(.+)$", cache, re.M)
        return {"CXX": found[1]} if found else {}

    @classmethod
    def run_python(cls, *arguments, cwd=None, **variables):
        """Runs the environment's Python. Returns standard output and standard error."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment |= variables
        done = subprocess.run([cls.python, *map(str, arguments)], cwd=cwd or cls.scratch, env=environment,
                              capture_output=True, text=True, timeout=1000)
        if done.returncode != 0:
            raise AssertionError(f"{arguments}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout, done.stderr

    @classmethod
    def call(cls, *arguments, **options):
        """Runs the environment's Python. Returns standard output."""
        return cls.run_python(*arguments, **options)[0]

    def test_the_readmes_example(self):
        readme = (merope.ROOT / "README.md").read_text()
        example, shown = re.search(r"^(    from merope import .*\n(?:(?:    .*)?\n)+)prints\n\n(?:<!--.*-->\n\n)?    (.*)\n", readme, re.M).groups()
        example = textwrap.dedent(example)
        (path,) = re.findall(r'LLM\("(.*?)"', example)
        printed = self.call("-c", example.replace(path, MODEL or str(self.model)))
        self.assertTrue(printed.strip())
        if MODEL:
            self.assertEqual(printed.strip(), shown)

    def test_code_for_vllm_runs_with_another_import(self):
        code = textwrap.dedent(f"""
            from merope import LLM
            llm = LLM(
                model="{self.model}",
                dtype="bfloat16",
                max_model_len=4096,
                tensor_parallel_size=1,
            )
            eager = LLM(model="{self.model}", dtype="bfloat16", max_model_len=4096, tensor_parallel_size=1,
                        enforce_eager=True, gpu_memory_utilization=0.9)
            LLM(model="{self.model}", gpu_memory_utilization=0.5)
            from merope import SamplingParams
            sp = SamplingParams(temperature=0.7, max_tokens=50)
            outputs = llm.generate(["What is RAG in AI?"], sp)
            text = outputs[0].outputs[0].text
            sp = SamplingParams(temperature=0.7, top_p=0.9, max_tokens=100)
            outputs = llm.generate(["Your RAG prompt here"], sp)
            text = outputs[0].outputs[0].text
            sp = SamplingParams(temperature=0.0, max_tokens=1, logprobs=20)
            top = llm.generate(["What is RAG in AI?"], sp)[0].outputs[0].logprobs[0]
            same = eager.generate(["What is RAG in AI?"], sp)[0].outputs[0].logprobs[0]
            assert len(top) == 20 and top == same
            print(type(text).__name__, sorted(entry.rank for entry in top.values()) == list(range(1, 21)))
            """)
        printed, noted = self.run_python("-c", code)
        self.assertEqual(printed, "str True\n")
        # One note, and only for the argument without effect.
        self.assertEqual(noted, "LLM: gpu_memory_utilization has no effect in merope, and changes no result\n")

    def test_the_programs_and_the_packages_tokens_are_the_same(self):
        program = json.loads(self.good("run", self.model, "Hello there", "--max-tokens", 12, "--ignore-eos", "--json").stdout)
        code = ("from merope import LLM, SamplingParams\n"
                f"o = LLM('{self.model}').generate('Hello there', SamplingParams(temperature=0, max_tokens=12, "
                "ignore_eos=True, logprobs=0))[0].outputs[0]\n"
                "print([o.token_ids, [p[t].logprob for t, p in zip(o.token_ids, o.logprobs)]])")
        self.assertEqual(json.loads(self.call("-c", code)), [program["ids"], program["logprobs"]])

    def test_its_own_tests(self):
        printed = self.call("-m", "pytest", "-q", "-p", "no:cacheprovider", merope.ROOT / "python/tests")
        print(printed.splitlines()[-1])
        if MODEL:
            self.assertNotIn("skipped", printed)

    def test_its_types(self):
        self.assertIn("Success", self.call("-m", "mypy", cwd=merope.ROOT))
        user = self.scratch / "user.py"
        user.write_text(textwrap.dedent("""
            from merope import LLM, RequestOutput, SamplingParams
            def texts(llm: LLM) -> list[str]:
                outputs: list[RequestOutput] = llm.generate(["a", "b"], SamplingParams(n=2))
                return [completion.text for output in outputs for completion in output.outputs]
            """))
        self.assertIn("Success", self.call("-m", "mypy", "--strict", user))
        user.write_text("from merope import SamplingParams\nSamplingParams(n='two')\n")
        with self.assertRaisesRegex(AssertionError, "incompatible type"):
            self.call("-m", "mypy", "--strict", user)


if __name__ == "__main__":
    merope.main()
