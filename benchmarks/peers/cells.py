"""The work that is measured, and the project's targets for this work."""

from dataclasses import dataclass

DTYPES = ("bf16", "int8", "int4")


@dataclass(frozen=True)
class Shape:
    """One piece of work: `batch` prompts of `input` tokens, with `output` tokens for each. Gives
    one or more cells."""

    batch: int
    input: int
    output: int
    cells: tuple
    dtypes: tuple = DTYPES
    ours: str = ""  # merope's mode, if not the default
    long: bool = False  # takes several seconds: each side has one turn per round

    @property
    def warmup(self):
        """Runs in each turn before the runs that count. A batch lasts long enough and needs
        none."""
        return 0 if self.batch > 1 else 1

    def __str__(self):
        return f"{self.batch} x ({self.input} in, {self.output} out)" + (f", {self.ours}" if self.ours else "")


@dataclass(frozen=True)
class Cell:
    name: str
    kind: str  # prefill, decode: tokens per second, all sequences together; job: seconds

    @property
    def unit(self):
        return "s" if self.kind == "job" else "tok/s"

    def figure(self, shape, reply):
        if self.kind == "prefill":
            return shape.batch * shape.input / reply["prefill_s"]
        return reply["decode_tok_s"] if self.kind == "decode" else reply["total_s"]

    def speedup(self, ours, theirs):
        """How many times as fast as the peer merope is."""
        return theirs / ours if self.kind == "job" else ours / theirs


PREFILL, DECODE, JOB = "prefill", "decode", "job"
SHAPES = (
    Shape(1, 32, 1, (Cell("prefill-32", PREFILL),)),
    Shape(1, 128, 1, (Cell("prefill-128", PREFILL),)),
    Shape(1, 32, 64, (Cell("decode-0", DECODE),)),
    Shape(1, 32, 64, (Cell("decode-0-plain", DECODE),), dtypes=("bf16",), ours="plain"),
    Shape(1, 512, 32, (Cell("prefill-512", PREFILL), Cell("decode-512", DECODE))),
    Shape(1, 2048, 32, (Cell("prefill-2048", PREFILL), Cell("decode-2048", DECODE)), long=True),
    Shape(8, 512, 64, (Cell("decode-8x512", DECODE), Cell("job-8", JOB)), dtypes=("bf16", "int8"), long=True),
    Shape(32, 512, 64, (Cell("decode-32x512", DECODE), Cell("job-32", JOB)), dtypes=("bf16", "int8"), long=True),
)
CELLS = [cell.name for shape in SHAPES for cell in shape.cells]


@dataclass(frozen=True)
class Target:
    """The project's targets for a cell: the speed as a multiple of the best peer's, as a multiple
    of llama.cpp's, and as a share of the machine's limit. The limit is the probed bandwidth for
    decoding, and the probed multiply-add rate (bf16 or int8) for prefill. None: no target."""

    best: float = None
    llamacpp: float = None
    limit: float = None


# The project's targets, for two threads. A share of the bandwidth counts the bytes that a step must
# read. For bf16, these are the bytes of plain weights; weights in 12 bits need fewer bytes, so a
# target may be above 1. For int8 and int4, these are the bytes that merope reads.
TARGETS = {
    ("bf16", "decode-0"): Target(best=1.2, limit=1.15),
    ("bf16", "decode-0-plain"): Target(best=1.0, limit=0.93),
    ("int8", "decode-0"): Target(best=1.15, limit=0.88),
    ("int4", "decode-0"): Target(best=1.2, limit=0.78),
    ("bf16", "decode-2048"): Target(best=1.35, limit=1.05),
    ("int8", "decode-2048"): Target(best=1.25, limit=0.85),
    ("int4", "decode-2048"): Target(best=1.4, limit=0.75),
    ("bf16", "decode-8x512"): Target(best=1.25, llamacpp=2.2),
    ("bf16", "decode-32x512"): Target(llamacpp=3.0),
    ("int8", "decode-8x512"): Target(best=1.25),
    ("bf16", "prefill-32"): Target(best=1.2),
    ("bf16", "prefill-128"): Target(best=1.0, llamacpp=1.5, limit=0.88),
    ("bf16", "prefill-512"): Target(best=1.0, llamacpp=1.5, limit=0.88),
    ("bf16", "prefill-2048"): Target(best=1.0, llamacpp=1.5, limit=0.86),
    ("int8", "prefill-128"): Target(best=1.1, limit=0.75),
    ("int8", "prefill-512"): Target(best=1.1, limit=0.75),
    ("int8", "prefill-2048"): Target(best=1.2, limit=0.70),
    # These targets are shares of the best peer's time: 0.87 and 0.78.
    ("bf16", "job-8"): Target(best=1 / 0.87),
    ("bf16", "job-32"): Target(best=1 / 0.87),
    ("int8", "job-8"): Target(best=1 / 0.78),
    ("int8", "job-32"): Target(best=1 / 0.78),
}
EAGER_TARGET = 1.0  # the compiled mode is never slower than the eager mode


class Costs:
    """The least cost of one sequence's work, from the model's config.json."""

    def __init__(self, config):
        hidden, layers = config["hidden_size"], config["num_hidden_layers"]
        head = config["head_dim"] or hidden // config["num_attention_heads"]
        self.queries = head * config["num_attention_heads"]
        self.keys = head * config["num_key_value_heads"]
        self.layers = layers
        self.matrices = layers * hidden * (2 * self.queries + 2 * self.keys + 3 * config["intermediate_size"])
        self.head = hidden * config["vocab_size"]

    def prefill_operations(self, tokens):
        """Two operations per multiply-add; the causal half of attention; the head for one token."""
        return 2 * self.matrices * tokens + 2 * self.layers * self.queries * tokens * tokens + 2 * self.head

    def decode_bytes_bf16(self, context):
        return 2 * (self.matrices + self.head) + 2 * 2 * self.layers * self.keys * context


def limit_share(costs, cell, shape, dtype, figure, reply, probe):
    """merope's figure as a share of the probed limit; None for batches and jobs, and without a
    probe or a byte count."""
    if shape.batch > 1 or cell.kind == JOB or not probe:
        return None
    if cell.kind == PREFILL:
        peak = probe.get({"bf16": "bf16_flop_s", "int8": "int8_op_s"}.get(dtype))
        return figure * costs.prefill_operations(shape.input) / shape.input / peak if peak else None
    read = probe.get("read_bytes_s")
    if dtype == "bf16":
        needed = costs.decode_bytes_bf16(shape.input + shape.output / 2)
    else:
        needed = reply.get("decode_bytes")
    return figure * needed / read if read and needed else None
