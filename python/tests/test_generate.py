import math
import os
import pathlib
import pickle
import pty
import subprocess
import sys
import threading

import pytest

from merope import LLM, FlatLogprobs, SamplingParams

GREEDY = SamplingParams(temperature=0, max_tokens=8, ignore_eos=True)


def test_the_kinds_of_prompts(llm):
    tokenizer = llm.get_tokenizer()
    ids = tokenizer.encode("Hello there")
    (text,) = llm.generate("Hello there", GREEDY)
    (tokens,) = llm.generate(ids, GREEDY)
    assert text.prompt_token_ids == tokens.prompt_token_ids == ids
    assert (text.prompt, tokens.prompt) == ("Hello there", None)
    assert text.outputs[0].token_ids == tokens.outputs[0].token_ids
    assert len(text.outputs[0].token_ids) == 8
    assert text.outputs[0].finish_reason == "length" and text.finished
    many = llm.generate(
        ["Hello there", ids, {"prompt": "Hello there"}, {"prompt_token_ids": tuple(ids)},
         {"prompt": "shown", "prompt_token_ids": ids, "cache_salt": "mine"}], GREEDY)
    assert [output.prompt for output in many] == ["Hello there", None, "Hello there", None, "shown"]
    assert all(output.outputs[0].token_ids == text.outputs[0].token_ids for output in many)
    assert len({output.request_id for output in many}) == 5
    assert llm.generate([], GREEDY) == []
    assert llm.generate([[1, 2], [3]], GREEDY)[1].prompt_token_ids == [3]


@pytest.mark.parametrize(("prompt", "error", "word"), [
    (5, TypeError, "prompts: expected"), ([1, "a"], TypeError, "prompt: expected"), (["a", 1], TypeError, "prompt: expected"),
    ([1.5], TypeError, "prompt: expected"), ({"text": "a"}, ValueError, "'text'"),
    ({"prompt": "a", "multi_modal_data": {}}, ValueError, "'multi_modal_data'"),
    ({"prompt": 3}, TypeError, "found 3"), ([2**40], ValueError, str(2**40)),
    ([512], ValueError, "512"), ([-1], ValueError, "1"), ([[]], ValueError, "prompt"),
    ("\ud800", Exception, ""), ([[1] * 3000], ValueError, "3000"),
])
def test_prompts_that_are_refused(llm, prompt, error, word):
    with pytest.raises(error) as caught:
        llm.generate(prompt, GREEDY)
    assert word in str(caught.value)
    assert len(llm.generate("fine", GREEDY)[0].outputs[0].token_ids) == 8


def test_a_prompt_too_long_is_refused_with_both_lengths(llm):
    with pytest.raises(ValueError, match=r"(?s)3000.*2048|2048.*3000"):
        llm.generate([[5] * 3000], GREEDY)


def test_one_wrong_prompt_refuses_the_call_and_leaves_nothing_running(llm):
    with pytest.raises(ValueError, match="600"):
        llm.generate([[1, 2], [600], [3]], SamplingParams(max_tokens=2000, ignore_eos=True))
    assert len(llm.generate("fine", GREEDY)[0].outputs[0].token_ids) == 8
    assert metric(llm, "num_requests_running") == metric(llm, "num_requests_waiting") == 0


def test_parameters_one_each(llm):
    params = [SamplingParams(temperature=0, max_tokens=n, ignore_eos=True) for n in (1, 2, 3)]
    outputs = llm.generate(["a", "b", "c"], params)
    assert [len(output.outputs[0].token_ids) for output in outputs] == [1, 2, 3]
    with pytest.raises(ValueError, match="each of 2 prompts, found 3"):
        llm.generate(["a", "b"], params)
    with pytest.raises(TypeError, match="sampling_params"):
        llm.generate(["a"], [{}])
    with pytest.raises(ValueError, match="priority: expected one for each of 2"):
        llm.generate(["a", "b"], GREEDY, priority=[1])


def test_parameters_of_the_model_are_checked(llm, model):
    with pytest.raises(ValueError, match="stop_token_ids.*511.*512"):
        llm.generate("a", SamplingParams(stop_token_ids=[512]))
    few = LLM(model, max_model_len=64)
    with pytest.raises(ValueError, match="logprobs: expected at most max_logprobs, 20, found 21"):
        few.generate("a", SamplingParams(logprobs=21))


