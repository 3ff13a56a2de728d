"""OpenVINO GenAI: LLMPipeline for one sequence, ContinuousBatchingPipeline for batches.

OpenVINO's own exporter writes the models.
"""

import time

import peer as base

PEER = base.Peer(
    name="OpenVINO",
    folder="openvino",
    variants={"bf16": "bf16", "int8": "int8", "int4": "int4"},
    requirements="PEER_OPENVINO",
    packages=("openvino-genai", "openvino", "optimum-intel", "nncf"),
    torch=True,
)


def convert(variant, checkpoint, out):
    # The exporter can store fp16 but not bf16; OpenVINO computes in bf16.
    weights = {"bf16": "fp16"}.get(variant, variant)
    model = ("-m", checkpoint, "--task", "text-generation-with-past", "--weight-format", weights)
    base.export("optimum.commands.optimum_cli", "export", "openvino", *model, out)


class Engine:
    def __init__(self, variant, model, threads):
        import openvino_genai

        self.genai, self.model = openvino_genai, model
        self.properties = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "bf16"}
        self.pipeline = self.batched = None
        self.make(batched=False)
        self.vocabulary = base.vocabulary(model)
        self.flags = f"{variant} weights, " + ", ".join(f"{k}={v}" for k, v in self.properties.items())

    def make(self, batched):
        """Makes the pipeline for one sequence or for a batch. Only one exists at a time: each holds
        the model."""
        if self.pipeline and self.batched == batched:
            return
        self.pipeline, self.batched = None, batched
        if not batched:
            self.pipeline = self.genai.LLMPipeline(self.model, "CPU", **self.properties)
            return
        scheduler = self.genai.SchedulerConfig()
        scheduler.enable_prefix_caching = False
        scheduler.max_num_seqs = 32
        scheduler.max_num_batched_tokens = 2048
        scheduler.cache_size = 2
        self.pipeline = self.genai.ContinuousBatchingPipeline(self.model, scheduler, "CPU", self.properties)

    def config(self, output):
        config = self.genai.GenerationConfig()
        config.max_new_tokens, config.ignore_eos, config.do_sample = output, True, False
        return config

    def run(self, prompts, output):
        self.make(batched=len(prompts) > 1)
        return self.run_batch(prompts, output) if self.batched else self.run_one(prompts[0], output)

    def run_one(self, prompt, output):
        import numpy
        import openvino

        times, running = [], self.genai.StreamingStatus.RUNNING

        class Clock(self.genai.StreamerBase):
            def write(self, tokens):
                times.append(time.perf_counter())
                return running

            def end(self):
                pass

        ids = openvino.Tensor(numpy.array([prompt], numpy.int64))
        start = time.perf_counter()
        self.pipeline.generate(ids, self.config(output), Clock())
        end = time.perf_counter()
        if len(times) != output:
            raise RuntimeError(f"expected {output} tokens, found {len(times)}")
        return base.Timing(times[0] - start, times[-1] - times[0], output - 1, end - start)

    def run_batch(self, prompts, output):
        import numpy
        import openvino

        count = len(prompts)
        start = time.perf_counter()
        handles = [
            self.pipeline.add_request(i, openvino.Tensor(numpy.array([prompt], numpy.int64)), self.config(output))
            for i, prompt in enumerate(prompts)
        ]
        lengths = [0] * count
        first = first_tokens = None
        while self.pipeline.has_non_finished_requests():
            self.pipeline.step()
            for i, handle in enumerate(handles):
                while handle.can_read():
                    lengths[i] += sum(len(o.generated_ids) for o in handle.read().values())
            if first is None and all(lengths):
                first, first_tokens = time.perf_counter(), sum(lengths)
        end = time.perf_counter()
        if sum(lengths) != count * output:
            raise RuntimeError(f"expected {count * output} tokens, found {sum(lengths)}")
        return base.Timing(first - start, end - first, count * output - first_tokens, end - start)


if __name__ == "__main__":
    base.main(PEER, convert, Engine)
