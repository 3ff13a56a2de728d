"""Compares the tokens that the sampler draws with the definitions of its parameters.

tests/oracles/draw_tokens.cc draws whole sequences. This script computes the probability of each sequence from the definitions
of the parameters, in float64, with sorts and sums only. Each case is a G-test of the counts. Cells with fewer than 5 expected
draws are joined. No sequence of probability 0 may occur. The family of all cases is tested at level 0.001 with Bonferroni's
correction: a case fails if its p-value is below 0.001 / number of cases. The seeds are fixed, so a run's verdict can be
repeated.

False definitions (FALSE) show that the tests detect errors: some case must refute each false definition at 1e-12 or less.
"""

import json
import math
import os
import subprocess
import sys

import numpy as np
from scipy import special, stats

DRIVER = os.path.join(os.environ["MEROPE_BUILD"], "draw_tokens")
FAMILY_ALPHA = 0.001
REFUTED = 1e-12
SEQUENCES = 40_000
NONE = -math.inf

# name: what is wrong in the definition.
FALSE = {
    "no temperature": "logits are drawn from as they are",
    "temperature multiplies": "by T, not 1 / T",
    "k + 1": "top_k keeps one more",
    "p after the border": "top_p keeps one more than reaches p",
    "p before k": "top_p is taken of the whole distribution, before top_k and min_p",
    "min_p of 1": "min_p is a probability, not a share of the greatest",
    "min_p before temperature": "shares are those at temperature 1",
    "presence of the prompt": "presence_penalty counts the prompt's tokens",
    "presence per occurrence": "presence_penalty is multiplied by the count",
    "frequency once": "frequency_penalty is not multiplied by the count",
    "frequency of the prompt": "frequency_penalty counts the prompt's tokens",
    "repetition without the prompt": "repetition_penalty counts generated tokens only",
    "repetition divides": "repetition_penalty divides logits below 0, too",
    "repetition comes last": "after the other penalties",
    "penalties after temperature": "on logits already divided by it",
    "bias comes last": "after the penalties",
    "bias after temperature": "on logits already divided by it",
    "bad words match the prompt": "the prompt's tokens may begin a bad word",
    "bad words whole": "all tokens of a bad word are forbidden",
    "min_tokens one early": "EOS may be the token before min_tokens",
    "min_tokens of EOS only": "stop tokens may come early",
    "mask ignored": "a constraint's mask is ignored where allowed_token_ids are given",
}


def distribution(logits, params, prompt, generated, eos, bad_words, mask, false=None):
    """Returns the probabilities of the token after `generated`, or None if a false definition leaves no token."""
    get = {"temperature": 1, "top_p": 1, "top_k": 0, "min_p": 0, "repetition_penalty": 1, "presence_penalty": 0,
           "frequency_penalty": 0, "min_tokens": 0, "logit_bias": {}, "stop_token_ids": []} | params
    ids = np.arange(len(logits))
    x = np.where(np.isnan(logits), NONE, np.asarray(logits, np.float32).astype(np.float64))
    temperature = max(get["temperature"], 0.01) if get["temperature"] else 0
    scale = temperature or 1
    allowed = get.get("allowed_token_ids")
    if mask is not None and not (allowed and false == "mask ignored"):
        x[~np.isin(ids, mask)] = NONE
    if allowed is not None:
        x[~np.isin(ids, allowed)] = NONE
    past = list(prompt) + list(generated) if false == "bad words match the prompt" else list(generated)
    for word in bad_words:
        if past[len(past) - len(word) + 1:] == list(word[:-1]) and len(past) >= len(word) - 1:
            x[word[-1]] = NONE
        if false == "bad words whole":
            x[list(word)] = NONE
    if len(generated) < get["min_tokens"] - (false == "min_tokens one early"):
        x[[i for i in eos if i < len(x)]] = NONE
        if false != "min_tokens of EOS only":
            x[get["stop_token_ids"]] = NONE

    def bias(x, by=1.0):
        for token, value in get["logit_bias"].items():
            x[int(token)] += min(100.0, max(-100.0, value)) * by

    def repeat(x):
        seen = set(generated) | (set() if false == "repetition without the prompt" else set(prompt))
        for token in seen:
            up = x[token] <= 0 and false != "repetition divides"
            x[token] *= get["repetition_penalty"] if up else 1 / get["repetition_penalty"]

    def penalize(x, by=1.0):
        counts = np.bincount(np.array(list(generated), int), minlength=len(x))
        whole = np.bincount(np.array(list(prompt) + list(generated), int), minlength=len(x))
        often = whole if false == "frequency of the prompt" else counts
        if false == "frequency once":
            often = often > 0
        there = (whole if false == "presence of the prompt" else counts)
        if false != "presence per occurrence":
            there = there > 0
        x -= by * (get["frequency_penalty"] * often + get["presence_penalty"] * there)

    if false not in ("bias comes last", "bias after temperature"):
        bias(x)
    if false != "repetition comes last":
        repeat(x)
    penalize(x, scale if false == "penalties after temperature" else 1)
    if false == "repetition comes last":
        repeat(x)
    if false == "bias comes last":
        bias(x)
    if false == "bias after temperature":
        bias(x, scale)
    if not np.isfinite(x).any():
        return None
    if not temperature:
        return (ids == np.argmax(x)).astype(float)

    raw = special.softmax(x)
    p = special.softmax(x * temperature if false == "temperature multiplies" else
                        x if false == "no temperature" else x / temperature)
    whole = p
    shares = raw if false == "min_p before temperature" else p
    p = np.where(shares < get["min_p"] * (1 if false == "min_p of 1" else shares.max()), 0, p)
    order = np.lexsort((ids, -x))  # most probable first, equal logits by id
    if get["top_k"] > 0:
        p[order[get["top_k"] + (false == "k + 1"):]] = 0
    if get["top_p"] < 1:
        base = whole if false == "p before k" else p
        before = np.cumsum(base[order]) - base[order]  # of all tokens before this one
        target = get["top_p"] * base.sum() + (base[order].max() if false == "p after the border" else 0)
        p[order[before >= target]] = 0
    return p / p.sum() if p.any() else None


