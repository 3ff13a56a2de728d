"""Writes the weights of a GGUF file in bf16, as real servers load them: a directory for transformers and vLLM, and a GGUF file for
llama.cpp. Run with the Python of the oracles.

    models.py MODEL.gguf DIRECTORY      writes DIRECTORY/hf and DIRECTORY/bf16.gguf, unless they are there
"""

import os
import sys

import gguf
import torch
import transformers


def write_hf(source, to):
    directory, file = os.path.split(os.path.abspath(source))
    transformers.AutoTokenizer.from_pretrained(directory, gguf_file=file).save_pretrained(to)
    model = transformers.AutoModelForCausalLM.from_pretrained(directory, gguf_file=file, dtype=torch.float32)
    # transformers refuses to save a model that it thinks is quantized; it has dequantized this one.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.to(torch.bfloat16).save_pretrained(to)


def write_gguf(source, to):
    reader = gguf.GGUFReader(source)
    field = reader.fields["general.architecture"]
    writer = gguf.GGUFWriter(to, field.contents())
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        kind = field.types[0]
        of = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), kind, sub_type=of)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
    for tensor in reader.tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        if len(tensor.shape) == 1:
            writer.add_tensor(tensor.name, values.astype("float32"))
        else:
            data = gguf.quantize(values, gguf.GGMLQuantizationType.BF16)
            writer.add_tensor(tensor.name, data, raw_dtype=gguf.GGMLQuantizationType.BF16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    source, directory = sys.argv[1:]
    os.makedirs(directory, exist_ok=True)
    for name, write in (("hf", write_hf), ("bf16.gguf", write_gguf)):
        to = os.path.join(directory, name)
        if not os.path.exists(to):
            write(source, to + ".partial")
            os.replace(to + ".partial", to)


if __name__ == "__main__":
    main()
