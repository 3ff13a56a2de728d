#!/usr/bin/env python3
"""Compares a model in a faster arithmetic, or the model that a server runs, with the model in fp32, and prints the
tables of the reference report: the 25 prompts one by one, the means with their thresholds, and the figures of all positions
of all prompts with their gates. The reference report is the public adaptation report of Pleias-RAG-350M on an Ascend NPU.

It needs the Python package (pip install .); docs/verification.md defines every figure and gate.
"""

import argparse
import json
import pathlib
import sys

EXIT_CODES = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 2}
COULD_NOT, USAGE, INTERRUPTED = 3, 64, 130
WORST = ("PASS", "INCONCLUSIVE", "FAIL")  # from the best to the worst

EPILOG = """exit codes: 0 PASS; 1 FAIL; 2 INCONCLUSIVE; 3 it could not be done; 64 wrong usage

examples:
  scripts/{name} SmolLM2-135M-Instruct.gguf --quick
  scripts/{name} PleIAs/Pleias-RAG-350M --dtype int8 -o report.md
  scripts/{name} PleIAs/Pleias-RAG-350M --endpoint http://npu-host:8000 \\
      --endpoint-eager http://npu-host:8001 --dtype bf16-ops"""


class Parser(argparse.ArgumentParser):
    """argparse, with the command line's exit code for wrong usage."""

    def error(self, message):
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: error: {message}\n")


def arguments(description, name):
    """Parses the command line, which both scripts have."""
    parser = Parser(prog=name, description=description, epilog=EPILOG.format(name=name),
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL", help="a Hugging Face directory, a .gguf file, or ORG/NAME[@REVISION]; its fp32 is the "
                        "baseline")
    parser.add_argument("--endpoint", metavar="URL", help="judge the model that this OpenAI-compatible server runs (http://host:port)")
    parser.add_argument("--endpoint-eager", metavar="URL", help="a second server that runs the same model without compilation")
    parser.add_argument("--dtype", help="the dtype to judge: bf16 (the default), int8, int4, native or fp32; with --endpoint, the server's "
                        "arithmetic: bf16-ops, fp16-ops, bf16, … (default: by the server's software)")
    parser.add_argument("--quick", action="store_true", help="fewer prompts and runs: the 25 prompts and some more")
    parser.add_argument("--json", action="store_true", help="print the results as one JSON object in place of tables")
    parser.add_argument("-o", dest="output", metavar="FILE", help="write to FILE in place of standard output")
    given = parser.parse_args()
    if given.endpoint_eager and not given.endpoint:
        parser.error("--endpoint-eager: expected --endpoint too")
    return given


def targets(given):
    """The targets, by name: the model itself, or one or two servers."""
    if not given.endpoint:
        return {"": {"dtype": given.dtype}}
    urls = {"compiled": given.endpoint, "eager": given.endpoint_eager}
    return {name if given.endpoint_eager else "": {"endpoint": url, "numerics": given.dtype} for name, url in urls.items() if url}


def precision(given):
    """Verifies each target. Returns the results by name."""
    from merope.verify import verify
    return {name: verify(given.model, quick=given.quick, **target) for name, target in targets(given).items()}


def worst(results):
    return max((result.verdict for result in results.values()), key=WORST.index)


def table(header, rows):
    """A table in Markdown, aligned. A column is aligned to the right if it has numbers."""
    rows = [[str(cell).replace("|", "\\|") for cell in row] for row in [header, *rows]]
    right = [all(is_number(row[i]) for row in rows[1:]) and any(row[i] != "" for row in rows[1:]) for i in range(len(header))]
    widths = [max(3, *(len(row[i]) for row in rows)) for i in range(len(header))]

    def line(row):
        return "| " + " | ".join(cell.rjust(width) if at_right else cell.ljust(width)
                                 for cell, width, at_right in zip(row, widths, right)) + " |\n"
    rule = "|" + "|".join("-" * (width + 1) + (":" if at_right else "-") for width, at_right in zip(widths, right)) + "|\n"
    return line(rows[0]) + rule + "".join(map(line, rows[1:])) + "\n"


def is_number(text):
    try:
        float(text.rstrip("% "))
    except ValueError:
        return text in ("", "—")
    return True


def limit(gate):
    """The limit of a gate, as the reference report writes it."""
    smaller, larger = ("< ", "> ") if gate.strict else ("≤ ", "≥ ")
    return ", ".join(sign + f"{value:.6g}" for sign, value in ((larger, gate.min), (smaller, gate.max)) if value is not None)


