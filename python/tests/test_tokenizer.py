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
