"""Runs the workers as processes, and measures rounds of turns.

A round is ours, theirs, theirs, ours. "ours" is merope, and "theirs" is the peer. The machine is
probed between any two turns.
"""

import ctypes
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
ANSWER_SECONDS = 900
TURN_SECONDS = 0.7  # at least
PROBE_SECONDS = 0.6
PR_SET_PDEATHSIG = 1


class NotStarted(Failure):
    """A worker that failed before it could answer a request."""


def die_with_parent():
    """In the child: the kernel sends SIGKILL when the parent ends for any reason. Otherwise a
    stopped worker would stay for ever."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Worker:
    """A process that loads a model and measures on request. The process is stopped while it has no
    work: a worker whose threads spin would slow the other worker."""

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
                preexec_fn=die_with_parent,
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
            pass  # reply() reports the cause
        answer = self.reply(ANSWER_SECONDS)
        self.signal(signal.SIGSTOP)
        return answer

    def close(self):
        self.signal(signal.SIGKILL)
        self.process.communicate()


class Probe:
    """Measures what the machine can do at this moment, with `merope bench roofline`."""

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


def prepare(ours, theirs, shape):
    """Runs the work once on each side, since a first run sets things up. Returns how often each
    side repeats the work in a turn, so that a turn lasts TURN_SECONDS."""
    if shape.long:
        theirs.measure(shape, 0, 1)  # merope needs none: it is a new process in every turn
        return {"ours": 1, "theirs": 1}
    seconds = {"ours": ours.measure(shape, 1, 1)["total_s"], "theirs": theirs.measure(shape, 1, 1)["total_s"]}
    return {side: min(10, max(1, math.ceil(TURN_SECONDS / value))) for side, value in seconds.items()}


def measure_shape(ours, theirs, shape, dtype, rounds, probe, costs):
    """Returns cell name -> its figures, one ratio per round, and the probes. With a long shape,
    each side has one turn per round; ours and theirs are first alternately."""
    workers = {"ours": ours, "theirs": theirs}
    repeats = prepare(ours, theirs, shape)
    found = {cell.name: {"unit": cell.unit, "ours": [], "theirs": [], "ratios": [], "shares": []} for cell in shape.cells}
    probes, rss = [probe()], {}
    for number in range(rounds):
        order = ["ours", "theirs"] if number % 2 == 0 else ["theirs", "ours"]
        order = order if shape.long else ["ours", "theirs", "theirs", "ours"]
        figures = {cell.name: {"ours": [], "theirs": []} for cell in shape.cells}
        for side in order:
            answer = workers[side].measure(shape, shape.warmup, repeats[side])
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
