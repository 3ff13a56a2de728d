"""Tests the arguments that scripts written for vLLM pass, and the results that they read."""

import json
import logging
import re
import time

import pytest

from merope import LLM, AsyncLLM, RepetitionDetectionParams, SamplingParams, vllm_arguments

GREEDY = SamplingParams(temperature=0, max_tokens=4, ignore_eos=True)


def test_arguments_without_effect_are_taken_with_a_note_once(model, caplog, monkeypatch):
    monkeypatch.setattr(vllm_arguments, "_noted", set())
    given = {"swap_space": 4, "block_size": 16, "enable_chunked_prefill": True, "gpu_memory_utilization": 0.9,
             "trust_remote_code": True, "compilation_config": 3}
    quiet = {"load_format": "auto", "tokenizer_mode": "auto", "quantization": None, "revision": None,
             "pipeline_parallel_size": 1, "enable_lora": False, "logits_processors": None}
    with caplog.at_level(logging.WARNING, "merope"):
        for _ in range(2):
            LLM(model, max_model_len=64, max_num_seqs=None, enable_prefix_caching=None, **given, **quiet)
    notes = [record.getMessage() for record in caplog.records]
    assert sorted(note.split(":")[1].split()[0] for note in notes) == sorted(given)
    assert all(note.startswith("LLM: ") for note in notes)


def test_float16_runs_in_float32_with_a_note_once(model, caplog, monkeypatch):
    monkeypatch.setattr(vllm_arguments, "_noted", set())
    params = SamplingParams(temperature=0, max_tokens=4, ignore_eos=True, logprobs=3)

    def logprobs(dtype):
        (output,) = LLM(model, dtype=dtype, max_model_len=64).generate("hi", params)
        return [{id: entry.logprob for id, entry in of.items()} for of in output.outputs[0].logprobs]

    with caplog.at_level(logging.WARNING, "merope"):
        found = [logprobs(dtype) for dtype in ("float16", "half", "torch.float16")]
    assert [record.getMessage() for record in caplog.records] == [
        f"LLM: dtype {name} runs in float32, which holds all its values" for name in ("float16", "half")]
    assert found == [logprobs("float32")] * 3
    assert found[0] != logprobs("bfloat16")


@pytest.mark.parametrize(("name", "value"), [
    ("quantization", "awq"), ("load_format", "dummy"), ("tokenizer_mode", "mistral"), ("revision", "main"),
    ("tokenizer", "other"), ("hf_overrides", {"rope_theta": 1.0}), ("logits_processors", [print]),
    ("pipeline_parallel_size", 2), ("enable_lora", True), ("enable_lora", 1), ("skip_tokenizer_init", True),
    ("logprobs_mode", "processed_logits"), ("generation_config", "vllm"), ("runner", "pooling"),
])
def test_arguments_that_would_change_results_are_refused(model, name, value):
    for kind in (LLM, AsyncLLM):
        with pytest.raises(ValueError, match=f"^{kind.__name__}: {name}: expected .*, found"):
            kind(model, **{name: value})


def test_the_models_own_tokenizer_may_be_named(model):
    for tokenizer in (None, str(model), model):
        assert LLM(str(model), tokenizer=tokenizer, max_model_len=64).generate("Hello", GREEDY)
    expected = f"None or {str(model)!r}"
    with pytest.raises(ValueError, match=f"^LLM: tokenizer: expected {re.escape(expected)}, found 'other'"):
        LLM(model, tokenizer="other")


def test_unknown_arguments_are_named(model, llm):
    with pytest.raises(TypeError, match="^LLM: unexpected argument 'max_model_length'"):
        LLM(model, max_model_length=3)
    with pytest.raises(TypeError, match="^generate: unexpected argument 'temperature'"):
        llm.generate("a", GREEDY, temperature=0)
    with pytest.raises(TypeError, match="^chat: unexpected argument"):
        llm.chat([{"role": "user", "content": "a"}], GREEDY, continue_last=True)


@pytest.mark.parametrize("name", ["max_num_seqs", "max_num_batched_tokens", "max_model_len", "max_logprobs",
                                  "kv_cache_memory_bytes", "num_threads"])
def test_sizes_beyond_counting_are_errors(model, name):
    enough = [] if name == "kv_cache_memory_bytes" else [2**31, 2**62]
    for value in [*enough, 2**63, 2**64, 10**30]:
        with pytest.raises(ValueError, match=f"{name}: expected .* to .*, found {value}"):
            LLM(model, **{"max_model_len": 64, name: value})
    with pytest.raises(ValueError, match="max_model_len: expected 1 to 100000"):
        LLM(model, max_model_len=2**31 - 1)
    LLM(model, max_model_len=64, kv_cache_memory_bytes=2**62, max_num_seqs=2**20)


def test_empty_extras_of_requests_are_taken(llm):
    (plain,) = llm.generate("Hello", GREEDY)
    (extra,) = llm.generate({"prompt": "Hello", "multi_modal_data": None}, GREEDY, lora_request=None,
                            tokenization_kwargs=None)
    assert extra.outputs == plain.outputs
    llm.chat([{"role": "user", "content": "a"}], GREEDY, lora_request=None, chat_template_content_format="auto")
    with pytest.raises(ValueError, match="generate: lora_request: expected None"):
        llm.generate("a", GREEDY, lora_request="adapter")


def test_metrics_say_when(llm):
    wall, clock = time.time(), time.monotonic()
    first, second = llm.generate(["Hello", "there"], SamplingParams(n=2, max_tokens=5, ignore_eos=True, seed=1))
    for output in (first, second):
        m = output.metrics
        assert wall <= m.arrival_time <= time.time()
        assert clock <= m.queued_ts <= m.scheduled_ts <= m.first_token_ts < m.last_token_ts <= time.monotonic()
        assert 0 < m.first_token_latency <= m.first_token_ts - clock
        assert m.num_generation_tokens == 10


def test_stop_reason_of_another_eos(model, tmp_path):
    for file in model.iterdir():
        (tmp_path / file.name).symlink_to(file)
    config = json.loads((model / "config.json").read_text())
    free = LLM(model, max_model_len=64)
    tokens = free.generate([[5, 6, 7]], GREEDY)[0].outputs[0].token_ids
    for name in ("config.json", "generation_config.json"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "config.json").write_text(json.dumps({**config, "eos_token_id": [2, tokens[0]]}))
    params = SamplingParams(temperature=0, max_tokens=4)
    (output,) = LLM(tmp_path, max_model_len=64).generate([[5, 6, 7]], params)[0].outputs
    assert (output.finish_reason, output.stop_reason, output.token_ids) == ("stop", tokens[0], tokens[:1])


def test_stop_reason_of_the_tokenizers_eos_and_of_repetition(llm):
    eos = llm.get_tokenizer().eos_token_id
    forced = SamplingParams(temperature=0, max_tokens=4, allowed_token_ids=[eos])
    (output,) = llm.generate("a", forced)[0].outputs
    assert (output.finish_reason, output.stop_reason) == ("stop", None)
    repeats = SamplingParams(temperature=0, max_tokens=20, allowed_token_ids=[9], repetition_detection=(
        RepetitionDetectionParams(max_pattern_size=2, min_pattern_size=1, min_count=3)))
    (output,) = llm.generate("a", repeats)[0].outputs
    assert (output.finish_reason, output.stop_reason) == ("repetition", "repetition_detected")
    assert output.token_ids == [9, 9, 9]
