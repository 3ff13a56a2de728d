"""The checkpoint's tokenizer, under the names that Hugging Face's has."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, overload

from . import _native

Message = Mapping[str, Any]
Conversation = Sequence[Message]


class Tokenizer:
    """Text to tokens and back. Made by LLM.get_tokenizer."""

    def __init__(self, model: _native.Model, chat_template: str | None) -> None:
        self._model, self._chat_template = model, chat_template
        self._native = model.tokenizer
        self._decoded: dict[int, str] = {}

    @property
    def vocab_size(self) -> int:
        """Tokens are 0 to vocab_size - 1."""
        return self._native.vocab_size

    def __len__(self) -> int:
        return self._native.vocab_size

    @property
    def bos_token(self) -> str | None:
        return self._model.bos_token or None

    @property
    def eos_token(self) -> str | None:
        return self._model.eos_token or None

    @property
    def bos_token_id(self) -> int | None:
        token = self._model.bos_token
        return self._native.token_to_id(token) if token else self._model.bos_token_id

    @property
    def eos_token_id(self) -> int | None:
        token = self._model.eos_token
        found = self._native.token_to_id(token) if token else None
        return found if found is not None else next(iter(self._model.eos_token_ids), None)

    @property
    def all_special_ids(self) -> list[int]:
        return [i for i in range(self.vocab_size) if self._native.is_special(i)]

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """Tokens of a text, special ones written out in it among them; with those that the tokenizer
        puts around each (BOS), unless add_special_tokens is False."""
        return self._native.encode(text, add_special_tokens)

    def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        ids = self.encode(text, add_special_tokens)
        return {"input_ids": ids, "attention_mask": [1] * len(ids)}

    def decode(self, token_ids: int | Sequence[int], skip_special_tokens: bool = False) -> str:
        ids = [token_ids] if isinstance(token_ids, int) else list(token_ids)
        return self._native.decode(ids, skip_special_tokens)

    def tokenize(self, text: str) -> list[str]:
        return self.convert_ids_to_tokens(self.encode(text, add_special_tokens=False))

    @overload
    def convert_tokens_to_ids(self, tokens: str) -> int | None: ...
    @overload
    def convert_tokens_to_ids(self, tokens: list[str]) -> list[int | None]: ...
    def convert_tokens_to_ids(self, tokens: str | list[str]) -> int | None | list[int | None]:
        """Tokens as the vocabulary spells them ("Ġthe"); None for what is not in it."""
        if isinstance(tokens, str):
            return self._native.token_to_id(tokens)
        return [self._native.token_to_id(token) for token in tokens]

    @overload
    def convert_ids_to_tokens(self, ids: int) -> str: ...
    @overload
    def convert_ids_to_tokens(self, ids: Sequence[int]) -> list[str]: ...
    def convert_ids_to_tokens(self, ids: int | Sequence[int]) -> str | list[str]:
        if isinstance(ids, int):
            return self._native.id_to_token(ids)
        return [self._native.id_to_token(id) for id in ids]

    def get_vocab(self) -> dict[str, int]:
        return {self._native.id_to_token(i): i for i in range(self.vocab_size)}

    @overload
    def apply_chat_template(self, conversation: Conversation, *, tokenize: Literal[True] = True,
                            add_generation_prompt: bool = False,
                            continue_final_message: bool = False, tools: Any = None,
                            documents: Any = None, chat_template: str | None = None,
                            **variables: Any) -> list[int]: ...
    @overload
    def apply_chat_template(self, conversation: Conversation, *, tokenize: Literal[False],
                            add_generation_prompt: bool = False,
                            continue_final_message: bool = False, tools: Any = None,
                            documents: Any = None, chat_template: str | None = None,
                            **variables: Any) -> str: ...
    def apply_chat_template(self, conversation: Conversation, *, tokenize: bool = True,
                            add_generation_prompt: bool = False,
                            continue_final_message: bool = False, tools: Any = None,
                            documents: Any = None, chat_template: str | None = None,
                            **variables: Any) -> str | list[int]:
        """A conversation as the checkpoint's chat template writes it, as tokens or as text.

        conversation: messages, dicts with "role" and "content" (a string, or parts of type "text").
        add_generation_prompt: end where the assistant's answer begins. continue_final_message: end
        inside the last message, for it to be continued. tools, documents and other variables reach
        the template as they are.
        """
        if add_generation_prompt and continue_final_message:
            raise ValueError("continue_final_message: expected add_generation_prompt=False with it")
        messages = [_plain(message) for message in conversation]
        text = self._model.render_chat(
            json.dumps(messages), json.dumps({"tools": tools, "documents": documents, **variables}),
            add_generation_prompt, chat_template or self._chat_template)
        if continue_final_message:
            final = messages[-1].get("content") if messages else None
            end = text.rfind(final.strip()) if isinstance(final, str) else -1
            if not isinstance(final, str) or end < 0:
                raise ValueError("continue_final_message: expected the last message's content in the "
                                 "rendered text, found none")
            text = text[:end + len(final.strip())]
        return self._native.encode_prompt(text, False) if tokenize else text

    def decoded_token(self, id: int) -> str:
        """What one token stands for by itself; bytes that are no text become U+FFFD."""
        text = self._decoded.get(id)
        if text is None:
            text = self._decoded[id] = self._native.decode([id], False)
        return text


def _plain(message: Message) -> dict[str, Any]:
    """A message with its parts of text joined, as vLLM gives it to templates of plain strings."""
    if not isinstance(message, Mapping):
        raise TypeError(f"messages: expected dicts with a role, found {message!r}")
    content = message.get("content")
    if not isinstance(content, (list, tuple)):
        return dict(message)
    texts = []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping) and part.get("type") == "text":
            texts.append(part["text"])
        else:
            raise ValueError(f"messages: content: expected parts of type \"text\", found {part!r}")
    return {**message, "content": "\n".join(texts)}
