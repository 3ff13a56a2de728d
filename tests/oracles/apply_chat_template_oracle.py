"""Compares merope's rendering of chat templates with transformers' apply_chat_template.

The templates are those in llama.cpp's tree and those of chat_templates.py. Each template renders ten conversations and several
continued messages. The texts must be equal. Where transformers raises an exception, merope must give an error. The script
counts templates that transformers renders and merope refuses by name; REFUSED must list these templates.
docs/chat-templates.md has the counts.
"""

import copy
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys

import chat_templates
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "build/oracles/templates"
SPECIAL_TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
DATE = "2026-02-09T07:05:03"
REFUSED: set[str] = set()  # templates that use features that merope does not support

SEARCH = {"type": "function", "function": {
    "name": "search", "description": "Sucht – \"im\" <Netz>", "parameters": {"type": "object", "required": ["q"], "properties": {
        "q": {"type": "string", "description": "what\nto find", "enum": ["a", "b"]}, "n": {"type": "integer", "default": 3},
        "tags": {"type": "array", "items": {"type": "string"}}, "deep": {"type": "object", "properties": {"x": {"type": "number"}}}}}}}
ARGUMENTS = {"q": "né \"日本\" <b>", "n": 3, "tags": ["x", "y"], "deep": {"x": 1.5, "none": None, "yes": True}}


