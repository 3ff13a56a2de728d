"""Dumps a model in transformers with msprobe, Ascend's tool, and judges the dump with `merope verify --layers`: once as it is, and once
with a fault, which must be named. Run with any Python 3; it needs MEROPE_ORACLES_PYTHON (scripts/setup --oracles), and installs msprobe
into build/real/msprobe.

    msprobe.py
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import record
import servers

FOLDER = servers.ROOT / "build/real/msprobe"
MEROPE = os.environ.get("MEROPE_BIN", str(servers.ROOT / "build/release/merope"))
FAULTY = "layers.7.self_attn.k_proj"

# Runs in msprobe's environment: MODEL PROMPTS DUMP CONFIG FAULTY-OR-EMPTY.
DUMPER = """
import json, sys
sys.path.insert(0, "tools")
import torch, dump_hf_logits
from msprobe.pytorch import PrecisionDebugger
model_path, prompts, dump, config, faulty = sys.argv[1:]
model = dump_hf_logits.load(model_path, torch.bfloat16)
if faulty:
    with torch.no_grad():
        model.get_submodule("model." + faulty).weight[5] *= 1.5
debugger = PrecisionDebugger(config_path=config, dump_path=dump)
for prompt in json.load(open(prompts))["prompts"][:3]:
    debugger.start(model=model)
    with torch.inference_mode():
        model(input_ids=torch.tensor([prompt["ids"]]), use_cache=False)
    debugger.stop()
    debugger.step()
"""


def install():
    """Makes the environment: msprobe beside the packages of the oracles. Returns its Python."""
    python = FOLDER / "venv/bin/python"
    (pinned,) = re.findall(r"^MSPROBE=(\S+)$", (servers.ROOT / "scripts/versions.sh").read_text(), re.M)
    if not (FOLDER / pinned).exists():
        shutil.rmtree(FOLDER, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", FOLDER / "venv"], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", pinned], check=True)
        paths = [subprocess.run([program, "-c", "import site; print(site.getsitepackages()[0])"], check=True, capture_output=True, text=True)
                 .stdout.strip() for program in (python, os.environ["MEROPE_ORACLES_PYTHON"])]
        pathlib.Path(paths[0], "oracles.pth").write_text(paths[1] + "\n")  # after its own packages
        (FOLDER / pinned).touch()
    return python


def judge(python, prompts, name, faulty):
    """Dumps and judges the model. Returns the result of merope verify --layers."""
    dump, layers = FOLDER / name, FOLDER / f"{name}.safetensors"
    shutil.rmtree(dump, ignore_errors=True)
    config = FOLDER / "config.json"
    config.write_text(json.dumps({"task": "tensor", "dump_path": str(dump), "rank": [], "step": [], "level": "L0",
                                  "tensor": {"scope": [], "list": [], "data_mode": ["all"]}}))
    subprocess.run([python, "-c", DUMPER, record.SMOLLM2, prompts, dump, config, faulty], check=True, cwd=servers.ROOT,
                   stdout=subprocess.DEVNULL)
    subprocess.run([os.environ["MEROPE_ORACLES_PYTHON"], servers.ROOT / "tools/dump_layers.py", "msprobe", dump, layers], check=True)
    done = subprocess.run([MEROPE, "verify", record.SMOLLM2, "--layers", "--target", layers, "--numerics", "bf16-ops", "--json"],
                          capture_output=True, text=True)
    if done.returncode not in (0, 1):
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def main():
    python = install()
    prompts = FOLDER / "prompts.json"
    subprocess.run([MEROPE, "verify", record.SMOLLM2, "--quick", "--dump-prompts", prompts], check=True, capture_output=True)
    honest = judge(python, prompts, "honest", "")
    worst = max(point["ratio_alone"] for point in honest["points"])
    print(f"honest: {honest['verdict']}, {len(honest['points'])} points, largest ratio of an own error {worst:.2f}", flush=True)
    faulty = judge(python, prompts, "faulty", FAULTY)
    culprit = faulty["culprit"] or {}
    print(f"one row of {FAULTY} times 1.5: {faulty['verdict']}, {culprit.get('point')}, ratio {culprit.get('ratio', 0):.2f}")
    sys.exit(honest["verdict"] != "PASS" or faulty["verdict"] != "FAIL" or culprit["point"] != FAULTY)


if __name__ == "__main__":
    main()