def first_token_tables(first):
    text = "### Prompt by prompt\n\n" + table(
        ["#", "prompt", "top-1 (baseline)", "top-1 (target)", "match", "cosine", "KL (nat)"],
        [[number, json.dumps(row.prompt, ensure_ascii=False)[1:-1], f'"{row.baseline_top1}"', f'"{row.target_top1}"',
          "yes" if row.match else "NO", f"{row.cosine:.6f}", f"{row.kl:.5f}"] for number, row in enumerate(first.rows, 1)])
    text += f"{first.matches} of {len(first.rows)} prompts have the same top-1 token.\n\n"
    gates = {gate.key: gate for gate in first.gates}
    values = (("top1_rate", "top-1 match rate", f"{first.top1_rate:.2%}"), ("cosine", "cosine of the probabilities", f"{first.cosine:.6f}"),
              ("one_minus_cosine", "1 - cosine", f"{first.one_minus_cosine:.4%}"), ("mae", "mean absolute error of the probabilities", f"{first.mae:.5f}"),
              ("kl", "KL divergence (nat)", f"{first.kl:.5f}"), ("js", "JS divergence (nat)", f"{first.js:.5f}"),
              ("spearman", "Spearman rank correlation", f"{first.spearman:.4f}"),
              ("mean_relative_error", "mean relative error of the probabilities", f"{first.mean_relative_error:.2%}"))
    return text + "### Means and thresholds\n\n" + table(
        ["figure", "value", "threshold", "result"],
        [[label, value, limit(gates[key]) if key in gates else "—", gates[key].verdict if key in gates else "—"] for key, label, value in values])


def position_tables(positions):
    text = f"### All positions\n\n{positions.positions} positions of {positions.prompts} prompts, over the whole vocabulary.\n\n"
    text += table(["figure", "mean", "median", "p99", "worst"],
                  [[figure.label, *(f"{value:.4g}" for value in (figure.mean, figure.median, figure.p99, figure.worst))] for figure in positions.figures])
    text += f"The top-1 token differs at {len(positions.flips)} positions, {sum(flip.explained for flip in positions.flips)} of them explained by the format's noise.\n\n"
    return text + table(["gate", "value", "interval", "limit", "result"],
                        [[gate.label, f"{gate.value:.4g}", "—" if gate.interval is None else "[{:.4g}, {:.4g}]".format(*gate.interval),
                          limit(gate), gate.verdict] for gate in positions.gates])


def precision_tables(results):
    text = ""
    for name, result in results.items():
        text += f"## Precision{name and f': {name}'}\n\n- baseline: {result.baseline}\n- target: {result.target}\n\n"
        text += first_token_tables(result.first_token) + position_tables(result.positions)
        if result.endpoint:
            text += "### The server\n\n" + table(["probe", "found", "detail"], [[one.label, one.found, one.detail] for one in result.endpoint.probe])
        text += (f"(a) the reference report's table: {result.first_token.verdict}; (b) all positions: {result.positions.verdict}"
                 f"{f'; the server: {result.endpoint.verdict}' if result.endpoint else ''}. Verdict: {result.verdict}\n\n")
    return text


def write(given, content, text):
    """Writes the JSON or the text to where the user wants it."""
    printed = json.dumps(content, indent=2, ensure_ascii=False) + "\n" if given.json else text.rstrip() + "\n"
    if given.output:
        pathlib.Path(given.output).write_text(printed, encoding="utf-8")
    else:
        sys.stdout.buffer.write(printed.encode())
        sys.stdout.buffer.flush()


def main(description, name, work):
    """Runs work(given), which returns the verdict, and gives the exit code."""
    given = arguments(description, name)
    try:
        if given.output:  # minutes of work must not be lost because of a read-only folder
            pathlib.Path(given.output).touch()
        return EXIT_CODES[work(given)]
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return COULD_NOT
    except ImportError as error:
        message = f"{error}; install the package with pip install . first"
    except (ValueError, TypeError, RuntimeError, MemoryError, OSError) as error:
        message = str(error) or type(error).__name__
    print(f"{name}: error: {message}", file=sys.stderr)
    return COULD_NOT


def analyse(given):
    results = precision(given)
    write(given, {name or "target": result.to_dict() for name, result in results.items()}, f"# Precision of {given.model}\n\n" + precision_tables(results))
    return worst(results)


if __name__ == "__main__":
    sys.exit(main(__doc__, "run_precision_analysis.py", analyse))
