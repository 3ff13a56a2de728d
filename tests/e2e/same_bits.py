"""Two builds of merope give the same bits: python3 same_bits.py MEROPE OTHER MODEL.

Compares every token and logprob of a generation, and the logits of all positions of the short prompts of the precision
suite, byte for byte.
"""

import filecmp
import json
import pathlib
import subprocess
import sys
import tempfile


def run(program, *arguments):
    return subprocess.run([program, *map(str, arguments)], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


def main(programs, model):
    different = []
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        prompts = scratch / "prompts.json"
        run(programs[0], "verify", model, "--quick", "--dump-prompts", prompts)
        for dtype in ("fp32", "bf16"):
            generated, dumps = [], []
            for i, program in enumerate(programs):
                result = json.loads(run(program, "run", model, "The capital of France is", "--max-tokens", 64, "--ignore-eos",
                                        "--dtype", dtype, "--json"))
                generated.append((result["ids"], result["logprobs"]))
                dumps.append(scratch / f"{i}.safetensors")
                run(program, "verify", model, "--dtype", dtype, "--quick", "--prompts", prompts, "--dump-logits", dumps[-1])
            same = [generated[0] == generated[1], filecmp.cmp(*dumps, shallow=False)]
            print(f"{dtype}: {len(generated[0][0])} generated tokens and logprobs {'equal' if same[0] else 'DIFFER'}; "
                  f"{dumps[0].stat().st_size} bytes of logits {'equal' if same[1] else 'DIFFER'}")
            if not all(same):
                different.append(dtype)
    return 1 if different else 0


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: same_bits.py MEROPE OTHER MODEL")
    sys.exit(main(sys.argv[1:3], sys.argv[3]))