def joint(case, false=None):
    """Returns {tokens: probability} of whole sequences, or None if a false definition leaves no token."""
    sequences = {(): 1.0}
    for row, logits in enumerate(case["rows"]):
        mask = case["masks"][row] if case["masks"] else None
        longer = {}
        for tokens, probability in sequences.items():
            p = distribution(logits, case["params"], case["prompt"], tokens, case["eos"], case["bad_words"], mask, false)
            if p is None:
                return None
            longer |= {tokens + (int(i),): probability * p[i] for i in np.flatnonzero(p)}
        sequences = longer
    return sequences


def g_test(counts, probabilities):
    """Returns the p-value, or 0 if an impossible sequence occurred."""
    total = sum(counts.values())
    if any(tokens not in probabilities for tokens in counts):
        return 0.0
    cells, expected, observed = [], 0.0, 0
    for tokens in sorted(probabilities, key=lambda tokens: (probabilities[tokens], tokens)):
        expected += total * probabilities[tokens]
        observed += counts.get(tokens, 0)
        if expected >= 5:
            cells.append((observed, expected))
            expected, observed = 0.0, 0
    if not cells:
        return 1.0
    cells[-1] = (cells[-1][0] + observed, cells[-1][1] + expected)
    if len(cells) == 1:
        return 1.0
    g = 2 * sum(o * math.log(o / e) for o, e in cells if o)
    return float(stats.chi2.sf(g, len(cells) - 1))


def numbers(row):
    return [x if math.isfinite(x) else str(x) for x in map(float, row)]


