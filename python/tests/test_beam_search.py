"""Compares beam search with plain searches over the whole distributions."""

import pytest

from merope import BeamSearchParams, LLM, SamplingParams


@pytest.fixture(scope="module")
def distributions(llm):
    """Returns a function that gives all logprobs of the token after each prompt."""
    known = {}
    one = SamplingParams(temperature=0, max_tokens=1, logprobs=-1)

    def after(prompts):
        missing = [list(prompt) for prompt in map(tuple, prompts) if prompt not in known]
        if missing:
            for output in llm.generate(missing, one):
                known[tuple(output.prompt_token_ids)] = {
                    token: entry.logprob for token, entry in output.outputs[0].logprobs[0].items()}
        return [known[tuple(prompt)] for prompt in prompts]
    return after


def plain_beam_search(distributions, prompt, width, steps, penalty, eos):
    """The textbook algorithm: extends each beam by its 2 * width best tokens, and keeps the best
    beams."""
    def score(entry):
        tokens, total = entry
        return total / (len(tokens) - (tokens[-1] == eos)) ** penalty
    beams, done = [(list(prompt), 0.0)], []
    for _ in range(steps):
        grown = [(tokens + [token], total + logprob)
                 for (tokens, total), after in zip(beams, distributions([b[0] for b in beams]))
                 for token, logprob in sorted(after.items(), key=lambda e: -e[1])[:2 * width]]
        done += [entry for entry in grown if entry[0][-1] == eos]
        beams = sorted((e for e in grown if e[0][-1] != eos), key=score, reverse=True)[:width]
    return sorted(done + beams, key=score, reverse=True)[:width]


def test_two_tokens_by_brute_force(llm, distributions):
    prompt = [5, 6, 7]
    (first,) = distributions([prompt])
    every = [(prompt + [eos], total) for eos, total in first.items() if eos == 2]
    going_on = [token for token in first if token != 2]
    for token, after in zip(going_on, distributions([prompt + [token] for token in going_on])):
        every += [(prompt + [token, last], first[token] + logprob) for last, logprob in after.items()]
    every.sort(key=lambda entry: entry[1] / (len(entry[0]) - (entry[0][-1] == 2)), reverse=True)
    (found,) = llm.beam_search(prompt, BeamSearchParams(beam_width=200, max_tokens=2))
    assert len(found.sequences) == 200
    assert [beam.tokens for beam in found.sequences[:20]] == [tokens for tokens, _ in every[:20]]
    for beam, (_, total) in zip(found.sequences[:20], every):
        assert beam.cum_logprob == pytest.approx(total, rel=1e-6)


@pytest.mark.parametrize("penalty", [1.0, 0.0, 3.0])
def test_narrow_beams(llm, distributions, penalty):
    prompts = [[5, 6, 7], [9]]
    found = llm.beam_search(prompts, BeamSearchParams(beam_width=3, max_tokens=5, length_penalty=penalty))
    for prompt, output in zip(prompts, found):
        expected = plain_beam_search(distributions, prompt, 3, 5, penalty, 2)
        assert [beam.tokens for beam in output.sequences] == [tokens for tokens, _ in expected]
        for beam in output.sequences:
            assert len(beam.logprobs) == len(beam.tokens) - len(prompt)
            assert beam.finish_reason in ("stop", "length")


def test_it_is_greedy_decoding_with_one_beam(llm):
    params = SamplingParams(temperature=0, max_tokens=6, ignore_eos=True)
    (greedy,) = llm.generate("Hello", params)
    (output,) = llm.beam_search({"prompt": "Hello"}, BeamSearchParams(
        beam_width=1, max_tokens=6, ignore_eos=True))
    (beam,) = output.sequences
    assert beam.tokens == greedy.prompt_token_ids + greedy.outputs[0].token_ids
    assert beam.text == llm.get_tokenizer().decode(beam.tokens)


def test_what_does_not_fit(model, llm):
    few = LLM(model, max_model_len=10)
    with pytest.raises(ValueError, match="max_logprobs, 20, found 22"):
        few.beam_search("x", BeamSearchParams(beam_width=11, max_tokens=2))
    with pytest.raises(ValueError, match="10"):
        few.beam_search([[5] * 10], BeamSearchParams(beam_width=2, max_tokens=2))
    (output,) = few.beam_search([[5] * 8], BeamSearchParams(beam_width=2, max_tokens=9, ignore_eos=True))
    assert [len(beam.tokens) for beam in output.sequences] == [10, 10]
