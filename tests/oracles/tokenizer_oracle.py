#!/usr/bin/env python3
"""Compares merope's token ids and decoded texts with those of HF tokenizers, and measures the speed of both.

For every kind of pre-tokenizer, normalizer, decoder, model and added token that merope reads, the script makes a tokenizer
with HF tokenizers and saves it. Both programs then encode the same texts: random Unicode strings, and a corpus of prose, code,
white space, emoji, CJK, combining marks and special tokens. All ids and all decoded texts must be equal.

Environment: MEROPE_BIN, the program. MEROPE_SMOLLM2 (optional), the SmolLM2-135M-Instruct GGUF file: the script also tests its
vocabulary, from the GGUF file and as a tokenizer.json. MEROPE_WHOLE=1: more random strings, and every code point through more
of the kinds. Needs tokenizers and, for the GGUF file, gguf.
"""
import json
import multiprocessing
import os
import random
import subprocess
import sys
import sysconfig
import tempfile
import time
import types
import unicodedata
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers,  # noqa: E402
                        pre_tokenizers, processors, trainers)

MEROPE = os.environ.get("MEROPE_BIN") or sys.exit("SKIP: MEROPE_BIN is not set")
WHOLE = os.environ.get("MEROPE_WHOLE") == "1"
RANDOM_STRINGS = 10_000 if WHOLE else 3_000

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
          r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
GPT4O = TEKKEN.replace(r"\p{M}]+|", r"\p{M}]+" + CONTRACTION + "|", 1).replace(
    r"\p{M}]*|\p{N}|", r"\p{M}]*" + CONTRACTION + r"|\p{N}{1,3}|")

# Expressions that only Oniguruma reads, or that it reads differently from other engines. Debian 12's Oniguruma (6.9.8) never
# matches \s*\R; HF's Oniguruma does.
DIALECT = ["[a[b-d][x-z&&[^y]]]+", "[\\w&&[^aeiou\\d]]+", r"\h+", "^.", ".$", "^$", r"[A-Za-z]{,2}\.", r"\w+", r"\b\d+", r"\R",
           r"(?<q>['\"])[^\n]*?\k<q>", "a*", "(?>[a-z]+)s?", "[[:upper:]][[:lower:]]+", r"\p{Han}|\p{^Letter}", "(?i)ss|k", r"\X"]
ON_ONIGURUMA = {f"{kind} {regex}" for regex in DIALECT for kind in ("Split", "normalizer Replace")}
SAMPLES = [
    "", " ", "  ", "\n", "\r\n\r\n", "\t\tif x:\n\t\t\treturn  42 \n", "Hello, world!", "don't DON'T I'LL we'Ve '\u017f it'\u017f",
    "The committee met on 12 March 2024; 1,234,567.89 euros were paid.", "naïve café — “quoted” … №5 ½ Ⅻ ٣٤",
    "Ein kurzer Satz über Größe und Maß.", "Où est la bibliothèque ? L'été, j'y vais à vélo.",
    "El niño comió piña en el jardín.", "Быстрая лиса прыгает через забор.", "Η γρήγορη αλεπού πηδάει.",
    "今天天气很好，我们去公园散步。", "今日は天気がいいので散歩します。", "오늘은 날씨가 좋아서 산책을 갑니다.",
    "हिन्दी में एक छोटा वाक्य।", "วันนี้อากาศดีมาก", "هذا نص قصير بالعربية.", "משפט קצר בעברית.",
    "👩‍👩‍👧‍👦🏳️‍🌈👍🏽🇫🇷🇯🇵 ☃︎☃️", "e\u0301\u0323 a\u0308\u0304 \u1e9b\u0323 \u212b \ufb01 \u2126 \uac01 \u1100\u1161\u11a8", "\u0130I\u0131i ΑΣΣ ΑΣ",
    "\u3000\u00a0\u2003\u2028\u2029\u0085\u180e\u200b\ufeff|", "for (int i = 0; i < n; ++i) { a[i] += b[i] * 0x1F; } // done",
    "SELECT * FROM t WHERE a='x' AND b<>1;\r\n\r\n--end", "x" * 300, " " * 70 + "x", "ab" * 200, "\n" * 40 + " ",
    "Pre<|a|>mid <|b|>  <|c|> post<|d|>word <|d|> <|e|>end", "<s>text</s> <unk> <0x41> <0x4", "CamelCaseHTTPServer2's", "a/b//c\n/\n",
    "▁ ▁▁ a▁b", "\U00031350\U0002f800\U0001e030\u1c89\ua7cb\U00010d50",
]


