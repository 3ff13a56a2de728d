"""onnxruntime-genai: int8 and int4 weights in blocks of 128. onnxruntime-genai's model builder
writes the models."""

import json
import os
import time

import peer as base

PEER = base.Peer(
    name="onnxruntime",
    folder="onnxruntime",
    variants={"int8": "int8", "int4": "int4"},
    requirements="PEER_ONNXRUNTIME",
    packages=("onnxruntime-genai", "onnxruntime"),
    torch=True,
    without_batches=("int8",),
)


def convert(variant, checkpoint, out):
    model = ("-i", checkpoint, "-o", out, "-p", variant, "-e", "cpu", "-c", os.path.join(out, "cache"))
    options = ("int4_block_size=128", "int4_accuracy_level=4")
    base.export("onnxruntime_genai.models.builder", *model, "--extra_options", *options)


class Engine:
    def __init__(self, variant, model, threads):
        import onnxruntime_genai

        # The default of onnxruntime-genai is one thread.
        path = os.path.join(model, "genai_config.json")
        with open(path) as file:
            config = json.load(file)
        config["model"]["decoder"]["session_options"]["intra_op_num_threads"] = threads
        with open(path, "w") as file:
            json.dump(config, file, indent=2)
        self.genai = onnxruntime_genai
        self.model = onnxruntime_genai.Model(model)
        self.vocabulary = config["model"]["vocab_size"]
        self.flags = f"{variant} weights in blocks of 128, accuracy level 4, intra_op_num_threads {threads}"

    def run(self, prompts, output):
        import numpy

        count, length = len(prompts), len(prompts[0]) + output
        params = self.genai.GeneratorParams(self.model)
        # The minimum length makes the generator continue past the end token.
        params.set_search_options(batch_size=count, min_length=length, max_length=length, do_sample=False)
        generator = self.genai.Generator(self.model, params)
        start = time.perf_counter()
        generator.append_tokens(numpy.array(prompts, numpy.int32))
        generator.generate_next_token()
        first = time.perf_counter()
        for _ in range(output - 1):
            generator.generate_next_token()
        end = time.perf_counter()
        return base.Timing(first - start, end - first, count * (output - 1), end - start)


if __name__ == "__main__":
    base.main(PEER, convert, Engine)
