"""The vLLM arguments that merope does not use.

merope accepts the arguments that change no result, and refuses the others, except with values that
change no result.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

logger = logging.getLogger("merope")

# The engine arguments of vLLM that set how the work is done, and change no result.
_WITHOUT_EFFECT = frozenset("""
    allowed_local_media_path allowed_media_domains async_scheduling attention_backend
    attention_config block_size code_revision collect_detailed_traces compilation_config
    cpu_offload_gb cudagraph_capture_sizes disable_async_output_proc disable_cascade_attn
    disable_custom_all_reduce disable_hybrid_kv_cache_manager disable_log_requests disable_log_stats
    disable_mm_preprocessor_cache distributed_executor_backend download_dir enable_chunked_prefill
    enable_expert_parallel enable_sleep_mode fully_sharded_loras gpu_memory_utilization
    guided_decoding_backend hf_token ignore_patterns limit_mm_per_prompt
    long_prefill_token_threshold lora_dtype max_cpu_loras max_long_partial_prefills max_lora_rank
    max_loras max_num_partial_prefills max_parallel_loading_workers max_seq_len_to_capture
    mm_processor_cache_gb mm_processor_kwargs model_impl model_loader_extra_config
    num_gpu_blocks_override num_scheduler_steps optimization_level otlp_traces_endpoint
    performance_mode preemption_mode prefix_caching_hash_algo profiler_config
    ray_workers_use_nsight safetensors_load_strategy scheduler_cls show_hidden_metrics_for_version
    stream_interval structured_outputs_config swap_space trust_remote_code use_tqdm_on_load
    worker_cls worker_extension_cls
    """.split())

# The engine arguments of vLLM that would change results, each with the values that change none.
_ONLY: dict[str, tuple[Any, ...]] = {
    "additional_config": (None, {}), "calculate_kv_scales": (False,), "config_format": ("auto", "hf"),
    "convert": ("auto", "none"), "data_parallel_size": (1,), "decode_context_parallel_size": (1,),
    "device": (None, "auto", "cpu"), "enable_lora": (False, None), "enable_prompt_embeds": (False,),
    "enable_return_routed_experts": (False,), "generation_config": ("auto",),
    "hf_config_path": (None,), "hf_overrides": (None, {}), "kv_events_config": (None,),
    "kv_transfer_config": (None,), "load_format": ("auto", "hf", "safetensors", "gguf"),
    "logits_processor_pattern": (None,), "logits_processors": (None, []),
    "logprobs_mode": ("raw_logprobs",), "lora_modules": (None, []),
    "override_generation_config": (None, {}), "override_pooler_config": (None,),
    "pipeline_parallel_size": (1,), "pooler_config": (None,), "prefill_context_parallel_size": (1,),
    "quantization": (None, "gguf"), "reasoning_parser": (None, ""), "revision": (None,),
    "rope_scaling": (None, {}), "rope_theta": (None,), "runner": ("auto", "generate"),
    "skip_tokenizer_init": (False,), "task": (None, "auto", "generate"),
    "tokenizer_mode": ("auto", "hf", "slow"), "tokenizer_revision": (None,),
}

# The request arguments of vLLM that merope does not use, each with the accepted values.
_OF_REQUESTS: dict[str, tuple[Any, ...]] = {
    "lora_request": (None, []), "tokenization_kwargs": (None, {}), "prompt_adapter_request": (None,),
    "mm_processor_kwargs": (None, {}), "chat_template_content_format": ("auto", "string"),
    "trace_headers": (None, {}), "data_parallel_rank": (None,), "prompt_text": (None,),
}

_noted: set[str] = set()


def note_once(owner: str, note: str) -> None:
    """Logs a warning, but only the first time in this process."""
    if note not in _noted:
        _noted.add(note)
        logger.warning("%s: %s", owner, note)


def take_engine_arguments(owner: str, model: str, arguments: Mapping[str, Any]) -> None:
    """Accepts arguments that change no result, and logs a note once per process. Refuses all other
    arguments, except with values that change no result. Errors name owner."""
    only: dict[str, tuple[Any, ...]] = {**_ONLY, "tokenizer": (None, model)}
    for name, value in arguments.items():
        if name not in _WITHOUT_EFFECT:
            _only(owner, name, os.fspath(value) if isinstance(value, os.PathLike) else value, only)
        else:
            note_once(owner, f"{name} has no effect in merope, and changes no result")


def take_request_arguments(owner: str, arguments: Mapping[str, Any]) -> None:
    """Accepts arguments of generate and chat with the values in _OF_REQUESTS. Refuses all other
    arguments and values. Errors name owner."""
    for name, value in arguments.items():
        _only(owner, name, value, _OF_REQUESTS)


def _only(owner: str, name: str, value: Any, known: Mapping[str, tuple[Any, ...]]) -> None:
    if name not in known:
        raise TypeError(f"{owner}: unexpected argument {name!r}")
    if not any(type(value) is type(one) and value == one for one in known[name]):
        expected = " or ".join(map(repr, known[name]))
        raise ValueError(f"{owner}: {name}: expected {expected}, found {value!r:.200}")
