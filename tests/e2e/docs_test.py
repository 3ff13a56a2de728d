"""Checks that README.md and docs/ show what the program prints.

Every indented block runs, except after a comment that gives a reason:

    <!-- not run: REASON -->
    <!-- numbers not compared: REASON -->      runs; the comparison masks all numbers

A block is a shell session, and a line that begins with "$ " is a command. The commands of a page run in order, in one directory
that contains the model. `merope` is on the PATH. The page must show what the commands print, except times, speeds and random
ids. "…" stands for any text; alone on a line, "…" stands for any lines. If `cat` shows a file that does not exist, the reader
is to write this file, and the test writes the file as shown. The test pins the instruction set and uses two cores, so the
results are bit-identical on every machine that has AVX2.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import merope

MODEL = os.environ.get("MEROPE_SMOLLM2", "")
PAGES = [merope.ROOT / "README.md", *sorted((merope.ROOT / "docs").glob("*.md"))]
MARKER = re.compile(r"<!-- (not run|numbers not compared): (\S.*) -->$")
LONGEST = 60 * 5  # seconds per command; a block that takes a minute on an idle machine gets a marker

NUMBER = r"\d[\d,]*(?:\.\d+)?(?:e[+-]\d+)?"
MASKS = [
    (re.compile(r"[0-9a-f]{32}(?![0-9a-f])(?<![0-9a-f]{33})"), "ID"),
    (re.compile(r'"created":\s*\d+'), '"created":N'),
    (re.compile(rf"{NUMBER} (?=s\b|ms\b|µs\b|GB/s|tokens/s|a second)"), "N "),
    (re.compile(r'("\w+_s(?:econds?)?"|"\w+_per_second"):\s*' + f"(?:{NUMBER}|null)"), r"\1:N"),
    (re.compile(r"[ \t]+"), " "),
]


def blocks(page):
    """Returns (line number, kind of the marker, lines) of each indented block. Blank lines inside a block belong to it."""
    found, marker, block, paragraph = [], None, [], False
    for number, line in enumerate([*page.read_text().splitlines(), "end"], 1):
        if line.startswith("    ") and not paragraph or block and not line.strip():
            block.append(line[4:])
            continue
        if block:
            found.append((number - len(block), marker, "\n".join(block).rstrip().split("\n")))
            block, marker = [], None
        if line.strip():
            match = MARKER.match(line)
            marker = match[1] if match else None
        paragraph = bool(line.strip()) and not line.startswith("<!--")
    return found


def session(lines):
    """Returns (command, lines of output that the page shows) of each command of a shell session."""
    commands = []
    for line in lines:
        if line.startswith("$ "):
            commands.append(([line[2:]], []))
        elif commands and commands[-1][0][-1].endswith("\\") and not commands[-1][1]:
            commands[-1][0].append(line)
        else:
            commands[-1][1].append(line)
    return [("\n".join(command), shown) for command, shown in commands]


def masked(text, numbers):
    for pattern, word in MASKS:
        text = pattern.sub(word, text)
    return re.sub(r"\d[\d,.]*", "N", text) if numbers else text


def matches(shown, printed, numbers=False):
    """Returns whether the lines that a page shows match the printed text."""
    pattern = ""
    for line in shown:
        line = masked(line.rstrip(), numbers)
        pattern += r"(?:.*\n)*?" if line.strip() == "…" else ".*?".join(map(re.escape, line.split("…"))) + " ?\n"
    return re.fullmatch(pattern + r"\s*", masked(printed, numbers)) is not None


class Docs(unittest.TestCase):
    def run_page(self, page, directory, environment):
        for number, marker, lines in blocks(page):
            if marker == "not run":
                continue
            where = f"{page.name}:{number}"
            self.assertTrue(lines[0].startswith("$ "), f"{where}: a block that is no session ('$ …') and has no marker")
            for command, shown in session(lines):
                words = command.split()
                if words[0] == "cat" and not (directory / words[1]).exists():
                    (directory / words[1]).write_text("\n".join(shown) + "\n")
                    continue
                done = subprocess.run(["bash", "-c", "set -o pipefail; " + command], capture_output=True, cwd=directory,
                                      env=environment, timeout=LONGEST, text=True)
                printed = done.stdout
                with self.subTest(f"{where}: {command}"):
                    self.assertIn(done.returncode, (0, 1, 2, 64), done.stderr)
                    if words[0] == "cat" and words[1].endswith(".jsonl"):  # in the order in which the requests ended
                        printed, shown = "".join(sorted(printed.splitlines(True))), sorted(shown)
                        shown, printed = sorted(masked(s, False) for s in shown), "\n".join(sorted(masked(printed, False).splitlines()))
                    numbers = marker is not None
                    self.assertTrue(
                        not shown or matches(shown, printed + "\n", numbers) or matches(shown, done.stderr + printed + "\n", numbers),
                        f"\n--- shown\n" + "\n".join(shown) + f"\n--- printed\n{printed}\n--- standard error\n{done.stderr}")

    def test_pages(self):
        scratch = pathlib.Path(tempfile.mkdtemp(prefix="merope-docs-"))
        self.addCleanup(shutil.rmtree, scratch)
        (scratch / "bin").mkdir()
        (scratch / "bin/merope").symlink_to(pathlib.Path(merope.BIN).resolve())
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
        environment = {**os.environ, "MEROPE_TARGET": "AVX2", "PATH": f"{scratch}/bin:{os.environ['PATH']}"}
        for page in PAGES:
            directory = scratch / page.stem
            directory.mkdir()
            (directory / "SmolLM2-135M-Instruct.gguf").symlink_to(pathlib.Path(MODEL).resolve())
            self.run_page(page, directory, environment)


class Reading(unittest.TestCase):
    """Tests the comparison itself."""

    def test_what_differs_is_seen(self):
        self.assertTrue(matches(["a  1.5 s", "…", "end"], "a 22 s\nx\ny\nend\n"))
        self.assertFalse(matches(["a 1.5 s", "end"], "a 22 s\nx\nend\n"))
        self.assertFalse(matches(["tokens 3"], "tokens 4\n"))
        self.assertTrue(matches(["tokens 3"], "tokens 4\n", numbers=True))
        self.assertFalse(matches(["tokens 3"], "words 3\n", numbers=True))
        self.assertFalse(matches(["a (x)"], "a y\n"))

    def test_blocks_and_sessions_are_found(self):
        with tempfile.TemporaryDirectory() as scratch:
            page = pathlib.Path(scratch) / "p.md"
            page.write_text("Text\n\n    $ a \\\n        b\n    out\n\n    more\n\n<!-- not run: an hour -->\n\n    $ c\n\nend\n")
            first, second = blocks(page)
            self.assertEqual(first[1:], (None, ["$ a \\", "    b", "out", "", "more"]))
            self.assertEqual(second[1:], ("not run", ["$ c"]))
            self.assertEqual(session(first[2]), [("a \\\n    b", ["out", "", "more"])])


if __name__ == "__main__":
    if not MODEL:
        print("skipped: MEROPE_SMOLLM2 is not set (scripts/test sets it)")
        sys.exit(77)
    merope.main()