def test_sequences_and_seeds(llm, model):
    params = SamplingParams(n=3, max_tokens=6, seed=3, ignore_eos=True)
    (output,) = llm.generate("Hello", params)
    assert [completion.index for completion in output.outputs] == [0, 1, 2]
    ids = [completion.token_ids for completion in output.outputs]
    assert len({tuple(sequence) for sequence in ids}) == 3
    (again,) = llm.generate(["Hello", "other"], params)[:1]
    assert [completion.token_ids for completion in again.outputs] == ids

    def unseeded(**arguments):
        made = LLM(model, max_model_len=64, **arguments)
        return [made.generate("Hello", SamplingParams(max_tokens=6))[0].outputs[0].token_ids
                for _ in range(2)]
    first, second = unseeded()
    assert first != second
    assert unseeded() == [first, second]
    assert unseeded(seed=1) != [first, second]
    assert unseeded(seed=None) != unseeded(seed=None)


def test_logprobs(llm):
    params = SamplingParams(temperature=0, max_tokens=3, logprobs=4, prompt_logprobs=2, ignore_eos=True)
    (output,) = llm.generate("Hello there", params)
    completion = output.outputs[0]
    assert [len(position) for position in completion.logprobs] == [4, 4, 4]
    for token, position in zip(completion.token_ids, completion.logprobs):
        assert next(iter(position)) == token
        assert position[token].rank == 1
        ranked = sorted(position.values(), key=lambda entry: entry.rank)
        assert [entry.rank for entry in ranked] == [1, 2, 3, 4]
        assert [entry.logprob for entry in ranked] == sorted((e.logprob for e in ranked), reverse=True)
        assert position[token].decoded_token == llm.get_tokenizer().decode(token)
    total = sum(position[token].logprob
                for token, position in zip(completion.token_ids, completion.logprobs))
    assert completion.cumulative_logprob == pytest.approx(total, rel=1e-5)
    assert len(output.prompt_logprobs) == len(output.prompt_token_ids)
    assert output.prompt_logprobs[0] is None
    for token, position in zip(output.prompt_token_ids[1:], output.prompt_logprobs[1:]):
        assert token in position and len(position) in (2, 3)


def test_all_logprobs_sum_to_one_and_prompt_logprobs_are_those_of_decoding(llm):
    params = SamplingParams(temperature=0, max_tokens=4, logprobs=-1, ignore_eos=True)
    (decoded,) = llm.generate([5, 6, 7], params)
    for position in decoded.outputs[0].logprobs:
        assert len(position) == 512
        assert sum(math.exp(entry.logprob) for entry in position.values()) == pytest.approx(1, abs=1e-5)
        assert sorted(entry.rank for entry in position.values())[0] == 1
    ids = decoded.outputs[0].token_ids
    (scored,) = llm.generate([[5, 6, 7, *ids]], SamplingParams(max_tokens=1, prompt_logprobs=-1))
    assert scored.prompt_logprobs[3:] == decoded.outputs[0].logprobs  # bit-identical


def test_logprobs_of_a_token_that_is_not_among_the_likeliest(llm):
    params = SamplingParams(max_tokens=1, logprobs=0, seed=1)
    (output,) = llm.generate("Hello", params)
    assert [list(position) for position in output.outputs[0].logprobs] == [output.outputs[0].token_ids]
    (output,) = llm.generate("Hello", SamplingParams(max_tokens=1, logprobs=1, logit_bias={77: 100}))
    assert list(output.outputs[0].logprobs[0])[0] == 77
    assert len(output.outputs[0].logprobs[0]) == 2


def test_flat_logprobs(llm):
    plain = llm.generate("Hello there", SamplingParams(
        temperature=0, max_tokens=3, logprobs=2, prompt_logprobs=1))[0]
    flat = llm.generate("Hello there", SamplingParams(
        temperature=0, max_tokens=3, logprobs=2, prompt_logprobs=1, flat_logprobs=True))[0]
    assert isinstance(flat.outputs[0].logprobs, FlatLogprobs)
    assert list(flat.outputs[0].logprobs) == plain.outputs[0].logprobs
    assert list(flat.prompt_logprobs) == [{}, *plain.prompt_logprobs[1:]]
    assert list(flat.outputs[0].logprobs[1:]) == plain.outputs[0].logprobs[1:]
    assert flat.outputs[0].logprobs[-1] == plain.outputs[0].logprobs[-1]


