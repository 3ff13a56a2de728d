"""Reads and writes checkpoints in the Hugging Face layout, with numpy alone."""

import json
import os
import shutil
import struct

import numpy


def read_tensors(directory):
    """Returns name -> array (uint16, mapped), in the file's order. All tensors are BF16; numpy has
    no BF16 type."""
    path = os.path.join(directory, "model.safetensors")
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    data = numpy.memmap(path, dtype=numpy.uint8, mode="r", offset=8 + length)
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] != "BF16":
            raise ValueError(f"{path}: {name}: expected dtype BF16, found {entry['dtype']}")
        begin, end = entry["data_offsets"]
        tensors[name] = data[begin:end].view(numpy.uint16).reshape(entry["shape"])
    return tensors


def bf16_to_f32(words):
    return (words.astype(numpy.uint32) << 16).view(numpy.float32)


def f32_to_bf16(values):
    """Rounds to nearest, ties to even. The values must be finite."""
    bits = numpy.ascontiguousarray(values, numpy.float32).view(numpy.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(numpy.uint16)


def write_tensors(path, tensors):
    """tensors: name -> (safetensors dtype, array)."""
    header, offset = {}, 0
    for name, (dtype, array) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for _, array in tensors.values():
            file.write(numpy.ascontiguousarray(array).tobytes())


def read_config(directory):
    with open(os.path.join(directory, "config.json")) as file:
        return json.load(file)


def copy_all_but_weights(source, target):
    for name in os.listdir(source):
        if not name.endswith(".safetensors"):
            shutil.copy(os.path.join(source, name), target)
