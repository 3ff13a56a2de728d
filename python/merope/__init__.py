"""Runs small language models (Llama, Qwen2, Qwen3) on CPUs, with vLLM's names.

    from merope import LLM, SamplingParams

    llm = LLM(model="SmolLM2-135M-Instruct.gguf")
    for output in llm.generate(["The capital of France is"], SamplingParams(temperature=0)):
        print(output.outputs[0].text)
"""

from ._native import __version__
from .async_llm import AsyncLLM
from .engine import Counter, Gauge, Metric
from .llm import LLM
from .outputs import (
    BeamSearchOutput,
    BeamSearchSequence,
    CompletionOutput,
    FlatLogprobs,
    Logprob,
    RequestOutput,
    RequestStateStats,
)
from .sampling_params import (
    BeamSearchParams,
    RepetitionDetectionParams,
    RequestOutputKind,
    SamplingParams,
    StructuredOutputsParams,
)
from .tokenizer import Tokenizer

__all__ = [
    "AsyncLLM", "BeamSearchOutput", "BeamSearchParams", "BeamSearchSequence", "CompletionOutput",
    "Counter", "FlatLogprobs", "Gauge", "LLM", "Logprob", "Metric", "RepetitionDetectionParams",
    "RequestOutput", "RequestOutputKind", "RequestStateStats", "SamplingParams", "StructuredOutputsParams", "Tokenizer",
    "__version__",
]
