"""Compares merope's Jinja with jinja2, in the environment in which transformers compiles chat templates.

The templates are of three kinds: whole chat templates of the families of Llama checkpoints, on random conversations; a
list of single features; random programs. Where jinja2 gives a text, merope must give the same text. For random programs
only, merope may instead refuse, by name, a feature that it does not support. Where jinja2 fails, merope must fail.
"""

import copy
import json
import os
import random
import subprocess
import sys
import warnings

import chat_templates
import template_cases
from transformers.utils import chat_template_utils

RENDERER = os.path.join(os.environ["MEROPE_BUILD"], "render_template")


def ours(cases):
    lines = "\n".join(json.dumps({"template": t, "variables": v}) for t, v in cases) + "\n"
    run = subprocess.run([RENDERER], input=lines, capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(answers) == len(cases), (len(answers), len(cases))
    return answers


def theirs(template, variables):
    try:
        return {"text": chat_template_utils._compile_jinja_template(template).render(**copy.deepcopy(variables))}
    except Exception as error:  # a template can raise any exception: TemplateError, TypeError, ValueError, …
        return {"error": f"{type(error).__name__}: {error}"}


def refuses(error):
    """Returns whether merope may fail where jinja2 gives a text.

    merope may lack a feature. A slice of a constant is undefined in jinja2, and an error in merope.
    """
    return "support" in error or "a slice of" in error


def compare(cases, may_refuse):
    """Returns the numbers of equal texts, accepted errors, and differences. Prints the first 20 differences."""
    same = refused = failed = 0
    for (template, variables), mine in zip(cases, ours(cases)):
        other = theirs(template, variables)
        if " object at 0x" in other.get("text", "") or "<built-in method" in other.get("text", ""):
            other = {"error": "an address as text"}
        if "text" in mine and mine == other:
            same += 1
        elif "error" in mine and ("error" in other or (may_refuse and refuses(mine["error"]))):
            refused += 1
        else:
            failed += 1
            if failed <= 20:
                print(f"DIFFERENT\n  template  {template!r}\n  messages  {variables['messages']!r}\n  jinja2    {other}\n  merope    {mine}")
    return same, refused, failed


def conversation(rng):
    pieces = ["Hello", " world", "\n", "  ", "\t", "é", "日本語", "🙂", "{{ x }}", "{% if %}", "<|im_end|>", "</s>", "[INST]",
              "'", '"', "\\n", "<b>&amp;</b>", "\u00a0", "\r\n", "a" * 50, "|", "{#", "0", "None", "\u2028", "e\u0301"]
    messages = []
    if rng.random() < 0.4:
        messages.append({"role": "system", "content": "".join(rng.choices(pieces, k=rng.randrange(0, 6)))})
    roles = ["user", "assistant"]
    for i in range(rng.randrange(0, 7)):
        role = roles[i % 2] if rng.random() < 0.9 else rng.choice(["user", "assistant", "system", "tool", "other"])
        messages.append({"role": role, "content": "".join(rng.choices(pieces, k=rng.randrange(0, 8)))})
    return messages


def chats(rng, count):
    for name, template in chat_templates.CHAT_TEMPLATES.items():
        for _ in range(count):
            messages = conversation(rng)
            variables = {"messages": messages, "tools": None, "documents": None,
                         "add_generation_prompt": rng.random() < 0.5, "bos_token": "<s>", "eos_token": "</s>"}
            if rng.random() < 0.3:
                variables["tools"] = chat_templates.TOOLS[: rng.randrange(0, len(chat_templates.TOOLS) + 1)]
            if rng.random() < 0.2:
                variables["documents"] = [{"title": "A", "text": "b\nc"}, {"title": "", "text": "ü"}]
            for message in messages:
                if message["role"] == "assistant" and rng.random() < 0.2:
                    message["tool_calls"] = [{"type": "function", "function": {
                        "name": "f", "arguments": {"x": 1, "y": [True, None, 1.5, "é\"<"]}}}]
            yield template, variables


def main():
    warnings.simplefilter("ignore")  # random programs cause warnings
    rng = random.Random(20240601)
    failures = 0
    kinds = [("chats", list(chats(rng, 60)), False),
             ("features", [(t, template_cases.VARIABLES) for t in template_cases.FEATURES], False),
             ("programs", [(template_cases.program(rng), template_cases.VARIABLES) for _ in range(6000)], True)]
    for name, cases, may_refuse in kinds:
        same, refused, failed = compare(cases, may_refuse)
        print(f"{name}: {len(cases)} templates, {same} equal texts, {refused} refused, {failed} different")
        failures += failed
        if same < len(cases) // 4:
            print(f"{name}: too few texts to say much")
            failures += 1
    # merope must refuse these templates by name.
    for template, word in template_cases.REFUSED:
        answer, = ours([(template, template_cases.VARIABLES)])
        if word not in answer.get("error", ""):
            print(f"NOT REFUSED {template!r}: {answer}")
            failures += 1
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
