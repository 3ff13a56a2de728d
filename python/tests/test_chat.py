import json

import pytest

from merope import LLM, SamplingParams

GREEDY = SamplingParams(temperature=0, max_tokens=4, ignore_eos=True)
HELLO = [{"role": "user", "content": "Hello"}]


def test_conversations(llm):
    (output,) = llm.chat(HELLO, GREEDY)
    assert output.prompt == "[user] Hello\n[assistant] "
    assert output.prompt_token_ids == llm.get_tokenizer().encode(output.prompt, add_special_tokens=False)
    both = llm.chat([HELLO, [{"role": "system", "content": "Be brief."}, *HELLO]], GREEDY)
    assert both[0].outputs == output.outputs
    assert both[1].prompt == "[system] Be brief.\n[user] Hello\n[assistant] "


def test_options(llm):
    def prompt(messages, **options):
        return llm.chat(messages, GREEDY, **options)[0].prompt
    assert prompt(HELLO, add_generation_prompt=False) == "[user] Hello\n"
    assert prompt(HELLO, chat_template="{{ messages[0].content }}!") == "Hello!"
    assert prompt(HELLO, chat_template_kwargs={"documents": [{"title": "T"}]}).endswith("<T>[assistant] ")
    assert prompt(HELLO, tools=[{"name": "t"}], chat_template="{{ tools | tojson }}") == '[{"name": "t"}]'
    parts = [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]
    assert prompt(parts) == "[user] a\nb\n[assistant] "
    begun = [*HELLO, {"role": "assistant", "content": "Hi, I "}]
    assert prompt(begun, add_generation_prompt=False, continue_final_message=True) == (
        "[user] Hello\n[assistant] Hi, I ")
    assert prompt([*HELLO, {"role": "assistant", "content": ""}], add_generation_prompt=False,
                  continue_final_message=True) == "[user] Hello\n[assistant] "
    fields = "{{ messages[0] | tojson }}"
    call = {"function": {"name": "f", "arguments": '{"z": 1, "a": 2}'}}
    said = {"role": "assistant", "content": None, "tool_calls": [call], "name": "n", "x": 1}
    assert prompt([said], chat_template=fields) == json.dumps(
        {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"z": 1, "a": 2}}}],
         "name": "n", "x": 1})
    # apply_chat_template does not change the arguments of tool calls or the parts of contents.
    apply = llm.get_tokenizer().apply_chat_template
    assert apply([said], chat_template=fields, tokenize=False) == json.dumps(
        {k: v for k, v in said.items() if v is not None})
    assert apply([{"role": "a", "content": "x", "reasoning_content": "so "}], tokenize=False,
                 chat_template="<{{ messages[0].reasoning_content }}>",
                 continue_final_message="reasoning_content") == "<so "


def test_dates(llm, monkeypatch):
    monkeypatch.setenv("MEROPE_DATE", "2024-07-26")
    assert llm.chat(HELLO, GREEDY, chat_template="{{ strftime_now('%d %b %Y') }}")[0].prompt == "26 Jul 2024"


def test_templates_of_files(model, llm, tmp_path):
    file = tmp_path / "template.jinja"
    file.write_text("<{{ messages[0].content }}>")
    for given in (file, str(file)):
        assert llm.chat(HELLO, GREEDY, chat_template=given)[0].prompt == "<Hello>"
    assert LLM(model, max_model_len=64, chat_template=str(file)).chat(HELLO, GREEDY)[0].prompt == "<Hello>"
    for wrong in ("no_such_file.jinja", "", str(tmp_path), "a\0b"):
        with pytest.raises(ValueError, match="chat_template: expected a file"):
            LLM(model, max_model_len=64, chat_template=wrong)


@pytest.mark.parametrize(("messages", "options", "error", "words"), [
    ([{"content": "a"}], {}, ValueError, "messages[0].role: expected a string, found none"),
    (["a"], {}, TypeError, "messages: expected dicts with a role, found 'a'"),
    ([{"role": "user", "content": [{"type": "image_url"}]}], {}, ValueError, "image_url"),
    (HELLO, {"continue_final_message": True}, ValueError, "add_generation_prompt=False"),
    (HELLO, {"chat_template": "{% if %}"}, ValueError, "chat_template: line 1"),
    (HELLO, {"chat_template": "{{ raise_exception('no') }}"}, ValueError, "no"),
])
def test_what_is_refused(llm, messages, options, error, words):
    with pytest.raises(error) as caught:
        llm.chat(messages, GREEDY, **options)
    assert words in str(caught.value)


def test_a_checkpoint_without_a_template(model, tmp_path):
    for file in model.iterdir():
        if file.name != "tokenizer_config.json":
            (tmp_path / file.name).symlink_to(file)
    with pytest.raises(ValueError, match="expected a chat template"):
        LLM(tmp_path, max_model_len=64).chat(HELLO, GREEDY)
    given = LLM(tmp_path, max_model_len=64, chat_template="<{{ messages[0].content }}>")
    assert given.chat(HELLO, GREEDY)[0].prompt == "<Hello>"


def test_smollm2_answers(smollm2):
    (output,) = smollm2.chat([{"role": "user", "content": "What is the capital of France?"}],
                             SamplingParams(temperature=0, max_tokens=32))
    assert "Paris" in output.outputs[0].text
    assert output.outputs[0].finish_reason == "stop"
