"""The common base of LLM and AsyncLLM: a loaded model, and requests to this model."""

from __future__ import annotations

import dataclasses
import logging
import operator
import os
import random
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from . import _native
from ._job import check_ranges, local_model
from .outputs import OutputBuilder
from .sampling_params import SamplingParams
from .tokenizer import Tokenizer
from .vllm_arguments import note_once, take_engine_arguments

logger = logging.getLogger("merope")

Prompt = str | Sequence[int] | Mapping[str, Any]

_DTYPES = {"auto": "auto", "native": "native", "int8": "int8", "int4": "int4", "bfloat16": "bf16",
           "bf16": "bf16", "float32": "fp32", "float": "fp32", "fp32": "fp32"}
_INT32 = range(-2**31, 2**31)


@dataclasses.dataclass
class Counter:
    """A metric whose value only grows."""

    name: str
    value: int
    labels: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Gauge:
    """A metric that gives the present value."""

    name: str
    value: float
    labels: dict[str, str] = dataclasses.field(default_factory=dict)


Metric = Counter | Gauge


@dataclasses.dataclass
class Parsed:
    """A prompt in the form that the engine takes. text is None for a prompt of token ids."""

    text: str | None
    token_ids: list[int]
    cache_salt: str = ""


class Engine:
    """A loaded model with its own engine thread.

    model: a Hugging Face directory, a .gguf file, or ORG/NAME[@REVISION], a model on Hugging Face, which
        is fetched if the cache does not have it. A line of the log then says what is fetched.
    dtype: "auto" (chosen for the checkpoint), "bfloat16", "float32", "int8", "int4", or "native"
        (the integers of a GGUF file). "float16" and "half" run in float32, which holds all their
        values; merope logs a note once.
    max_model_len: largest number of tokens of prompt and answer together. None: the checkpoint's
        number.
    tensor_parallel_size: must be 1.
    enforce_eager: run the ops one by one, not as a captured plan. The results are the same.
    seed: requests without a seed get seeds made from this seed, in the order in which the requests
        arrive. The same program then gives the same tokens each time. None: seeds come from the
        system.
    kv_cache_memory_bytes: memory for keys and values. None: the memory that max_num_seqs sequences
        of max_model_len need, but not more than this process may use.
    kv_cache_dtype: "auto" (the format that belongs to dtype) or "int8".
    max_num_seqs, max_num_batched_tokens: largest number of sequences and of tokens in one step.
        None: 256 and 512.
    enable_prefix_caching: keep keys and values of prompts for later requests with the same
        beginning.
    speculative_config: {"method": "ngram", "num_speculative_tokens": k}. The engine proposes up to
        k tokens that followed the same tokens earlier in the text, and keeps the proposed tokens
        that decoding also gives. The output is the same.
    scheduling_policy: "fcfs", or "priority" (requests with a smaller priority number run first).
    max_logprobs: largest number of logprobs that a request may ask for. -1: the vocabulary size.
    chat_template: a template to use instead of the checkpoint's template: a file name, or the
        source itself. A text with a "{" is a source. If the template asks for the date and
        MEROPE_DATE is set, the template gets the date of MEROPE_DATE.
    num_threads: number of threads. None: the number of cores that this process may use.
    vllm: other vLLM arguments. Arguments that change no result (swap_space, block_size,
        gpu_memory_utilization, …) are accepted, with a note once. Arguments that would change a
        result (quantization, revision, logits_processors, …) are accepted only with values that
        change no result.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        dtype: object = "auto",
        max_model_len: int | None = None,
        tensor_parallel_size: int = 1,
        enforce_eager: bool = False,
        seed: int | None = 0,
        kv_cache_memory_bytes: int | None = None,
        kv_cache_dtype: str = "auto",
        max_num_seqs: int | None = None,
        max_num_batched_tokens: int | None = None,
        enable_prefix_caching: bool | None = None,
        speculative_config: Mapping[str, Any] | None = None,
        scheduling_policy: str = "fcfs",
        max_logprobs: int = 20,
        chat_template: str | os.PathLike[str] | None = None,
        num_threads: int | None = None,
        **vllm: Any,
    ) -> None:
        take_engine_arguments(type(self).__name__, os.fspath(model), vllm)
        if tensor_parallel_size != 1:
            raise ValueError(
                f"tensor_parallel_size: expected 1, found {tensor_parallel_size}: one process runs "
                "the whole model, its threads (num_threads) share the work of each layer")
        if scheduling_policy not in ("fcfs", "priority"):
            raise ValueError('scheduling_policy: expected "fcfs" or "priority", found '
                             f"{scheduling_policy!r}")
        check_ranges(("max_model_len", max_model_len, 1, 2**31 - 1),
                     ("max_num_seqs", max_num_seqs, 1, 2**20),
                     ("max_num_batched_tokens", max_num_batched_tokens, 1, 2**20),
                     ("kv_cache_memory_bytes", kv_cache_memory_bytes, 1, 2**63 - 1),
                     ("num_threads", num_threads, 1, 1024), ("max_logprobs", max_logprobs, -1, 2**31 - 1))
        self._model = _native.Model(
            local_model(model), dtype=_dtype(type(self).__name__, dtype), kv_cache_dtype=kv_cache_dtype,
            enforce_eager=bool(enforce_eager), num_threads=num_threads or 0,
            max_model_len=max_model_len or 0, max_num_seqs=max_num_seqs or 256,
            max_num_batched_tokens=max_num_batched_tokens or 0,
            kv_cache_bytes=kv_cache_memory_bytes, prefix_cache=enable_prefix_caching is not False,
            by_priority=scheduling_policy == "priority", max_logprobs=max_logprobs,
            speculative_tokens=_speculative_tokens(speculative_config))
        logger.info("%s", self._model.description)
        self._tokenizer = Tokenizer(self._model, chat_template)
        self._seeds = None if seed is None else random.Random(seed)
        self._seeds_lock = threading.Lock()

    @property
    def max_model_len(self) -> int:
        """Largest number of tokens of prompt and answer together."""
        return self._model.max_model_len

    @property
    def kv_cache_tokens(self) -> int:
        """Number of tokens whose keys and values fit into the KV cache at once."""
        return self._model.kv_cache_tokens

    def get_default_sampling_params(self) -> SamplingParams:
        """Returns the parameters of the checkpoint's generation_config.json. Parameters that this
        file does not give have the defaults of SamplingParams()."""
        found: dict[str, Any] = dict(self._model.generation_config)
        for name in ("top_k", "max_tokens"):
            if name in found:
                found[name] = int(found[name])
        return SamplingParams(**found)

    def get_metrics(self) -> list[Metric]:
        """Returns gauges, and counters since the model was loaded. The names are vLLM's names, with
        the prefix "merope:"."""
        stats = self._model.stats()
        gauges = {
            "num_requests_running": stats["running"], "num_requests_waiting": stats["waiting"],
            "kv_cache_usage_perc": stats["kv_pages_used"] / max(stats["kv_pages"], 1)}
        counters = {
            "prefix_cache_queries": "prefix_queries", "prefix_cache_hits": "prefix_hits",
            "num_preemptions": "preemptions", "prompt_tokens": "prompt_tokens",
            "generation_tokens": "generated_tokens", "engine_steps": "steps",
            "spec_decode_num_drafts": "drafts", "spec_decode_num_draft_tokens": "draft_tokens",
            "spec_decode_num_accepted_tokens": "accepted_tokens"}
        metrics: list[Metric] = [Gauge(f"merope:{name}", value) for name, value in gauges.items()]
        metrics += [Counter(f"merope:{name}", stats[key]) for name, key in counters.items()]
        for key, value in stats.items():
            if key.startswith("finished_"):
                reason = key.removeprefix("finished_")
                metrics.append(Counter("merope:request_success", value, {"finished_reason": reason}))
        return metrics

    def _parse(self, prompt: Prompt) -> Parsed:
        if isinstance(prompt, str):
            return Parsed(prompt, self._model.tokenizer.encode_prompt(prompt, True))
        if isinstance(prompt, Mapping):
            return self._parse_mapping(prompt)
        try:
            ids = [operator.index(id) for id in prompt]
        except TypeError:
            raise TypeError("prompt: expected a string, a list of token ids, or a dict with one of "
                            f"them, found {prompt!r:.200}") from None
        for id in ids:
            if id not in _INT32:
                raise ValueError(f"prompt: expected tokens of the vocabulary, found {id}")
        return Parsed(None, ids)

    def _parse_mapping(self, prompt: Mapping[str, Any]) -> Parsed:
        absent = {"multi_modal_data", "mm_processor_kwargs", "multi_modal_uuids", "prompt_embeds"}
        prompt = {name: value for name, value in prompt.items() if name not in absent or value is not None}
        unknown = prompt.keys() - {"prompt", "prompt_token_ids", "cache_salt"}
        if unknown or not prompt.keys() & {"prompt", "prompt_token_ids"}:
            raise ValueError('prompt: expected a dict with "prompt" or "prompt_token_ids", and perhaps '
                             f'"cache_salt", found keys {sorted(map(str, prompt))}')
        text = prompt.get("prompt")
        if text is not None and not isinstance(text, str):
            raise TypeError(f"prompt: expected a string, found {text!r:.200}")
        ids = prompt.get("prompt_token_ids")
        parsed = self._parse(text or "" if ids is None else ids)
        return dataclasses.replace(parsed, text=text, cache_salt=prompt.get("cache_salt") or "")

    def _submit(self, events: _native.Events, tag: int, prompt: Parsed, params: _native.Params,
                priority: int) -> int:
        seed = params.seed
        if seed is None and self._seeds is not None and params.temperature > 0:
            with self._seeds_lock:
                seed = self._seeds.getrandbits(62)
        return self._model.submit(events, tag, prompt.token_ids, params, seed, priority,
                                  prompt.cache_salt)

    def _builder(self, request_id: str, prompt: Parsed, params: SamplingParams) -> OutputBuilder:
        return OutputBuilder(
            self._tokenizer, request_id, prompt.text, prompt.token_ids, n=params.n,
            logprobs=params.logprobs is not None,
            prompt_logprobs=params.prompt_logprobs is not None, flat=params.flat_logprobs)


def _dtype(owner: str, dtype: object) -> str:
    name = str(dtype).removeprefix("torch.")
    if name in ("float16", "half"):
        note_once(owner, f"dtype {name} runs in float32, which holds all its values")
        return "fp32"
    if name == "stored":
        note_once(owner, "dtype stored is called native now; the old name goes with version 0.4")
        return "native"
    if name not in _DTYPES:
        raise ValueError("dtype: expected auto, bfloat16, float32, int8, int4 or native, found "
                         f'"{name}"')
    return _DTYPES[name]


def _speculative_tokens(config: Mapping[str, Any] | None) -> int:
    """Returns the largest number of proposed tokens; 0: no speculation.

    Accepts vLLM's prompt_lookup_min and prompt_lookup_max but does not use them: the lengths of
    proposals are adaptive.
    """
    if config is None:
        return 0
    known = {"method", "num_speculative_tokens", "prompt_lookup_min", "prompt_lookup_max"}
    if config.keys() - known:
        raise ValueError(f"speculative_config: expected {', '.join(sorted(known))}, found "
                         f"{', '.join(sorted(map(str, config.keys() - known)))}")
    if config.get("method") != "ngram":
        raise ValueError('speculative_config: method: expected "ngram", found '
                         f"{config.get('method')!r}")
    tokens = config.get("num_speculative_tokens")
    if not isinstance(tokens, int) or tokens < 1:
        raise ValueError("speculative_config: num_speculative_tokens: expected 1 or more, found "
                         f"{tokens!r}")
    return tokens