def random_strings(count, seed=1):
    rng = random.Random(seed)
    special = ["<|a|>", "<|b|>", "<|c|>", "<|d|>", "<|e|>", "<s>", "</s>", "<|A|>", "Café"]

    blocks = [(0x20, 0x7F), (0xA0, 0x250), (0x300, 0x370), (0x370, 0x500), (0x590, 0x700), (0x900, 0xE80), (0x1100, 0x1200),
              (0x1C80, 0x2000), (0x2000, 0x2070), (0x2070, 0x2600), (0x3040, 0x3400), (0x4E00, 0x5000), (0xA640, 0xA800),
              (0xAC00, 0xAD00), (0xF900, 0xFB50), (0xFE20, 0xFFF0), (0x10D40, 0x10D90), (0x16D40, 0x16D80),
              (0x1D400, 0x1D800), (0x1E000, 0x1F200), (0x1F300, 0x1F700)]
    blocks = [[c for c in range(low, high) if c not in SINCE_17] for low, high in blocks]

    def block():
        return chr(rng.choice(rng.choice(blocks)))

    scalars = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000 and c not in SINCE_17]
    kinds = [
        lambda: chr(rng.choice(scalars)),
        block,
        lambda: rng.choice("abcXYZ019 '.,;-_/()[]{}<>|!?\"\n\r\t"),
        lambda: rng.choice(" \n\r\t\u00a0\u3000\u2028\u0085  "),
        lambda: rng.choice("'") + rng.choice(["s", "T", "re", "VE", "m", "ll", "lL", "D", "\u017f", "x"]),
        lambda: rng.choice("aeiouAEO") + "".join(chr(rng.randrange(0x300, 0x370)) for _ in range(rng.randrange(4))),
        lambda: rng.choice(special),
        lambda: rng.choice(["the", " and", " Of", "ing", " 42", "2024", "ÉTÉ", "straße"]),
    ]
    strings = []
    for _ in range(count):
        chosen = rng.sample(kinds, rng.randrange(1, 5))
        strings.append("".join(rng.choice(chosen)() for _ in range(rng.randrange(1, 40))))
    return strings


# The code points that came after Unicode 16.0. HF's Digits and Lowercase use the Rust standard library, which implements
# Unicode 17 in tokenizers 0.23.3.
SINCE_17 = {*range(0x11DE0, 0x11DEA), 0xA7CE, 0xA7D2, 0xA7D4, *range(0x16EA0, 0x16EB9), *range(0x16FF4, 0x16FF7)}


def every_character():
    """Returns strings with all code points except SINCE_17, eight per string, between letters, digits, spaces and marks."""
    code_points = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000 and c not in SINCE_17]
    return ["".join(f"a{chr(c)}1{chr(c)} {chr(c)}.{chr(c)}B" for c in code_points[i:i + 8])
            for i in range(0, len(code_points), 8)]


