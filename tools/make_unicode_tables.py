#!/usr/bin/env python3
"""Writes src/text/unicode_tables.cc from the Unicode Character Database, version 16.0.

The data come from the PyPI package unicodedata2, version 16.0.0, which packs the UCD files of Unicode 16.0.0
(UnicodeData.txt, CompositionExclusions.txt, SpecialCasing.txt) unchanged:

    python3 -m venv venv && venv/bin/pip install unicodedata2==16.0.0
    venv/bin/python tools/make_unicode_tables.py > src/text/unicode_tables.cc
"""
import sys

import unicodedata2 as ucd

VERSION = "16.0.0"
CATEGORIES = ("Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp "
              "Cc Cf Cs Co Cn").split()
BLOCK = 128
CODE_POINTS = range(0x110000)

# unicodedata2 has no case mapping: those of Python 3.11 (Unicode 14.0) and what UnicodeData.txt added since (all in 16.0).
LOWER_SINCE_14 = {0x10D50 + i: chr(0x10D70 + i) for i in range(22)}
LOWER_SINCE_14 |= {0xA7CB: "\u0264", 0xA7CC: "\uA7CD", 0xA7DA: "\uA7DB", 0xA7DC: "\u019B"}


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


def decompositions():
    pool, entries = [], []
    for code in CODE_POINTS:
        if is_surrogate(code) or is_hangul_syllable(code):
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


def compositions():
    entries = []
    for code in CODE_POINTS:
        if is_surrogate(code) or is_hangul_syllable(code):
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


def combining_classes():
    ranges = []
    for code in CODE_POINTS:
        value = ucd.combining(chr(code))
        if value == 0:
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


def to_lower(code):
    lower = LOWER_SINCE_14.get(code) or chr(code).lower()
    return ord(lower) if len(lower) == 1 else code


def main():
    if ucd.unidata_version != VERSION:
        sys.exit(f"expected Unicode {VERSION}, found {ucd.unidata_version}")
    print(f"// Unicode {VERSION}, by tools/make_unicode_tables.py. Do not edit.")
    print('#include "text/unicode_tables.h"\n\nnamespace merope::unicode {')
    categories()
    decompositions()
    compositions()
    combining_classes()
    lower_case()
    print("\n}  // namespace merope::unicode")


if __name__ == "__main__":
    main()
