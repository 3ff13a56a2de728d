"""Checks that two builds of merope give bit-identical results: python3 same_bits.py MEROPE OTHER MODEL...

The script runs both builds on each model, and on a small synthetic model with biases, an untied head, odd sizes and llama3
RoPE, in fp32 and bf16. Every token and logprob of the generations must be equal. The logits at all positions of the short
prompts of the precision suite must be equal byte for byte.
"""

import filecmp
import json
import pathlib
import subprocess
import sys
import tempfile

PROMPTS = ["The capital of France is", "def fibonacci(n):", "Kepler's third law states that the square of", "1, 1, 2, 3, 5, 8,",
           "Die Hauptstadt von Frankreich", "x"]
ODD = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 172, "intermediate_size": 345,
    "num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 34, "vocab_size": 4099,
    "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": False, "hidden_act": "silu", "rms_norm_eps": 1e-5,
    "max_position_embeddings": 4096, "rope_theta": 10000.0, "torch_dtype": "bfloat16",
    "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                     "original_max_position_embeddings": 128},
}


def run(program, *arguments):
    return subprocess.run([program, *map(str, arguments)], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


def generations(program, model, dtype):
    results = [json.loads(run(program, "run", model, prompt, "--max-tokens", 64, "--ignore-eos", "--dtype", dtype, "--json"))
               for prompt in PROMPTS]
    return [(result["ids"], result["logprobs"]) for result in results]


def compare(programs, model, scratch):
    prompts = scratch / "prompts.json"
    run(programs[0], "verify", model, "--quick", "--dump-prompts", prompts)
    equal = True
    for dtype in ("fp32", "bf16"):
        generated = [generations(program, model, dtype) for program in programs]
        dumps = [scratch / f"{i}.safetensors" for i in range(2)]
        for program, dump in zip(programs, dumps):
            run(program, "verify", model, "--dtype", dtype, "--quick", "--prompts", prompts, "--dump-logits", dump)
        same = [generated[0] == generated[1], filecmp.cmp(*dumps, shallow=False)]
        print(f"{pathlib.Path(model).name} {dtype}: {sum(len(ids) for ids, _ in generated[0])} generated tokens and logprobs "
              f"{'equal' if same[0] else 'DIFFER'}; {dumps[0].stat().st_size} bytes of logits {'equal' if same[1] else 'DIFFER'}",
              flush=True)
        equal = equal and all(same)
    return equal


def main(programs, models):
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        (scratch / "config.json").write_text(json.dumps(ODD))
        run(programs[0], "synth", "--like", scratch / "config.json", scratch / "odd")
        results = [compare(programs, model, scratch) for model in [*models, scratch / "odd"]]
    return 0 if all(results) else 1


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit("usage: same_bits.py MEROPE OTHER MODEL...")
    sys.exit(main(sys.argv[1:3], sys.argv[3:]))