def test_how_sequences_end(llm):
    def only(*tokens, **fields):
        return llm.generate("x", SamplingParams(allowed_token_ids=list(tokens), **fields))[0].outputs[0]
    tokenizer = llm.get_tokenizer()
    (a,), (b,) = (tokenizer.encode(letter, add_special_tokens=False) for letter in "ab")
    ended = only(tokenizer.eos_token_id)
    assert (ended.finish_reason, ended.stop_reason, ended.text) == ("stop", None, "")
    ended = only(tokenizer.eos_token_id, ignore_eos=True, max_tokens=3)
    assert (ended.finish_reason, len(ended.token_ids)) == ("length", 3)
    ended = only(a, stop_token_ids=[a])
    assert (ended.finish_reason, ended.stop_reason, ended.token_ids) == ("stop", a, [a])
    ended = only(a, stop="aaa", max_tokens=9)
    assert (ended.finish_reason, ended.stop_reason, ended.text) == ("stop", "aaa", "")
    ended = only(a, stop=["b", "aaa"], include_stop_str_in_output=True)
    assert (ended.stop_reason, ended.text, ended.token_ids) == ("aaa", "aaa", [a] * 3)
    ended = only(b, detokenize=False, max_tokens=2)
    assert (ended.text, ended.token_ids) == ("", [b, b])
    ended = only(a, max_tokens=None)
    assert ended.finish_reason == "length" and len(ended.token_ids) > 2000


def test_outputs_pickle(llm):
    (output,) = llm.generate("Hello", SamplingParams(max_tokens=2, logprobs=1, prompt_logprobs=1))
    assert pickle.loads(pickle.dumps(output)) == output


def test_default_parameters_are_the_checkpoints(model, tmp_path):
    for file in model.iterdir():
        os.symlink(file, tmp_path / file.name)
    (tmp_path / "generation_config.json").unlink()
    (tmp_path / "generation_config.json").write_text(
        '{"eos_token_id": 2, "temperature": 0.5, "top_k": 7, "max_new_tokens": 3}')
    llm = LLM(tmp_path, max_model_len=64)
    params = llm.get_default_sampling_params()
    assert params == SamplingParams(temperature=0.5, top_k=7, max_tokens=3)
    assert len(llm.generate("x")[0].outputs[0].token_ids) <= 3


def metric(llm, name):
    return next(metric.value for metric in llm.get_metrics() if metric.name == f"merope:{name}")


def test_prefix_cache_and_metrics(model):
    llm = LLM(model, max_model_len=512)
    prompt = [9] * 200
    first, second = (llm.generate(prompt, GREEDY)[0] for _ in range(2))
    assert (first.num_cached_tokens, second.num_cached_tokens) == (0, 192)  # pages of 64 tokens
    assert first.outputs[0].token_ids == second.outputs[0].token_ids
    assert llm.generate({"prompt_token_ids": prompt, "cache_salt": "x"}, GREEDY)[0].num_cached_tokens == 0
    assert metric(llm, "prefix_cache_hits") == 192
    assert metric(llm, "generation_tokens") == 24
    assert llm.reset_prefix_cache() is True
    assert llm.generate(prompt, GREEDY)[0].num_cached_tokens == 0
    finished = {m.labels["finished_reason"]: m.value for m in llm.get_metrics()
                if m.name == "merope:request_success"}
    assert finished == {"stop": 0, "length": 4, "abort": 0, "error": 0, "repetition": 0}
    off = LLM(model, max_model_len=512, enable_prefix_caching=False)
    assert [off.generate(prompt, GREEDY)[0].num_cached_tokens for _ in range(2)] == [0, 0]


def test_the_same_tokens_whatever_the_options(model):
    prompts = [[3, 4, 5] * 20, [7, 8, 9]]
    params = SamplingParams(temperature=0.8, seed=5, max_tokens=20, logprobs=2)

    def run(**arguments):
        return [output.outputs for output in LLM(model, max_model_len=256, **arguments).generate(
            prompts, params)]
    plain = run()
    assert plain == run(enforce_eager=True)
    assert plain == run(num_threads=1, max_num_batched_tokens=16, max_num_seqs=1)
    assert plain == run(speculative_config={
        "method": "ngram", "num_speculative_tokens": 3, "prompt_lookup_max": 4})


