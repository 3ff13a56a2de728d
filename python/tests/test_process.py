"""Tests of the whole process: Ctrl-C, forks, the end of the process. Each test starts a Python."""

import signal
import subprocess
import sys
import time

BEGIN = """
import os, sys, time
from merope import LLM, SamplingParams
long = SamplingParams(temperature=0, max_tokens=None, ignore_eos=True)
short = SamplingParams(temperature=0, max_tokens=3, ignore_eos=True)
llm = LLM(sys.argv[1], max_model_len=90000)
expected = llm.generate("Hello", short)[0].outputs
"""


def start(model, script):
    return subprocess.Popen([sys.executable, "-c", BEGIN + script, str(model)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def finish(process, timeout=60):
    try:
        out, error = process.communicate(timeout=timeout)
    finally:
        process.kill()
    assert process.returncode == 0, error
    return out, error


def test_ctrl_c_stops_and_the_llm_stays_usable(model):
    process = start(model, """
try:
    print("running", flush=True)
    llm.generate(["Hello"] * 4, long)
except KeyboardInterrupt:
    stopped = time.time()
    again = llm.generate("Hello", short)[0].outputs
    done = time.time()
    def running():
        return next(m.value for m in llm.get_metrics() if m.name == "merope:num_requests_running")
    while running() and time.time() < done + 2:
        time.sleep(0.01)
    print(stopped, done, again == expected, running())
""")
    assert process.stdout.readline() == "running\n"
    time.sleep(0.5)
    sent = time.time()
    process.send_signal(signal.SIGINT)
    out, _ = finish(process)
    stopped, done, same, running = out.split()
    assert float(stopped) - sent < 1
    assert float(done) - sent < 5  # the call does not wait for 4 * 90,000 tokens
    assert (same, running) == ("True", "0")


def test_a_fork_cannot_use_it_and_says_so(model):
    out, error = finish(start(model, """
child = os.fork()
if child == 0:
    try:
        llm.generate("Hello", short)
    except RuntimeError as error:
        print("child:", error, flush=True)
        del llm
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
print("parent:", llm.generate("Hello", short)[0].outputs == expected)
"""))
    assert "child: this model was loaded before the process forked" in out
    assert out.endswith("parent: True\n")


def test_the_process_ends_with_requests_running(model):
    out, error = finish(start(model, """
import threading
thread = threading.Thread(target=lambda: llm.generate("Hello", long), daemon=True)
thread.start()
time.sleep(0.2)
print("done")
"""))
    assert (out, error) == ("done\n", "")


def test_nothing_is_left_behind(model):
    out, error = finish(start(model, """
def held():
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))
time.sleep(0.2)  # until the engine has let go of the request above
before = held()
other = LLM(sys.argv[1], max_model_len=64)
for _ in range(3):
    other.generate(["a", "b"], short)
between = held()
del other
print(between[1] > before[1], held() == before)
"""))
    assert (out, error) == ("True True\n", "")