def pairs_model(**options):
    """Returns a byte-level BPE model that merges every pair of bytes, so that the ids show where a text is cut."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    order = [(a, b) for a in alphabet for b in alphabet]
    random.Random(2).shuffle(order)
    tokens = alphabet + [a + b for a, b in order]
    return models.BPE({token: i for i, token in enumerate(tokens)}, order, **options)


def pairs(pre_tokenizer=None, normalizer=None, byte_level=True, **options):
    tokenizer = Tokenizer(pairs_model(**options))
    if normalizer:
        tokenizer.normalizer = normalizer
    steps = [pre_tokenizer] if pre_tokenizer else []
    if byte_level:
        steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps) if len(steps) != 1 else steps[0]
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def trained(texts, pre_tokenizer, normalizer, decoder, vocab_size=1200, special=("<unk>", "<s>", "</s>"), bytes_too=True,
            **options):
    tokenizer = Tokenizer(models.BPE(**options))
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer:
        tokenizer.normalizer = normalizer
    tokens = list(special) + ([f"<0x{b:02X}>" for b in range(256)] if bytes_too else [])
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=tokens, limit_alphabet=200,
                                                             max_token_length=16, show_progress=False))
    described = json.loads(tokenizer.to_str())
    described["added_tokens"] = [t for t in described["added_tokens"] if not t["content"].startswith("<0x")]
    tokenizer = Tokenizer.from_str(json.dumps(described))
    if decoder:
        tokenizer.decoder = decoder
    return tokenizer


def frozen(make):
    """Returns a copy of make that keeps the present values of its variables."""
    return types.FunctionType(make.__code__, make.__globals__,
                              closure=tuple(types.CellType(cell.cell_contents) for cell in make.__closure__ or ()))


def configurations(texts):
    """Yields (name, function that makes the tokenizer). Call or freeze the function before the next one is yielded."""
    byte_level, split, digits = pre_tokenizers.ByteLevel, pre_tokenizers.Split, pre_tokenizers.Digits
    yield "ByteLevel", lambda: pairs(byte_level(add_prefix_space=False), byte_level=False)
    yield "ByteLevel add_prefix_space", lambda: pairs(byte_level(add_prefix_space=True), byte_level=False)
    yield "ByteLevel without regex", lambda: pairs()
    yield "ByteLevel ignore_merges", lambda: pairs(byte_level(add_prefix_space=False), byte_level=False, ignore_merges=True)
    yield "Digits individual", lambda: pairs(pre_tokenizers.Sequence([digits(True), byte_level(add_prefix_space=False)]))
    yield "Digits contiguous", lambda: pairs(digits(False))
    for name, regex in ("Llama 3", LLAMA3), ("Qwen2", QWEN2), ("Tekken", TEKKEN), ("GPT-4o", GPT4O):
        yield f"Split {name}", lambda: pairs(split(Regex(regex), "isolated"))
    for regex in DIALECT:
        yield f"Split {regex}", lambda: pairs(split(Regex(regex), "isolated"))
        if regex in ("^$", "a*"):  # HF 0.23.3 panics when it replaces an empty match
            continue
        yield f"normalizer Replace {regex}", lambda: pairs(normalizer=normalizers.Replace(Regex(regex), "#"))
    yield "Split cl100k removed inverted", lambda: pairs(split(Regex(LLAMA3), "removed", invert=True))
    for behavior in "removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous":
        for invert in False, True:
            yield f"Split string {behavior} {invert}", lambda: pairs(split(" ", behavior, invert))
            yield f"Split regex {behavior} {invert}", lambda: pairs(split(Regex("[a-z]+|[0-9.]"), behavior, invert))
        yield f"Punctuation {behavior}", lambda: pairs(pre_tokenizers.Punctuation(behavior))
    yield "Whitespace", lambda: pairs(pre_tokenizers.Whitespace())
    yield "WhitespaceSplit", lambda: pairs(pre_tokenizers.WhitespaceSplit())
    yield "BertPreTokenizer", lambda: pairs(pre_tokenizers.BertPreTokenizer())
    yield "CharDelimiterSplit", lambda: pairs(pre_tokenizers.CharDelimiterSplit("a"))
    for scheme in "always", "never", "first":
        for cut in True, False:
            yield f"Metaspace {scheme} {cut}", lambda: trained(
                texts, pre_tokenizers.Metaspace("▁", scheme, cut), None, decoders.Metaspace("▁", scheme, cut),
                unk_token="<unk>", byte_fallback=True)
    n = normalizers
    for normalizer in n.NFC(), n.NFD(), n.NFKC(), n.NFKD(), n.Lowercase(), n.StripAccents(), n.Strip(True, False), \
            n.Strip(False, True), n.Prepend("_x"), n.Replace("a", "bb"), n.Replace(Regex("[0-9]{2}"), "#"), \
            n.Sequence([n.NFD(), n.StripAccents(), n.Lowercase()]):
        yield f"normalizer {json.loads(normalizer.__getstate__()).get('type')}", lambda: pairs(
            byte_level(add_prefix_space=False), normalizer, byte_level=False)
    tokenizer = pairs(normalizer=n.Sequence([n.NFC(), n.ByteLevel()]), byte_level=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Split("Ġ", "merged_with_next")
    yield "normalizer ByteLevel", lambda: tokenizer
    llama2 = n.Sequence([n.Prepend("▁"), n.Replace(" ", "▁")])
    llama2_decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                        decoders.Strip(" ", 1, 0)])
    tokenizer = trained(texts, None, llama2, llama2_decoder, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A <s> $B", [("<s>", 1)])
    yield "Llama 2", lambda: tokenizer
    whitespace = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    yield "unknown dropped", lambda: trained(texts, whitespace, None, None, bytes_too=False)
    yield "unknown", lambda: trained(texts, whitespace, None, None, bytes_too=False, unk_token="<unk>")
    yield "unknown fused", lambda: trained(texts, whitespace, n.NFKC(), None, bytes_too=False, unk_token="<unk>", fuse_unk=True)
    strip = decoders.Sequence([decoders.Replace("e", "ee"), decoders.Strip("t", 1, 0)])  # HF panics on the token "t" with (1, 1)
    yield "decoder Strip of tokens", lambda: trained(texts, whitespace, None, strip, bytes_too=False, unk_token="<unk>")
    for normalizer in None, n.Lowercase(), n.NFKC():
        tokenizer = pairs(byte_level(add_prefix_space=False), normalizer, byte_level=False)
        tokenizer.add_tokens([
            AddedToken("<|a|>", special=True, normalized=False), AddedToken("<|b|>", lstrip=True, rstrip=True),
            AddedToken("<|c|>", lstrip=True, special=True, normalized=False), AddedToken("<|d|>", single_word=True),
            AddedToken("<|e|>", rstrip=True, normalized=False), AddedToken("<|Z|>", normalized=True), AddedToken("Café"),
            AddedToken("ing", single_word=True, normalized=False), AddedToken("<|a|>x", normalized=False)])
        tokenizer.post_processor = processors.Sequence([
            processors.ByteLevel(trim_offsets=True),
            processors.TemplateProcessing("<|a|> <|c|> $A <|c|>", None, [("<|a|>", tokenizer.token_to_id("<|a|>")),
                                                                        ("<|c|>", tokenizer.token_to_id("<|c|>"))])])
        yield f"added tokens {json.loads(normalizer.__getstate__())['type'] if normalizer else ''}", lambda: tokenizer


def read_gguf(path):
    import gguf
    fields = gguf.GGUFReader(path).fields
    return {key: fields[f"tokenizer.ggml.{key}"].contents() for key in ("tokens", "merges", "token_type")}


def smollm2(path):
    """Returns SmolLM2's tokenizer. HF's own GGUF reader ignores tokenizer.ggml.pre, so the pre-tokenizer is set here."""
    vocabulary = read_gguf(path)
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(vocabulary["tokens"])},
                                     [tuple(m.split(" ")) for m in vocabulary["merges"]]))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(True),
                                                       pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False)
                                  for t, kind in zip(vocabulary["tokens"], vocabulary["token_type"]) if kind == 3])
    return tokenizer


class Merope:
    def __init__(self, folder):
        self.folder = Path(folder)

    def run(self, command, model, rows, *options):
        lines = self.folder / "lines.jsonl"
        lines.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        done = subprocess.run([MEROPE, command, str(model), "--lines", str(lines), *options], capture_output=True)
        if done.returncode != 0:
            sys.exit(f"merope {command} {model}: exit {done.returncode}: {done.stderr.decode()}")
        self.stderr = done.stderr.decode()
        return [json.loads(line) for line in done.stdout.decode("utf-8").split("\n")[:-1]]

    def save(self, tokenizer):
        tokenizer.save(str(self.folder / "tokenizer.json"))
        return self.folder


def first_difference(what, texts, expected, found):
    if len(expected) != len(found):
        return f"{what}: expected {len(expected)} results, found {len(found)}"
    wrong = [i for i, (a, b) in enumerate(zip(expected, found)) if a != b]
    if not wrong:
        return None
    i = min(wrong, key=lambda k: len(texts[k]))
    return f"{what}: {len(wrong)} of {len(texts)} differ; {texts[i]!r}: expected {expected[i]}, found {found[i]}"


def compare(merope, model, tokenizer, texts, decode=True):
    """Compares ids three ways: special tokens in the text read, added around the text, and not read. With decode, also compares
    decoded texts with and without special tokens. Returns the differences."""
    expected = [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
    problems = [first_difference("ids", texts, expected, merope.run("tokenize", model, texts))]
    added = [e.ids for e in tokenizer.encode_batch(texts[:500], add_special_tokens=True)]
    problems.append(first_difference("ids, special added", texts[:500], added,
                                     merope.run("tokenize", model, texts[:500], "--add-special")))
    tokenizer.encode_special_tokens = True
    plain = [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
    tokenizer.encode_special_tokens = False
    problems.append(first_difference("ids, special as text", texts, plain,
                                     merope.run("tokenize", model, texts, "--no-special")))
    if not decode:
        return [p for p in problems if p]
    rng = random.Random(3)
    noise = [[rng.randrange(tokenizer.get_vocab_size()) for _ in range(rng.randrange(12))] for _ in range(2000)]
    for rows, what in (expected, "decode"), (noise, "decode of random ids"):
        for skip in False, True:
            texts_of = tokenizer.decode_batch(rows, skip_special_tokens=skip)
            found = merope.run("detokenize", model, rows, *(["--skip-special"] if skip else []))
            problems.append(first_difference(f"{what}, skip {skip}", [str(r) for r in rows], texts_of, found))
    return [p for p in problems if p]


def speed(merope, model, tokenizer, texts):
    """Returns the MB/s of merope and of HF on the same texts, on one thread each, without loading: the best of three runs. The
    runs of merope and of HF alternate."""
    size = sum(len(t.encode()) for t in texts) / 1e6
    theirs, ours = 0.0, 0.0
    for _ in range(3):
        start = time.perf_counter()
        for text in texts:
            tokenizer.encode(text, add_special_tokens=False)
        theirs = max(theirs, size / (time.perf_counter() - start))
        merope.run("tokenize", model, texts)
        ours = max(ours, size / float(merope.stderr.split("seconds: ")[1].split()[0]))
    return ours, theirs


def python_sources(limit):
    out, total = [], 0
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        text = path.read_text(encoding="utf-8", errors="replace")
        out.append(text)
        total += len(text)
        if total > limit:
            break
    return out


# The kinds that are tested with every code point. Together, they use everything that merope knows about characters.
SWEPT = {"ByteLevel", "Digits contiguous", "Split Tekken", "Punctuation isolated", "normalizer NFKC", "normalizer Lowercase",
         "normalizer StripAccents"}
if WHOLE:
    SWEPT |= {"Split Llama 3", "Whitespace", "WhitespaceSplit", "normalizer NFC", "normalizer NFKD"}


def sweep_problems(merope, tokenizer, sweep):
    expected = [e.ids for e in tokenizer.encode_batch(sweep, add_special_tokens=False)]
    problem = first_difference("every character", sweep, expected, merope.run("tokenize", merope.folder, sweep))
    return [problem] if problem else []


def check(index):
    """Checks one of CASES in a process of its own. Returns [(name, problems)]."""
    name, make = CASES[index]
    tokenizer = make()
    # HF 0.23.3 decodes an added token as its normalized content. merope decodes it as its content in the file.
    decode = name != "added tokens Lowercase"
    # Debian 12's Oniguruma implements Unicode 14; HF's Oniguruma is newer.
    texts = [t for t in TEXTS if all(unicodedata.category(c) != "Cn" for c in t)] if name in ON_ONIGURUMA else TEXTS
    with tempfile.TemporaryDirectory() as folder:
        merope = Merope(folder)
        found = [(name, compare(merope, merope.save(tokenizer), tokenizer, texts, decode))]
        if name in SWEPT:
            found.append((f"{name}, every character", sweep_problems(merope, tokenizer, SWEEP)))
    return found


def main():
    global CASES, TEXTS, SWEEP  # for the processes that are forked below
    failures = 0
    sources = python_sources(3_000_000)
    texts = TEXTS = SAMPLES + random_strings(RANDOM_STRINGS)
    sweep = SWEEP = every_character()
    only = sys.argv[1:]
    CASES = [(name, frozen(make)) for name, make in configurations(SAMPLES + sources[:5])
             if not only or any(o in name for o in only)]

    def report(name, problems):
        nonlocal failures
        failures += bool(problems)
        print(f"{'FAIL' if problems else 'ok  '}  {name}", *problems, sep="\n      " if problems else "", flush=True)

    with multiprocessing.get_context("fork").Pool(len(os.sched_getaffinity(0))) as pool:
        for found in pool.imap(check, range(len(CASES))):
            for name, problems in found:
                report(name, problems)
    path = os.environ.get("MEROPE_SMOLLM2")
    if not path:
        print("SKIP: SmolLM2: MEROPE_SMOLLM2 is not set")
    elif not only or "SmolLM2" in only:
        with tempfile.TemporaryDirectory() as folder:
            merope = Merope(folder)
            tokenizer = smollm2(path)
            for what, part in (("code", sources[:60]), ("short texts", texts * 3)):
                ours, theirs = speed(merope, path, tokenizer, part)
                print(f"speed, {what}: merope {ours:.1f} MB/s, HF tokenizers {theirs:.1f} MB/s ({ours / theirs:.1f}x)", flush=True)
                if ours < theirs:
                    failures += 1
            report("SmolLM2, GGUF", compare(merope, path, tokenizer, texts + sources[:60]))
            report("SmolLM2, tokenizer.json", compare(merope, merope.save(tokenizer), tokenizer, texts))
            report("SmolLM2, every character", sweep_problems(merope, tokenizer, sweep))
    print(f"{failures} failures" if failures else "all equal")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