def test_many_threads_share_one(llm):
    params = SamplingParams(temperature=0, max_tokens=20, ignore_eos=True)
    alone = [llm.generate([[n]], params)[0].outputs[0].token_ids for n in range(4, 8)]
    found = [None] * 4

    def work(n):
        found[n] = [llm.generate([[n + 4]], params)[0].outputs[0].token_ids for _ in range(3)]
    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[ids] * 3 for ids in alone]


def test_waiting_leaves_python_to_others(llm):
    done, turns = threading.Event(), 0

    def count():
        nonlocal turns
        while not done.wait(0.001):
            turns += 1
    thread = threading.Thread(target=count)
    thread.start()
    llm.generate([[5]] * 8, SamplingParams(temperature=0, max_tokens=1000, ignore_eos=True))
    done.set()
    thread.join()
    assert turns > 20


class Counted:
    """A replacement for tqdm."""

    def __init__(self, total, desc):
        self.total, self.done, self.closed = total, 0, False

    def update(self, n):
        self.done += n

    def close(self):
        self.closed = True


def test_progress(llm, capfd):
    made = []

    def bar(**arguments):
        made.append(Counted(**arguments))
        return made[0]
    llm.generate(["a", "b", "c"], GREEDY, use_tqdm=bar)
    assert (made[0].total, made[0].done, made[0].closed) == (3, 3, True)
    llm.generate("a", GREEDY)
    assert capfd.readouterr() == ("", "")  # standard error is no terminal


@pytest.mark.parametrize(("use_tqdm", "drawn"), [(True, True), (False, False)])
def test_a_terminal_shows_a_bar(model, use_tqdm, drawn):
    script = ("from merope import LLM, SamplingParams\n"
              f"LLM({str(model)!r}, max_model_len=64).generate(['a', 'b'], "
              f"SamplingParams(max_tokens=2), use_tqdm={use_tqdm})")
    controller, terminal = pty.openpty()
    try:
        subprocess.run([sys.executable, "-c", script], stderr=terminal, timeout=60, check=True)
        os.write(terminal, b"|")
        shown = os.read(controller, 10000).decode()
    finally:
        os.close(controller)
        os.close(terminal)
    assert ("2/2" in shown) == drawn
    assert drawn or shown == "|"


@pytest.mark.parametrize(("arguments", "error", "words"), [
    ({"swap_spaces": 4}, TypeError, "swap_spaces"),
    ({"tensor_parallel_size": 2}, ValueError, "tensor_parallel_size: expected 1, found 2"),
    ({"dtype": "fp8"}, ValueError, 'found "fp8"'),
    ({"dtype": "native"}, ValueError, "native"),
    ({"kv_cache_dtype": "fp8"}, ValueError, "fp8"),
    ({"max_model_len": 0}, ValueError, "max_model_len: expected 1 to 2147483647, found 0"),
    ({"max_model_len": "auto"}, TypeError, "max_model_len: expected an int"),
    ({"scheduling_policy": "lifo"}, ValueError, "scheduling_policy"),
    ({"speculative_config": {"method": "eagle"}}, ValueError, "eagle"),
    ({"speculative_config": {"method": "ngram"}}, ValueError, "num_speculative_tokens"),
    ({"speculative_config": {"method": "ngram", "model": "x"}}, ValueError, "model"),
    ({"kv_cache_memory_bytes": 100}, ValueError, "100"),
])
def test_arguments_that_are_refused(model, arguments, error, words):
    with pytest.raises(error) as caught:
        LLM(model, **arguments)
    assert words in str(caught.value)


def test_what_is_no_model(tmp_path):
    with pytest.raises(ValueError, match="nowhere"):
        LLM(tmp_path / "nowhere")


@pytest.mark.parametrize("dtype", ["bfloat16", "torch.float32", "int8", "int4"])
def test_dtypes_load(model, dtype):
    llm = LLM(pathlib.Path(model), dtype=dtype, max_model_len=64, gpu_memory_utilization=0.5,
              kv_cache_dtype="int8" if dtype == "int8" else "auto")
    assert len(llm.generate("x", GREEDY)[0].outputs[0].token_ids) == 8


def test_smollm2_knows_the_capital(smollm2):
    (output,) = smollm2.generate("The capital of France is", SamplingParams(temperature=0, max_tokens=4))
    assert "Paris" in output.outputs[0].text
