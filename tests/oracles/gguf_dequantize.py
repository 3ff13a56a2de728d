"""Writes blocks of every GGUF tensor type, and the values that the gguf package computes from the blocks.

gguf_dequantize.py DIR [MODEL.gguf]: writes DIR/<TYPE>.blocks and DIR/<TYPE>.f32. With a model, also writes
DIR/model.txt. This file has one line for each of some tensors: the name, and the sha256 of the tensor's fp32 values.
The rows of Q and K are in HF's order.
"""

import hashlib
import pathlib
import sys

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import GGUFReader
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize

BLOCKS = 512
# Byte offsets of the half-precision scales in a block.
SCALES = {
    T.Q8_0: [0], T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2],
    T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208],
}


def random_blocks(kind, rng):
    """Returns random blocks. All bit patterns are possible, except scales that are not finite."""
    blocks = rng.integers(0, 256, (BLOCKS, GGML_QUANT_SIZES[kind][1]), dtype=np.uint8)
    for offset in SCALES[kind]:
        high = blocks[:, offset + 1]
        high[(high & 0x7C) == 0x7C] &= 0xBF
        high[: BLOCKS // 8] &= 0x83  # some scales are denormal
    return blocks


def plain(kind):
    """Returns the bytes of every fp16 value that is not NaN, of every bf16 value, or of some fp32 values."""
    bits = np.arange(65536, dtype=np.uint16)
    if kind == T.F16:
        bits = bits[~np.isnan(bits.view(np.float16))]
    if kind == T.F32:
        return np.random.default_rng(1).standard_normal(4096).astype(np.float32).view(np.uint8)
    return bits.view(np.uint8)


def unpermuted(values, heads):
    rows, cols = values.shape
    return values.reshape(heads, rows // heads // 2, 2, cols).swapaxes(1, 2).reshape(rows, cols)


def model_hashes(path):
    reader = GGUFReader(path)
    heads = {
        "attn_q": reader.fields["llama.attention.head_count"].contents(),
        "attn_k": reader.fields["llama.attention.head_count_kv"].contents(),
    }
    for tensor in reader.tensors:
        if not tensor.name.startswith(("token_embd", "blk.0.", "blk.11.", "output_norm")):
            continue
        values = np.ascontiguousarray(dequantize(tensor.data, tensor.tensor_type))
        part = tensor.name.split(".")[-2]
        if part in heads:
            values = np.ascontiguousarray(unpermuted(values, heads[part]))
        yield tensor.name, hashlib.sha256(values.tobytes()).hexdigest()


def main():
    out = pathlib.Path(sys.argv[1])
    rng = np.random.default_rng(20)
    for kind in [T.F32, T.F16, T.BF16, *SCALES]:
        blocks = plain(kind) if kind not in SCALES else random_blocks(kind, rng)
        (out / f"{kind.name}.blocks").write_bytes(blocks.tobytes())
        values = np.ascontiguousarray(dequantize(blocks, kind))
        assert values.dtype == np.float32
        (out / f"{kind.name}.f32").write_bytes(values.tobytes())
    if len(sys.argv) > 2:
        lines = [f"{name} {digest}\n" for name, digest in model_hashes(sys.argv[2])]
        (out / "model.txt").write_text("".join(lines))


main()
