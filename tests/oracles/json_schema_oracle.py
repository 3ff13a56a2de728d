"""Checks what JSON schemas let a model write, with the official test suite and with random schemas.

The suite is the JSON-Schema-Test-Suite, drafts 7 and 2020-12, with its optional parts. For each schema, merope must refuse the
schema by name, or the masks must refuse every invalid instance, in each order of its properties and each form of its numbers
(up to 48 texts per instance). docs/structured-output.md has the counts.

Then come random schemas (schema_fuzzer.py): 2,000 schemas, or 50,000 if MEROPE_WHOLE is set. jsonschema judges ten instances of
each schema, and three texts that random walks along the masks wrote.
"""

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jsonschema

import schema_fuzzer

DRIVER = os.path.join(os.environ["MEROPE_BUILD"], "judge_texts")
SUITE = Path(sys.prefix).parent / "json-schema-suite" / "tests"
PAGE = Path(__file__).parents[2] / "docs" / "structured-output.md"
DRAFTS = {"draft7": "http://json-schema.org/draft-07/schema#", "draft2020-12": "https://json-schema.org/draft/2020-12/schema"}
PARTS = {"": "*.json", ", optional": "optional/*.json", ", formats": "optional/format/*.json"}
MAX_FORMS = 48


def forms(value):
    """Yields the forms of a value: its properties in any order, a whole number with and without a fraction."""
    if isinstance(value, dict):
        for order in itertools.permutations(value.items()):
            for members in itertools.product(*(list(itertools.islice(forms(v), 6)) for _, v in order)):
                yield "{" + ",".join(json.dumps(k, ensure_ascii=False) + ":" + m for (k, _), m in zip(order, members)) + "}"
    elif isinstance(value, list):
        for items in itertools.product(*(list(itertools.islice(forms(v), 6)) for v in value)):
            yield "[" + ",".join(items) + "]"
    elif isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        yield from (str(value), str(int(value)))
    else:
        yield json.dumps(value, ensure_ascii=False)


def written(text):
    """Returns whether a request can hold the text: the text has no lone surrogates."""
    try:
        text.encode()
        return True
    except UnicodeEncodeError:
        return False


def judge(requests):
    run = subprocess.run([DRIVER], input="".join(json.dumps(r) + "\n" for r in requests), capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.split("\n")[:-1]]


def suite():
    """Returns one row of counts per draft and part, and the number of wrong results."""
    rows, wrong = [], 0
    for draft, dialect in DRAFTS.items():
        for part, pattern in PARTS.items():
            groups = [group for path in sorted((SUITE / draft).glob(pattern)) for group in json.loads(path.read_text())]
            requests = []
            for group in groups:
                schema = group["schema"]
                if isinstance(schema, dict):
                    schema = {"$schema": dialect} | schema
                texts = [[t for t in itertools.islice(forms(test["data"]), MAX_FORMS) if written(t)] for test in group["tests"]]
                requests.append({"schema": json.dumps(schema), "texts": texts})
            answers = judge([r | {"texts": list(itertools.chain(*r["texts"]))} for r in requests])
            counts = dict.fromkeys(("refused", "accepted", "invalid", "valid", "unwritten"), 0)
            for group, request, answer in zip(groups, requests, answers, strict=True):
                if "error" in answer:
                    counts["refused"] += 1
                    if not answer["error"].startswith("json: "):
                        wrong += 1
                        print(f"NO NAME {answer['error']}")
                    if os.environ.get("MEROPE_VERBOSE"):
                        print(f"refused {answer['error']}: {group['description']}")
                    continue
                counts["accepted"] += 1
                verdicts = iter(answer["accepted"])
                for test, texts in zip(group["tests"], request["texts"], strict=True):
                    accepted = any([next(verdicts) for _ in texts])
                    counts["invalid" if not test["valid"] else "valid" if accepted else "unwritten"] += 1
                    if accepted and not test["valid"]:
                        wrong += 1
                        print(f"WRONG {draft}{part}: {group['description']}: {test['description']}\n  {request['schema']}\n  {texts}")
                    if test["valid"] and not accepted and os.environ.get("MEROPE_VERBOSE"):
                        print(f"unwritten {group['description']}: {test['description']}\n  {request['schema']}\n  {texts[:1]}")
            rows.append(f"| {draft.replace('draft', '')}{part} | {counts['refused']} | {counts['accepted']} | {counts['invalid']} | "
                        f"{counts['valid']} | {counts['unwritten']} |")
    return rows, wrong


def fuzz(n_schemas):
    """Returns the number of wrong results for instances of random schemas."""
    wrong, refused, accepted, walks, unjudged = 0, {}, [0, 0], 0, 0
    for first in range(0, n_schemas, 1000):
        cases = [schema_fuzzer.case(seed) for seed in range(first, min(first + 1000, n_schemas))]
        answers = judge([{"schema": json.dumps(schema), "texts": [json.dumps(i) for i in instances], "walks": 3, "seed": first + n}
                         for n, (schema, instances) in enumerate(cases)])
        for (schema, instances), answer in zip(cases, answers, strict=True):
            if "error" in answer:
                name = re.sub(r"^json: |\d+|(\w+/)+\w*: ?", "", answer["error"])[:60]
                refused[name] = refused.get(name, 0) + 1
                continue
            kind = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
            judge_of = kind(schema, format_checker=kind.FORMAT_CHECKER)
            walks += len(answer["written"])
            verdicts = [(i, a) for i, a in zip(instances, answer["accepted"], strict=True)]
            verdicts += [(json.loads(text), True) for text in answer["written"]]
            for instance, is_accepted in verdicts:
                try:
                    is_valid = judge_of.is_valid(instance)
                except (RecursionError, TypeError, AttributeError):  # a $ref to itself, or a keyword of a wrong type
                    unjudged += 1
                    continue
                if is_valid:
                    accepted[is_accepted] += 1
                elif is_accepted:
                    wrong += 1
                    print(f"WRONG {json.dumps(schema)}\n  {json.dumps(instance)}")
    n_refused = sum(refused.values())
    print(f"{n_schemas} random schemas: {n_refused} refused by name; of the others' valid instances {accepted[True]} written, "
          f"{accepted[False]} not; {walks} texts written along the masks; {unjudged} instances that jsonschema fails at; {wrong} wrong")
    if os.environ.get("MEROPE_VERBOSE"):
        for name, count in sorted(refused.items(), key=lambda item: -item[1])[:40]:
            print(f"  {count} {name}")
    # The random schemas test too little if merope refuses most schemas or the masks refuse most valid instances.
    if n_refused > 0.6 * n_schemas or accepted[True] < accepted[False] or unjudged > 0.01 * sum(accepted):
        wrong += 1
        print("TOO FEW: expected four schemas of ten to be followed, half of the valid instances to be written, 99 of 100 to be judged")
    return wrong


def main():
    if not SUITE.is_dir():
        print(f"skipped: {SUITE} is not there; scripts/setup --oracles fetches it")
        return 77
    rows, wrong = suite()
    page = PAGE.read_text()
    for row in rows:
        print(row)
        if row not in page:
            wrong += 1
            print(f"NOT ON THE PAGE {PAGE.name}: the row above")
    if not sys.argv[1:]:
        wrong += fuzz(50_000 if os.environ.get("MEROPE_WHOLE") else 2_000)
    print(f"{wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
