"""Workers as processes, and rounds of turns: ours, theirs, theirs, ours, the machine probed between any two."""

import json
import math
import os
import select
import signal
import statistics
import subprocess
import time

import cells
from install import Failure, last_lines

LOAD_SECONDS = 900  # vLLM compiles while it loads
TURN_SECONDS = 900
PROBE_SECONDS = 0.6


class NotStarted(Failure):
    """A worker that did not come to answer anything."""


class Worker:
    """A process that loads a model and measures on request. Stopped while it has nothing to do: a worker whose threads
    spin would slow the other."""

    def __init__(self, name, command, environment, log):
        self.name, self.log, self.buffer = name, log, b""
        with open(log, "w") as stderr:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        try:
            self.ready = self.reply(LOAD_SECONDS)
        except Failure as failure:
            raise NotStarted(str(failure)) from None
        self.signal(signal.SIGSTOP)

    def signal(self, number):
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass

    def reply(self, seconds):
        deadline = time.monotonic() + seconds
        pipe = self.process.stdout.fileno()
        while b"\n" not in self.buffer:
            wait = deadline - time.monotonic()
            if wait <= 0 or not select.select([pipe], [], [], wait)[0]:
                self.fail(f"no answer within {seconds} s")
            piece = os.read(pipe, 65536)
            if not piece:
                self.process.wait()
                self.fail(f"ended with {self.process.returncode}")
            self.buffer += piece
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def fail(self, what):
        self.close()
        raise Failure(f"{self.name} {what}; the end of {os.path.basename(self.log)}:\n{last_lines(self.log)}")

    def measure(self, shape, warmup, repeats):
        request = {"batch": shape.batch, "input": shape.input, "output": shape.output}
        self.signal(signal.SIGCONT)
        try:
            self.process.stdin.write(json.dumps({**request, "warmup": warmup, "repeats": repeats}).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # reply() says why
        answer = self.reply(TURN_SECONDS)
        self.signal(signal.SIGSTOP)
        return answer

    def close(self):
        self.signal(signal.SIGKILL)
        self.process.communicate()


class Probe:
    """What the machine can do this moment, by `merope bench roofline`."""

    def __init__(self, merope, threads):
        options = ["--threads", str(threads), "--seconds", str(PROBE_SECONDS), "--json"]
        self.command = [merope, "bench", "roofline", *options]

    def __call__(self):
        done = subprocess.run(self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise Failure(f"merope bench roofline failed with {done.returncode}:\n{done.stderr}")
        row = json.loads(done.stdout)["rows"][-1]
        return {name: row[name]["p50"] for name in ("read_bytes_s", "fp32_flop_s", "bf16_flop_s", "int8_op_s")}


def between(before, after):
    return {name: (before[name] + after[name]) / 2 for name in before}


def repeats_for(worker, shape):
    """So many that a turn takes a second. The first run, which may have things to set up, counts for nothing."""
    if shape.long:
        worker.measure(shape, 0, 1)
        return 1
    seconds = worker.measure(shape, 1, 1)["total_s"]
    return min(10, max(1, math.ceil(1 / seconds)))


def measure_shape(ours, theirs, shape, dtype, rounds, probe, costs):
    """Cell name -> its figures, a ratio a round, and the probes. A round of a long shape is one turn each, in turns."""
    workers = {"ours": ours, "theirs": theirs}
    repeats = {side: repeats_for(worker, shape) for side, worker in workers.items()}
    found = {cell.name: {"unit": cell.unit, "ours": [], "theirs": [], "ratios": [], "shares": []} for cell in shape.cells}
    probes, rss = [probe()], {}
    for number in range(rounds):
        order = ["ours", "theirs"] if number % 2 == 0 else ["theirs", "ours"]
        order = order if shape.long else ["ours", "theirs", "theirs", "ours"]
        figures = {cell.name: {"ours": [], "theirs": []} for cell in shape.cells}
        for side in order:
            answer = workers[side].measure(shape, 0 if shape.long else 1, repeats[side])
            rss[side] = answer["peak_rss_bytes"]
            probes.append(probe())
            around = between(probes[-2], probes[-1])
            for cell in shape.cells:
                figure = cell.figure(shape, answer)
                figures[cell.name][side].append(figure)
                if side == "ours":
                    share = cells.limit_share(costs, cell, shape, dtype, figure, answer, around)
                    if share is not None:
                        found[cell.name]["shares"].append(share)
        for cell in shape.cells:
            mean = {side: statistics.mean(values) for side, values in figures[cell.name].items()}
            found[cell.name]["ratios"].append(cell.speedup(mean["ours"], mean["theirs"]))
            for side, values in figures[cell.name].items():
                found[cell.name][side] += values
    for entry in found.values():
        entry["probes"], entry["peak_rss_bytes"], entry["repeats"] = probes, dict(rss), repeats
    return found
