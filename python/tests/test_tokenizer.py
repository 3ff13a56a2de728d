import pytest


def test_there_and_back(llm):
    tokenizer = llm.get_tokenizer()
    text = "Hello,  wörld 你好 👩‍💻\n"
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.decode(ids) == text
    assert tokenizer(text, add_special_tokens=False) == {"input_ids": ids, "attention_mask": [1] * len(ids)}
    assert tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text)) == ids
    assert tokenizer.decode(ids[0]) == text[0]


def test_vocabulary(llm):
    tokenizer = llm.get_tokenizer()
    assert len(tokenizer) == tokenizer.vocab_size == len(tokenizer.get_vocab()) == 512
    assert tokenizer.convert_tokens_to_ids(tokenizer.eos_token) == tokenizer.eos_token_id == 2
    assert tokenizer.convert_tokens_to_ids("no such token") is None
    assert tokenizer.eos_token_id in tokenizer.all_special_ids
    assert tokenizer.decode([tokenizer.eos_token_id]) == tokenizer.eos_token
    assert tokenizer.decode([tokenizer.eos_token_id], skip_special_tokens=True) == ""
    for wrong in (-1, 512):
        with pytest.raises(ValueError, match=f"511, found {wrong}"):
            tokenizer.convert_ids_to_tokens(wrong)
        with pytest.raises(ValueError, match=str(wrong)):
            tokenizer.decode([wrong])


def test_chat_template(llm):
    tokenizer = llm.get_tokenizer()
    messages = [{"role": "user", "content": "Hello"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    assert text == "[user] Hello\n"
    assert tokenizer.apply_chat_template(messages) == tokenizer.encode(text, add_special_tokens=False)


def test_it_outlives_its_llm(model):
    from merope import LLM
    tokenizer = LLM(model, max_model_len=64).get_tokenizer()
    assert tokenizer.decode(tokenizer.encode("Hello", add_special_tokens=False)) == "Hello"


def test_a_call_with_several_texts(llm):
    tokenizer = llm.get_tokenizer()
    texts = ["Hello there", "Hi"]
    both = tokenizer(texts)
    assert both.input_ids == both["input_ids"] == [tokenizer.encode(text) for text in texts]
    assert both.attention_mask == [[1] * len(ids) for ids in both.input_ids]
    assert tokenizer.batch_decode(both.input_ids) == tokenizer.decode(both.input_ids) == [
        tokenizer.decode(ids) for ids in both.input_ids]
    with pytest.raises(AttributeError, match="token_type_ids"):
        both.token_type_ids
    with pytest.raises(TypeError, match="text: expected a string, found 3"):
        tokenizer(["a", 3])
    with pytest.raises(ValueError, match="return_tensors: expected None, found 'pt'"):
        tokenizer("a", return_tensors="pt")


def test_truncation(llm):
    tokenizer = llm.get_tokenizer()
    ids = tokenizer.encode("one two three four", add_special_tokens=False)
    assert tokenizer.encode("one two three four", add_special_tokens=False, truncation=True, max_length=3) == ids[:3]
    assert tokenizer("one two three four", add_special_tokens=False, max_length=2).input_ids == ids[:2]
    assert tokenizer.encode("one two three four", False, truncation=False, max_length=2) == ids
    whole = tokenizer.encode("one two three four")
    cut = tokenizer.encode("one two three four", truncation=True, max_length=len(whole) - 1)
    assert len(cut) == len(whole) - 1 and cut[0] == whole[0]
    for wrong in ({"truncation": True}, {"truncation": "shortest", "max_length": 3}, {"max_length": -1}):
        with pytest.raises(ValueError, match="truncation|max_length"):
            tokenizer.encode("a", **wrong)


def test_padding_needs_a_pad_token_and_fills_to_the_longest(llm):
    tokenizer = llm.get_tokenizer()
    rows = tokenizer(["a", "one two three"], add_special_tokens=False).input_ids
    if tokenizer.pad_token_id is None:
        with pytest.raises(ValueError, match="padding: expected a tokenizer with a pad token"):
            tokenizer(["a", "one two three"], padding=True)
        tokenizer.pad_token = tokenizer.eos_token
    pad, longest = tokenizer.pad_token_id, len(rows[1])
    padded = tokenizer(["a", "one two three"], add_special_tokens=False, padding=True)
    assert padded.input_ids == [rows[0] + [pad] * (longest - len(rows[0])), rows[1]]
    assert padded.attention_mask[0] == [1] * len(rows[0]) + [0] * (longest - len(rows[0]))
    tokenizer.padding_side = "left"
    assert tokenizer("a", add_special_tokens=False, padding="max_length", max_length=4).input_ids == (
        [pad] * (4 - len(rows[0])) + rows[0])
    tokenizer.padding_side = "right"


def test_nothing_is_swallowed_as_a_template_variable(llm):
    tokenizer = llm.get_tokenizer()
    messages = [{"role": "user", "content": "Hello"}]
    ids = tokenizer.apply_chat_template(messages)
    assert tokenizer.apply_chat_template(messages, truncation=True, max_length=3) == ids[:3]
    assert tokenizer.apply_chat_template(messages, return_dict=True) == {
        "input_ids": ids, "attention_mask": [1] * len(ids)}
    for name in ("return_tensors", "tokenizer_kwargs", "return_assistant_tokens_mask"):
        with pytest.raises(ValueError, match=name):
            tokenizer.apply_chat_template(messages, **{name: "pt"})
