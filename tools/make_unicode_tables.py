#!/usr/bin/env python3
"""Writes src/text/unicode_tables.cc from the Unicode Character Database.

HF tokenizers is of several versions at once, and the tables follow it: general categories (its regular expressions) and lower
case are of Unicode 16.0; normalization forms and marks of 9.0; punctuation, as its Punctuation knows it, of 8.0.

The data of 16.0 come from the PyPI package unicodedata2, version 16.0.0, those of 9.0 from Python 3.6's unicodedata; both pack
the UCD files of their versions unchanged:

    python3.11 -m venv venv && venv/bin/pip install unicodedata2==16.0.0
    venv/bin/python tools/make_unicode_tables.py path/to/python3.6 > src/text/unicode_tables.cc
"""
import json
import subprocess
import sys

import unicodedata2 as ucd

VERSION = "16.0.0"
CATEGORIES = ("Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp "
              "Cc Cf Cs Co Cn").split()
BLOCK = 128
CODE_POINTS = range(0x110000)

# unicodedata2 has no case mapping: those of Python 3.11 (Unicode 14.0) and what UnicodeData.txt added since (all in 16.0).
LOWER_SINCE_14 = {0x10D50 + i: chr(0x10D70 + i) for i in range(22)}
LOWER_SINCE_14 |= {0x1C89: "\u1C8A", 0xA7CB: "\u0264", 0xA7CC: "\uA7CD", 0xA7DA: "\uA7DB", 0xA7DC: "\u019B"}


# Punctuation that came with Unicode 9.0.
PUNCTUATION_9 = {*range(0x1144B, 0x11450), 0x1145B, 0x1145D, *range(0x11660, 0x1166D), *range(0x11C41, 0x11C46),
                 0x11C70, 0x11C71, 0x1E95E, 0x1E95F, 0x2E43, 0x2E44}


def old_categories(python):
    """The category of every code point in Unicode 9.0."""
    script = ("import json, unicodedata as u; assert u.unidata_version == '9.0.0'; "
              "print(json.dumps([u.category(chr(c)) for c in range(0x110000)]))")
    return json.loads(subprocess.run([python, "-c", script], check=True, capture_output=True).stdout)


def is_surrogate(code):
    return 0xD800 <= code <= 0xDFFF


def is_hangul_syllable(code):
    return 0xAC00 <= code <= 0xD7A3  # decomposed by arithmetic


def write_array(kind, name, values, note, sized=True):
    print(f"\n// {note}\nconst {kind} {name}[] = {{")
    line = "   "
    for value in values:
        item = f" {value},"
        if len(line) + len(item) > 100:
            print(line)
            line = "   "
        line += item
    print(line + "\n};")
    if sized:
        print(f"const size_t {name}Size = sizeof({name}) / sizeof({name}[0]);")


def categories():
    blocks, index = {}, []
    for start in range(0, 0x110000, BLOCK):
        block = tuple(CATEGORIES.index(ucd.category(chr(c))) for c in range(start, start + BLOCK))
        index.append(blocks.setdefault(block, len(blocks)))
    write_array("uint16_t", "kCategoryIndex", index,
                f"The block of kCategoryBlocks that holds the code points of each run of {BLOCK}.", sized=False)
    write_array("uint8_t", "kCategoryBlocks", [v for block in blocks for v in block],
                "The general category of each code point, as in enum Category.", sized=False)


def decompositions(old):
    pool, entries = [], []
    for code in CODE_POINTS:
        if is_surrogate(code) or is_hangul_syllable(code) or old[code] == "Cn":
            continue
        canonical = ucd.normalize("NFD", chr(code))
        compatible = ucd.normalize("NFKD", chr(code))
        if compatible == chr(code):
            continue
        first = len(pool)
        pool += [ord(c) for c in canonical]
        second = first
        if compatible != canonical:
            second = len(pool)
            pool += [ord(c) for c in compatible]
        entries.append(f"{{{code:#x}, {first}, {len(canonical)}, {second}, {len(compatible)}}}")
    write_array("char32_t", "kDecompositionPool", [f"{c:#x}" for c in pool],
                "The full decompositions that kDecompositions points into.", sized=False)
    write_array("Decomposition", "kDecompositions", entries,
                "Code point; canonical: first, length; compatible: first, length. Ordered by code point.")


def compositions(old):
    entries = []
    for code in CODE_POINTS:
        if is_surrogate(code) or is_hangul_syllable(code) or old[code] == "Cn":
            continue
        decomposition = ucd.decomposition(chr(code))
        if not decomposition or decomposition.startswith("<") or " " not in decomposition:
            continue
        if ucd.normalize("NFC", chr(code)) != chr(code):
            continue  # excluded from composition
        first, second = (int(part, 16) for part in decomposition.split())
        entries.append((first, second, code))
    write_array("Composition", "kCompositions",
                [f"{{{a:#x}, {b:#x}, {c:#x}}}" for a, b, c in sorted(entries)],
                "First, second, their composition. Ordered.")


def combining_classes(old):
    ranges = []
    for code in CODE_POINTS:
        value = ucd.combining(chr(code))
        if value == 0 or old[code] == "Cn":
            continue
        if ranges and ranges[-1][1] == code - 1 and ranges[-1][2] == value:
            ranges[-1][1] = code
        else:
            ranges.append([code, code, value])
    write_array("CombiningRange", "kCombiningRanges",
                [f"{{{a:#x}, {b:#x}, {v}}}" for a, b, v in ranges],
                "First, last, canonical combining class (where it is not 0). Ordered.")


def lower_case():
    # The one unconditional lower-case mapping to several code points, U+0130, is handled in unicode.cc.
    entries = []
    for code in CODE_POINTS:
        if is_surrogate(code) or code == 0x130:
            continue
        lower = to_lower(code)
        if lower != code:
            entries.append(f"{{{code:#x}, {lower:#x}}}")
    write_array("CaseMapping", "kLowerCases", entries, "Code point, its lower case. Ordered.")


def ranges_of(name, members, note):
    ranges = []
    for code in sorted(members):
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    write_array("CodeRange", name, [f"{{{a:#x}, {b:#x}}}" for a, b in ranges], note)


def to_lower(code):
    lower = LOWER_SINCE_14.get(code) or chr(code).lower()
    return ord(lower) if len(lower) == 1 else code


def main():
    if ucd.unidata_version != VERSION:
        sys.exit(f"expected Unicode {VERSION}, found {ucd.unidata_version}")
    old = old_categories(sys.argv[1])
    print(f"// Unicode {VERSION} and, where HF tokenizers is older, 9.0 and 8.0; by tools/make_unicode_tables.py. Do not edit.")
    print('#include "text/unicode_tables.h"\n\nnamespace merope::unicode {')
    categories()
    decompositions(old)
    compositions(old)
    combining_classes(old)
    ranges_of("kMarks9", {c for c in CODE_POINTS if old[c][0] == "M"}, "The marks of Unicode 9.0.")
    ranges_of("kPunctuation8", {c for c in CODE_POINTS if old[c][0] == "P"} - PUNCTUATION_9,
              "The punctuation of Unicode 8.0.")
    lower_case()
    print("\n}  // namespace merope::unicode")


if __name__ == "__main__":
    main()
