"""LLM: runs many prompts at once. The caller waits for all outputs."""

from __future__ import annotations

import itertools
import os
import select
from collections.abc import Mapping, Sequence
from typing import Any, cast

from . import _native
from ._progress import UseTqdm, make_bar
from .beam_search import search
from .engine import Engine, Parsed, Prompt
from .outputs import BeamSearchOutput, OutputBuilder, RequestOutput
from .sampling_params import BeamSearchParams, SamplingParams, one_for_each
from .tokenizer import Conversation, Tokenizer
from .vllm_arguments import take_request_arguments


class LLM(Engine):
    """A model that generates text from many prompts at once: vLLM's LLM, on CPUs.

        llm = LLM(model="SmolLM2-135M-Instruct.gguf")
        outputs = llm.generate(["The capital of France is"], SamplingParams(temperature=0))
        print(outputs[0].outputs[0].text)

    Any number of threads may use one LLM. An invalid request raises a ValueError that names the
    field. Ctrl-C ends the running requests of the call, and the LLM stays usable.
    """

    __doc__ = f"{__doc__}\n{Engine.__doc__}"
    _request_ids = itertools.count()

    def generate(
        self,
        prompts: Prompt | Sequence[Prompt],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        use_tqdm: UseTqdm = True,
        priority: Sequence[int] | None = None,
        **vllm: Any,
    ) -> list[RequestOutput]:
        """Completes prompts. Returns one output per prompt, in the order of the prompts.

        prompts: a text, a list of token ids, a dict with "prompt" or "prompt_token_ids" (and
            optionally "cache_salt"), or a list of such prompts.
        sampling_params: one for all prompts, or a list with one per prompt. None:
            get_default_sampling_params().
        use_tqdm: True draws a progress bar on a terminal. A callable (tqdm, or a callable with the
            same arguments) replaces merope's progress bar.
        priority: one number per prompt, for scheduling_policy="priority".
        vllm: lora_request=None and other vLLM arguments, only with their empty default values.
        """
        take_request_arguments("generate", vllm)
        return self._generate([self._parse(prompt) for prompt in _listed(prompts)], sampling_params,
                              use_tqdm, priority)

    def chat(
        self,
        messages: Conversation | Sequence[Conversation],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        use_tqdm: UseTqdm = True,
        *,
        chat_template: str | os.PathLike[str] | None = None,
        add_generation_prompt: bool = True,
        continue_final_message: bool | str = False,
        tools: list[dict[str, Any]] | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
        **vllm: Any,
    ) -> list[RequestOutput]:
        """Answers conversations, which the checkpoint's chat template turns into prompts.

        messages: a list of messages, or a list of such lists. A message is a dict with "role" and
            "content" (a string, or parts of type "text"). The arguments of tool calls may be
            strings of JSON.
        For the other arguments, see Tokenizer.apply_chat_template and generate.
        """
        take_request_arguments("chat", vllm)
        conversations = cast(
            "Sequence[Conversation]",
            [messages] if messages and isinstance(messages[0], Mapping) else messages)
        parsed = []
        for conversation in conversations:
            text = self._tokenizer._render(
                conversation, add_generation_prompt, continue_final_message, True, chat_template,
                {"tools": tools, "documents": None, **(chat_template_kwargs or {})})
            parsed.append(Parsed(text, self._model.tokenizer.encode_prompt(text, False)))
        return self._generate(parsed, sampling_params, use_tqdm, None)

    def beam_search(
        self,
        prompts: Prompt | Sequence[Prompt],
        params: BeamSearchParams,
        use_tqdm: UseTqdm = False,
    ) -> list[BeamSearchOutput]:
        """Returns the most probable continuations of each prompt that a beam search finds.

        Each step asks for 2 * beam_width logprobs. max_logprobs must allow this number.
        """
        def step(beams: list[list[int]], sampling_params: SamplingParams) -> list[RequestOutput]:
            return self._generate([Parsed(None, tokens) for tokens in beams], sampling_params, False,
                                  None)

        parsed = [self._parse(prompt) for prompt in _listed(prompts)]
        bar = make_bar(use_tqdm, params.max_tokens, "Beam search")
        try:
            return search([prompt.token_ids for prompt in parsed], params, step, self._tokenizer,
                          set(self._model.eos_token_ids), self.max_model_len, bar)
        finally:
            bar.close()

    def get_tokenizer(self) -> Tokenizer:
        return self._tokenizer

    def reset_prefix_cache(self) -> bool:
        """Removes all prompts from the prefix cache. Returns False and removes nothing while
        requests run."""
        return self._model.reset_prefix_cache()

    def _generate(
        self,
        prompts: list[Parsed],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None,
        use_tqdm: UseTqdm,
        priority: Sequence[int] | None,
    ) -> list[RequestOutput]:
        if sampling_params is None:
            sampling_params = self.get_default_sampling_params()
        all_params = one_for_each(sampling_params, len(prompts))
        if priority is not None and len(priority) != len(prompts):
            raise ValueError(f"priority: expected one for each of {len(prompts)} prompts, found "
                             f"{len(priority)}")
        natives: dict[int, _native.Params] = {}
        for params in all_params:
            if id(params) not in natives:
                natives[id(params)] = params._native()
                natives[id(params)].final_only = True

        events, poll = _native.Events(), select.poll()
        poll.register(events.fileno(), select.POLLIN)
        builders: list[OutputBuilder] = []
        outputs: list[RequestOutput | None] = [None] * len(prompts)
        ids: list[int] = []
        bar = make_bar(use_tqdm, len(prompts), "Processed prompts")
        try:
            for tag, (prompt, params) in enumerate(zip(prompts, all_params)):
                builders.append(self._builder(str(next(self._request_ids)), prompt, params))
                ids.append(self._submit(events, tag, prompt, natives[id(params)],
                                        priority[tag] if priority else 0))
            unfinished = len(prompts)
            while unfinished:
                poll.poll()
                for event in events.take():
                    outputs[event.tag] = output = builders[event.tag].final([event])
                    if output is not None:
                        unfinished -= 1
                        bar.update(1)
        except BaseException:
            for request in ids:
                self._model.abort(request)
            raise
        finally:
            bar.close()
        return cast("list[RequestOutput]", outputs)


def _listed(prompts: Prompt | Sequence[Prompt]) -> Sequence[Prompt]:
    if isinstance(prompts, (str, Mapping)):
        return [prompts]
    if not hasattr(prompts, "__getitem__"):
        raise TypeError("prompts: expected a string, a list of token ids, a dict, or a list of these, "
                        f"found {prompts!r:.200}")
    if len(prompts) > 0 and hasattr(prompts[0], "__index__"):
        return [cast("Sequence[int]", prompts)]
    return cast("Sequence[Prompt]", prompts)