def call(arguments, name="search", id="abcdef123"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def system(content): return {"role": "system", "content": content}
def user(content): return {"role": "user", "content": content}
def answer(content, **more): return {"role": "assistant", "content": content, **more}
def result(content, **more): return {"role": "tool", "content": content, "tool_call_id": "abcdef123", "name": "search", **more}
def text(content): return {"type": "text", "text": content}


# Name: messages, tools, variables.
CONVERSATIONS = {
    "a system message, and several turns": ([system(" Be brief. \n"), user("Hi"), answer("Hello."), user("1 < 2?\n"), answer(" Yes "), user("Sure?")], None, {}),
    "tools": ([user("Find it")], [SEARCH, *chat_templates.TOOLS], {}),
    "tool calls with objects, and results": (
        [system("S"), user("Find it"), answer("I search", tool_calls=[call(ARGUMENTS)]), result('{"found": 1}'), answer("One."), user("More")], [SEARCH], {}),
    "tool calls with JSON strings, two at once": (
        [user("Find it"), answer("", tool_calls=[call(json.dumps(ARGUMENTS, ensure_ascii=False)), call("{}", "noop", "abcdef124")]),
         result("one"), result("two", tool_call_id="abcdef124", name="noop")], [SEARCH, *chat_templates.TOOLS], {}),
    "a tool call without content": ([user("Find it"), answer(None, tool_calls=[call(ARGUMENTS)]), result("x"), answer("Done."), user("Thanks")], [SEARCH], {}),
    "parts": ([system([text("Be"), text(" brief")]), user([text("a"), text("b\n")]), answer([text("c")]), user([text("d")])], None, {}),
    "reasoning": (
        [user("2+2"), answer("4", reasoning_content=" two and\ntwo "), user("3+3"), answer("", reasoning="six", tool_calls=[call({"q": "6"})]), result("6")],
        [SEARCH], {"enable_thinking": True, "thinking": True, "reasoning_effort": "high"}),
    "Unicode, and what looks like a template": (
        [system("Tu es « bref »\u2028"), {**user("日本語 🙂 e\u0301 {{ x }} {% if %} <|im_end|></s>\u00a0"), "name": "Zoë"}, answer("<think>\nhm\n</think>\n\nÄ|"), user("\t<>&\"'\\n")],
        None, {"enable_thinking": False, "thinking": False}),
    "empty contents": ([system(""), user(""), answer(""), user("")], [], {}),
    "documents, and other fields": (
        [user("What?"), answer("That.", custom={"a": [1, None]}), {**user("Why?"), "weight": 1}], None,
        {"documents": [{"title": "T", "text": "b\nc", "doc_id": 1}, {"title": "", "text": "ü"}], "date_string": "1 Jan 2025", "custom": 1.0}),
}
ENDS = ["Well", "a|", "a <", "spaces  ", "\n\n", "", " | x <\n", "日本 ", [text("a"), text("b ")], "<think>\nso", "CONTINUE"]


class Now(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromisoformat(DATE)


def cases():
    """Yields (name of the conversation, messages, tools, variables, add_generation_prompt, continue_final)."""
    for name, (messages, tools, variables) in CONVERSATIONS.items():
        for add in (False, True):
            yield name, messages, tools, variables, add, ""
    for end in ENDS:
        yield f"continued {end!r}", [user("Say ok"), answer(end)], None, {}, False, "content"
    for end in ENDS[:4]:
        yield f"continued reasoning {end!r}", [user("Say"), answer("", reasoning_content=end)], None, {}, False, "reasoning_content"
    yield "continued, no content", [user("Say"), answer(None)], None, {}, False, "content"


def templates():
    files = sorted(FOLDER.glob("*.jinja"))
    if not files:
        print(f"skipped: no chat templates in {FOLDER} (scripts/setup --oracles fetches them)")
        sys.exit(77)
    for file in files:
        yield file.stem, file.read_text(encoding="utf-8"), True
    for name, template in chat_templates.CHAT_TEMPLATES.items():
        yield f"own {name}", template, False


def theirs(tokenizer, template, case):
    _, messages, tools, variables, add, continues = case
    try:
        return {"text": tokenizer.apply_chat_template(
            copy.deepcopy(messages), tools=copy.deepcopy(tools), chat_template=template, add_generation_prompt=add,
            continue_final_message=continues or False, tokenize=False, **copy.deepcopy(variables))}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def ours(lines):
    run = subprocess.run([os.path.join(os.environ["MEROPE_BUILD"], "render_template")], input="\n".join(map(json.dumps, lines)) + "\n",
                         capture_output=True, text=True, check=True, env={**os.environ, "MEROPE_DATE": DATE})
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(answers) == len(lines), (len(answers), len(lines), run.stderr)
    return answers


def line(template, case):
    _, messages, tools, variables, add, continues = case
    return {"template": template, "messages": messages, "variables": {"tools": tools, **variables}, "special_tokens": SPECIAL_TOKENS,
            "add_generation_prompt": add, "continue_final": continues, "openai_messages": False}


def main():
    chat_template_utils.datetime = Now
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), **SPECIAL_TOKENS)
    all_templates, all_cases = list(templates()), list(cases())
    mine = iter(ours([line(template, case) for _, template, _ in all_templates for case in all_cases]))
    counts = {"equal": 0, "error in both": 0, "refused by name": 0, "different": 0}
    refusing, theirs_fail = {}, {}
    for name, template, _ in all_templates:
        for case in all_cases:
            got, other = next(mine), theirs(tokenizer, template, case)
            if "text" in got and got == other:
                kind = "equal"
            elif "error" in got and "error" in other:
                kind = "error in both"
                theirs_fail.setdefault((got["error"][:150], other["error"][:110].split("\n")[0]), []).append((name, case[0]))
            elif "error" in got and "support" in got["error"]:
                kind = "refused by name"
                refusing.setdefault(name, got["error"])
            else:
                kind = "different"
                if counts[kind] < 40:
                    print(f"DIFFERENT {name}: {case[0]}, add_generation_prompt={case[4]}\n  transformers {str(other)[-300:]}\n  merope       {str(got)[-300:]}")
            counts[kind] += 1
    if os.environ.get("MEROPE_SHOW_ERRORS"):
        for (a, b), where in sorted(theirs_fail.items()):
            print(f"{len(where):4} {a}\n     {b}\n     {where[0]}")
    for name, why in refusing.items():
        print(f"refused: {name}: {why}")
    files = sum(fetched for _, _, fetched in all_templates)
    print(f"{files} templates of llama.cpp and {len(all_templates) - files} of ours, {len(all_cases)} renderings each: "
          + ", ".join(f"{count} {kind}" for kind, count in counts.items()))
    wrong = counts["different"] + (set(refusing) != REFUSED)
    if set(refusing) != REFUSED:
        print(f"expected those refused to be {sorted(REFUSED)}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