def words(mask, size):
    result = [0] * ((size + 31) // 32)
    for token in mask:
        result[token // 32] |= 1 << (token % 32)
    return result


def ask(lines):
    text = "".join(json.dumps(line) + "\n" for line in lines)
    run = subprocess.run([DRIVER], input=text, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in run.stdout.splitlines()]


def question(case):
    size = len(case["rows"][0])
    return {"draw": case["params"], "rows": [numbers(row) for row in case["rows"]],
            "masks": [words(mask, size) for mask in case["masks"]], "prompt": case["prompt"], "eos": case["eos"],
            "bad_words": case["bad_words"], "sequences": case["sequences"], "stream": case["stream"]}


def cases():
    rng = np.random.default_rng(20240607)

    def case(name, params, rows=1, size=8, sigma=1.5, prompt=(), eos=(), bad_words=(), masks=(), stream=False,
             sequences=SEQUENCES):
        if isinstance(rows, int):
            rows = rng.normal(0, sigma, (rows, size))
        return {"name": name, "params": params, "rows": [np.asarray(row, np.float32) for row in rows], "prompt": list(prompt),
                "eos": list(eos), "bad_words": [list(word) for word in bad_words], "masks": [list(mask) for mask in masks],
                "stream": stream, "sequences": sequences}

    for temperature in (0.3, 0.7, 1, 2, 10):
        yield case(f"temperature {temperature}", {"temperature": temperature})
    yield case("temperature 1, one long stream", {}, sequences=2_000_000, stream=True)  # detects weights that are 0.5 % off
    yield case("temperature 0.001 is 0.01", {"temperature": 0.001}, [[0.5, 0.51, 0.495, 0.505]])
    yield case("temperature 0", {"temperature": 0}, 3)
    for name, params in (("temperature", {"temperature": 0.8}), ("top_p", {"top_p": 0.9}), ("top_k", {"top_k": 1000}),
                         ("min_p", {"min_p": 0.05}),
                         ("all cuts", {"temperature": 1.3, "top_k": 2000, "top_p": 0.95, "min_p": 0.01})):
        yield case(f"{name} of a vocabulary of 5,000, one stream", params, 1, 5000, sequences=200_000, stream=True)
    equal = [1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 0.0]
    for k in (-1, 0, 1, 3, 7, 8, 1000):
        yield case(f"top_k {k}", {"top_k": k})
    for k in (1, 2, 4, 5):
        yield case(f"top_k {k} among equals", {"top_k": k}, [equal])
    for p in (1, 0.97, 0.9, 0.6, 0.3, 1e-3, 1e-12, 5e-324):
        yield case(f"top_p {p}", {"top_p": p})
    for p in (0.3, 0.5, 0.7, 0.85):
        yield case(f"top_p {p} among equals", {"top_p": p}, [equal])
    for p in (0.5, 0.99):
        yield case(f"top_p {p} of all equals", {"top_p": p}, [np.zeros(101)])
    yield case("top_p, one far away", {"top_p": 0.8}, [[0, 0.3, -1e30, 0.1, -0.2]])
    for p in (0.02, 0.1, 0.5, 1):
        yield case(f"min_p {p}", {"min_p": p})
    yield case("min_p 1 among equals", {"min_p": 1}, [equal])
    yield case("min_p and temperature", {"min_p": 0.15, "temperature": 2})
    yield case("top_k, top_p", {"top_k": 4, "top_p": 0.75}, sigma=0.6)
    yield case("min_p, top_p", {"min_p": 0.4, "top_p": 0.7}, sigma=0.7)
    yield case("all cuts", {"temperature": 1.5, "min_p": 0.1, "top_k": 5, "top_p": 0.8}, 2)
    odd = [[NONE, 0.3, math.nan, 1.1, NONE, 0.2, math.nan, -0.5]]
    for name, params in (("temperature", {"temperature": 5}), ("top_k", {"top_k": 6}), ("top_p", {"top_p": 0.9999}),
                         ("min_p", {"min_p": 1e-9}), ("temperature 0", {"temperature": 0})):
        yield case(f"−inf and NaN: {name}", params, odd)
    yield case("−inf but one", {"temperature": 2}, [[NONE, NONE, -7.0, NONE]])
    for value in (1.5, -1.5, 2):
        yield case(f"presence_penalty {value}", {"presence_penalty": value}, 3, 6, prompt=[0, 0, 1])
        yield case(f"frequency_penalty {value}", {"frequency_penalty": value}, 4, 5, prompt=[0, 0, 1])
    for value in (1.4, 0.6, 3):
        yield case(f"repetition_penalty {value}", {"repetition_penalty": value}, 3, 6, prompt=[0, 0, 1])
    penalties = {"presence_penalty": 0.7, "frequency_penalty": 0.4, "repetition_penalty": 1.7}
    yield case("all penalties", penalties, 3, 6, prompt=[2, 5])
    yield case("all penalties, temperature 2", penalties | {"temperature": 2}, 3, 6, prompt=[2, 5])
    yield case("all penalties, temperature 0", penalties | {"temperature": 0}, 12, 6, sigma=0.3, prompt=[2, 5])
    yield case("logit_bias", {"logit_bias": {"0": 1.5, "3": -2, "4": 100}, "allowed_token_ids": [0, 1, 2, 3]}, 2)
    yield case("logit_bias is bounded", {"logit_bias": {"0": 1e6}}, [[-100.0, 0, 0.5]])
    yield case("logit_bias, temperature 0.5", {"logit_bias": {"0": 1.5, "3": -1}, "temperature": 0.5})
    yield case("logit_bias, repetition_penalty", {"logit_bias": {"0": -2, "3": 1}, "repetition_penalty": 2}, 3, 6, prompt=[0, 3])
    yield case("allowed_token_ids", {"allowed_token_ids": [1, 4, 7, 4]}, 2)
    yield case("mask", {}, 2, 40, masks=[range(0, 40, 3), [0, 31, 32, 39]])
    yield case("mask and allowed_token_ids", {"allowed_token_ids": [1, 30, 31, 32, 33]}, 2, 40,
               masks=[range(0, 40, 3), [31, 32, 39]])
    yield case("bad words", {}, 3, 5, prompt=[0, 1], bad_words=[[4], [1, 2], [1, 1, 3], [0, 1, 2, 3, 0]])
    yield case("bad words, temperature 0", {"temperature": 0}, np.tile([0.1, 0.2, 0.3], (12, 1)), bad_words=[[2, 2], [1, 2, 1]])
    yield case("min_tokens", {"min_tokens": 2, "stop_token_ids": [3]}, 4, 5, eos=[4, 99])
    yield case("min_tokens, ignore_eos", {"min_tokens": 1, "ignore_eos": True}, 2, 5, eos=[2, 4])
    everything = penalties | {"temperature": 1.2, "top_k": 6, "top_p": 0.95, "min_p": 0.02, "min_tokens": 2, "stop_token_ids": [6],
                              "logit_bias": {"1": 0.8, "2": -0.6}, "allowed_token_ids": [0, 1, 2, 3, 4, 6, 7]}
    yield case("everything", everything, 3, 8, prompt=[1, 2, 2], eos=[7], bad_words=[[0, 1], [3]],
               masks=[range(8), [0, 1, 2, 4, 5, 6, 7], range(8)])


def check_draws():
    family = list(cases())
    alpha = FAMILY_ALPHA / len(family)
    refuted = {name: (1.0, "") for name in FALSE}
    failures, smallest, cells = 0, 1.0, 0
    for case, answer in zip(family, ask(map(question, family)), strict=True):
        counts = {tuple(tokens): count for tokens, count in answer["counts"]}
        assert sum(counts.values()) == case["sequences"], case["name"]
        probabilities = joint(case)
        p = g_test(counts, probabilities)
        smallest, cells = min(smallest, p), cells + len(probabilities)
        if p < alpha:
            failures += 1
            print(f"DIFFERENT {case['name']}: p = {p:.3g}")
            for tokens in sorted(set(counts) | set(probabilities))[:20]:
                print(f"  {tokens}: {counts.get(tokens, 0)}, expected {probabilities.get(tokens, 0) * case['sequences']:.1f}")
        if len(case["rows"][0]) <= 200:
            for name in FALSE:
                if (wrong := joint(case, name)) is not None:
                    refuted[name] = min(refuted[name], (g_test(counts, wrong), case["name"]))
    print(f"draws: {len(family)} cases of {SEQUENCES:,} sequences or more, {cells:,} possible sequences; smallest p {smallest:.3g}, "
          f"a case fails below {alpha:.3g}; {failures} failed")
    for name, (p, case) in refuted.items():
        if p > REFUTED:
            failures += 1
            print(f"NOT REFUTED: {name} ({FALSE[name]}): p = {p:.3g} by '{case}'")
    print(f"false definitions: {sum(p <= REFUTED for p, _ in refuted.values())} of {len(FALSE)} refuted at {REFUTED} or less")
    return failures


def check_logprobs():
    """Compares logprobs with log_softmax in float64, ranks with counts, and the order with a sort."""
    rng = np.random.default_rng(5)
    questions = []
    for size, k in ((1, 0), (1, 1), (7, 3), (7, 7), (7, 50), (7, -1), (1000, 20), (65536, 20), (65536, 1), (65536, 5000)):
        row = rng.normal(0, 3, size).astype(np.float32)
        if size > 5:
            row[rng.integers(0, size, size // 3)] = row[0]  # equal logits
            row[rng.integers(0, size, max(1, size // 50))] = NONE
        for token in {0, size // 2, size - 1, int(np.argmax(row))}:
            questions.append((row, token, k))
    failures = entries = 0
    answers = ask({"row": numbers(row), "token": token, "k": k} for row, token, k in questions)
    for (row, token, k), answer in zip(questions, answers, strict=True):
        exact = special.log_softmax(row.astype(np.float64))
        order = np.lexsort((np.arange(len(row)), -row))[: len(row) if k < 0 else k]
        expected = [(token, int((row >= row[token]).sum()))] + [(int(i), rank + 1) for rank, i in enumerate(order)]
        found = answer["logprobs"]
        entries += len(found)
        # Rounding a logprob to fp32 changes it by at most half a unit in the last place: 2^-24 of its value.
        wrong = [(i, rank) for i, rank in expected] != [(i, rank) for i, _, rank in found] or any(
            float(x) != exact[i] if math.isinf(exact[i]) else abs(float(x) - exact[i]) > 2**-24 * abs(exact[i]) + 1e-12
            for i, x, _ in found)
        if wrong:
            failures += 1
            print(f"DIFFERENT logprobs: {len(row)} logits, token {token}, k {k}")
    print(f"logprobs: {len(questions)} rows, {entries:,} entries; {failures} differ")
    return failures


if __name__ == "__main__":
    sys.exit(1 if check_draws() + check_logprobs() else 0)
