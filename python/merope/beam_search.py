"""Beam search by requests of one token each. The prefix cache holds most of each prompt."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from ._progress import Progress
from .outputs import BeamSearchOutput, BeamSearchSequence, Logprob, RequestOutput
from .sampling_params import BeamSearchParams, SamplingParams
from .tokenizer import Tokenizer

# Extends all beams by one token. Takes the tokens of each beam.
Step = Callable[[list[list[int]], SamplingParams], list[RequestOutput]]


@dataclasses.dataclass
class _Instance:
    prompt: list[int]
    beams: list[BeamSearchSequence]
    completed: list[BeamSearchSequence] = dataclasses.field(default_factory=list)


def search(prompts: list[list[int]], params: BeamSearchParams, step: Step, tokenizer: Tokenizer,
           eos_token_ids: set[int], max_model_len: int, progress: Progress) -> list[BeamSearchOutput]:
    one_token = SamplingParams(temperature=0, max_tokens=1, logprobs=2 * params.beam_width,
                               detokenize=False)
    ends = set() if params.ignore_eos else eos_token_ids

    def score(beam: BeamSearchSequence) -> float:
        length = len(beam.tokens) - (beam.finish_reason == "stop")
        return beam.cum_logprob / float(length**params.length_penalty)

    instances = [_Instance(prompt, [BeamSearchSequence(prompt, [])]) for prompt in prompts]
    for n in range(params.max_tokens):
        # In step 0, a prompt without room for a token also runs, so that the engine refuses it with
        # an error that names the field.
        running = [instance for instance in instances
                   if instance.beams and (n == 0 or len(instance.prompt) + n < max_model_len)]
        if not running:
            break
        results = iter(step([beam.tokens for instance in running for beam in instance.beams],
                            one_token))
        for instance in running:
            grown = []
            for beam in instance.beams:
                logprobs = next(results).outputs[0].logprobs
                assert isinstance(logprobs, list)
                grown += [_grow(beam, token, logprobs[0], ends) for token in logprobs[0]]
            instance.completed += [beam for beam in grown if beam.finish_reason == "stop"]
            going_on = [beam for beam in grown if beam.finish_reason is None]
            instance.beams = sorted(going_on, key=score, reverse=True)[:params.beam_width]
        progress.update(1)

    outputs = []
    for instance in instances:
        for beam in instance.beams:
            beam.finish_reason = "length"
        best = sorted(instance.completed + instance.beams, key=score, reverse=True)[:params.beam_width]
        for beam in best:
            hidden = beam.finish_reason == "stop" and not params.include_stop_str_in_output
            beam.text = tokenizer.decode(beam.tokens[:-1] if hidden else beam.tokens)
        outputs.append(BeamSearchOutput(best))
    return outputs


def _grow(beam: BeamSearchSequence, token: int, logprobs: dict[int, Logprob],
          ends: set[int]) -> BeamSearchSequence:
    ended = token in ends
    return BeamSearchSequence([*beam.tokens, token], [*beam.logprobs, logprobs],
                              beam.cum_logprob + logprobs[token].logprob,
                              finish_reason="stop" if ended else None,
                              stop_reason=token if ended else None)
