"""Checks the products of scripts/demo: demo_products.py LOG REPORT.

LOG is the standard output of scripts/demo, and REPORT is the directory of the report.
"""

import json
import pathlib
import re
import sys


def check(log, report):
    """Returns one message per missing or wrong product."""
    log, wrong = pathlib.Path(log).read_text(), []

    def expect(condition, message):
        if not condition:
            wrong.append(message)

    expect("Paris" in log, "the answer does not name Paris")
    expect(re.search(r"^\(a\).*: PASS$", log, re.M) and re.search(r"^\(b\).*: PASS$", log, re.M), "the verdicts are not both PASS")
    data = json.loads((report / "report.json").read_text())
    expect(data["verify"]["verdict"] == "PASS", f"report.json: the verdict is {data['verify']['verdict']}")
    expect(data["weights"]["ok"], "report.json: the weight check failed")
    for language in ("en", "zh"):
        for kind in ("md", "html"):
            file = report / f"report.{language}.{kind}"
            text = file.read_text() if file.exists() else ""
            expect(len(text) > 10000, f"{file} is missing or short")
            expect("PASS" in text, f"{file} has no PASS")
            for figure in re.findall(r"\((figures/[^)]+)\)", text):
                expect((report / figure).exists(), f"{file} names {figure}, which is not there")
    expect(len(list((report / "figures").glob("*.svg"))) >= 3, "fewer than three figures")
    return wrong


if __name__ == "__main__":
    problems = check(sys.argv[1], pathlib.Path(sys.argv[2]))
    for problem in problems:
        print(f"demo: {problem}", file=sys.stderr)
    sys.exit(1 if problems else 0)
