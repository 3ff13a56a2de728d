"""ORG/NAME wherever the package takes a model, against the hub of tests/e2e/hub.py."""

import logging
import os
import subprocess
import sys
import time

import pytest
from conftest import ROOT

from merope import LLM, AsyncLLM, SamplingParams
from merope.bench import latency
from merope.verify import verify

sys.path.append(str(ROOT / "tests/e2e"))
import hub as hubs  # noqa: E402

GREEDY = SamplingParams(temperature=0, max_tokens=4, ignore_eos=True)


@pytest.fixture
def hub(model, tmp_path, monkeypatch):
    """A hub with the model acme/tiny, and a home without a cache."""
    files = {path.name: path.read_bytes() for path in model.iterdir()}
    with hubs.Hub({"acme/tiny": hubs.Model(files)}) as server:
        for name, value in server.environment(tmp_path).items():
            monkeypatch.setenv(name, value)
        yield server


def test_a_model_is_fetched_once_and_said(hub, llm, tmp_path, caplog):
    fetched = LLM("acme/tiny", max_model_len=64)
    assert fetched.generate("Hello", GREEDY)[0].outputs == llm.generate("Hello", GREEDY)[0].outputs
    (line,) = [record for record in caplog.records if "fetching" in record.message]
    assert line.levelno == logging.WARNING
    size = sum(len(content) for content in hub.models["acme/tiny"].files.values()) / 1e6
    assert line.message == f"fetching acme/tiny from {hub.url}: {size:.1f} of {size:.1f} MB, into {tmp_path}/hf/hub/models--acme--tiny"
    asked = len(hub.requests())
    caplog.clear()
    AsyncLLM("acme/tiny@main", max_model_len=64)
    assert (len(hub.requests()), caplog.text) == (asked, "")


def test_a_cached_model_needs_no_network(hub, model, monkeypatch):
    LLM("acme/tiny", max_model_len=64)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    result = verify("acme/tiny", quick=True)
    assert "models--acme--tiny" in result.model
    assert result.first_token == verify(model, quick=True).first_token
    measured = latency("acme/tiny", mode="eager", input_len=4, output_len=2, warmup=0, repeats=1)
    assert measured.model == result.model


@pytest.mark.parametrize("load", [LLM, verify, latency])
def test_offline_the_error_names_the_command(hub, monkeypatch, load):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ValueError, match="^acme/tiny: no such path, and it is not in the cache; HF_HUB_OFFLINE is set, so fetch the "
                       "model elsewhere with `merope pull acme/tiny`$"):
        load("acme/tiny")
    assert hub.requests() == []


def test_a_model_that_the_hub_lacks(hub):
    with pytest.raises(ValueError, match="^acme/tin: no such path, and not in the cache: .* has no model acme/tin.*near names: acme/tiny"):
        LLM("acme/tin")


def test_ctrl_c_ends_a_slow_fetch(hub):
    hub.rate = 20_000  # bytes per second: more than ten seconds
    script = ("import os, signal, threading, time\nfrom merope import LLM\n"
              "threading.Thread(target=lambda: (time.sleep(1), os.kill(os.getpid(), signal.SIGINT)), daemon=True).start()\n"
              "try:\n    LLM('acme/tiny')\nexcept KeyboardInterrupt:\n    print('stopped')")
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, env=os.environ)
    assert done.stdout == "stopped\n", done.stderr
    assert time.monotonic() - begin < 6
