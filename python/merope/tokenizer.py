"""The checkpoint's tokenizer, with the method names of Hugging Face's tokenizers."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast, overload

from . import _native
from .encoding import (
    BatchEncoding,
    Padding,
    Side,
    Truncation,
    pad,
    refuse_tensors,
    truncate,
    wants_truncation,
)

Message = Mapping[str, Any]
Conversation = Sequence[Message]


class Tokenizer:
    """Converts text to tokens and tokens to text. LLM.get_tokenizer returns the tokenizer."""

    def __init__(self, model: _native.Model, chat_template: str | os.PathLike[str] | None) -> None:
        self._model, self._chat_template = model, read_template(chat_template)
        self._native = model.tokenizer
        self._decoded: dict[int, str] = {}
        self.pad_token: str | None = model.pad_token or None
        self.unk_token: str | None = model.unk_token or None
        self.padding_side: Side = "right"
        self.truncation_side: Side = "right"

    @property
    def vocab_size(self) -> int:
        """Token ids go from 0 to vocab_size - 1."""
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
    def pad_token_id(self) -> int | None:
        return self._native.token_to_id(self.pad_token) if self.pad_token else None

    @property
    def unk_token_id(self) -> int | None:
        return self._native.token_to_id(self.unk_token) if self.unk_token else None

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

    def encode(self, text: str, add_special_tokens: bool = True, *,
               truncation: Truncation | None = None, max_length: int | None = None) -> list[int]:
        """Returns the tokens of a text. Special tokens written out in the text become their ids.

        add_special_tokens: add the tokens that the tokenizer puts around each text (such as BOS).
        truncation, max_length: a text of more than max_length tokens is cut at truncation_side,
            except with truncation=False.
        """
        if not isinstance(text, str):
            raise TypeError(f"text: expected a string, found {text!r:.200}")
        whole = self._native.encode(text, add_special_tokens)
        if not wants_truncation(truncation, max_length) or len(whole) <= (max_length or 0):
            return whole
        body = self._native.encode(text, False) if add_special_tokens else whole
        return truncate(body, whole, max_length or 0, self.truncation_side)

    def __call__(self, text: str | Sequence[str], add_special_tokens: bool = True, *,
                 padding: Padding = False, truncation: Truncation | None = None,
                 max_length: int | None = None, return_attention_mask: bool | None = None,
                 return_tensors: None = None) -> BatchEncoding:
        """Returns input_ids and attention_mask of a text. For several texts, both are lists with
        one entry per text."""
        refuse_tensors(return_tensors)
        texts = [text] if isinstance(text, str) else list(text)
        rows = [self.encode(one, add_special_tokens, truncation=truncation, max_length=max_length)
                for one in texts]
        return self._encoding(rows, padding, max_length, isinstance(text, str), return_attention_mask)

    def _encoding(self, rows: list[list[int]], padding: Padding, max_length: int | None, single: bool,
                  return_attention_mask: bool | None = None) -> BatchEncoding:
        ids, masks = pad(rows, padding, max_length, self.padding_side, self.pad_token_id)
        found = {"input_ids": ids[0] if single else ids}
        if return_attention_mask is not False:
            found["attention_mask"] = masks[0] if single else masks
        return BatchEncoding(found)

    @overload
    def decode(self, token_ids: int | Sequence[int], skip_special_tokens: bool = False) -> str: ...
    @overload
    def decode(self, token_ids: Sequence[Sequence[int]],
               skip_special_tokens: bool = False) -> list[str]: ...
    def decode(self, token_ids: int | Sequence[int] | Sequence[Sequence[int]],
               skip_special_tokens: bool = False) -> str | list[str]:
        """Returns the text of a list of tokens. For several lists, returns a list of texts."""
        ids = [token_ids] if isinstance(token_ids, int) else list(token_ids)
        if ids and not hasattr(ids[0], "__index__"):
            return self.batch_decode(cast("Sequence[Sequence[int]]", ids), skip_special_tokens)
        return self._native.decode(cast("list[int]", ids), skip_special_tokens)

    def batch_decode(self, sequences: Sequence[int] | Sequence[Sequence[int]],
                     skip_special_tokens: bool = False) -> list[str]:
        """Returns one text per list of tokens, or one text per token."""
        return [self._native.decode([one] if isinstance(one, int) else list(one), skip_special_tokens)
                for one in sequences]

    def tokenize(self, text: str) -> list[str]:
        return self.convert_ids_to_tokens(self.encode(text, add_special_tokens=False))

    @overload
    def convert_tokens_to_ids(self, tokens: str) -> int | None: ...
    @overload
    def convert_tokens_to_ids(self, tokens: list[str]) -> list[int | None]: ...
    def convert_tokens_to_ids(self, tokens: str | list[str]) -> int | None | list[int | None]:
        """Returns the ids of tokens, which must be spelled as in the vocabulary ("Ġthe"). The id is
        None for a token that is not in the vocabulary."""
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
                            continue_final_message: bool | str = False, tools: Any = None,
                            documents: Any = None, chat_template: str | os.PathLike[str] | None = None,
                            padding: Padding = False, truncation: Truncation | None = None,
                            max_length: int | None = None, return_tensors: None = None,
                            return_dict: Literal[False] = False, **variables: Any) -> list[int]: ...
    @overload
    def apply_chat_template(self, conversation: Conversation, *, tokenize: Literal[True] = True,
                            add_generation_prompt: bool = False,
                            continue_final_message: bool | str = False, tools: Any = None,
                            documents: Any = None, chat_template: str | os.PathLike[str] | None = None,
                            padding: Padding = False, truncation: Truncation | None = None,
                            max_length: int | None = None, return_tensors: None = None,
                            return_dict: Literal[True], **variables: Any) -> BatchEncoding: ...
    @overload
    def apply_chat_template(self, conversation: Conversation, *, tokenize: Literal[False],
                            add_generation_prompt: bool = False,
                            continue_final_message: bool | str = False, tools: Any = None,
                            documents: Any = None, chat_template: str | os.PathLike[str] | None = None,
                            padding: Padding = False, truncation: Truncation | None = None,
                            max_length: int | None = None, return_tensors: None = None,
                            return_dict: bool = False, **variables: Any) -> str: ...
    def apply_chat_template(self, conversation: Conversation, *, tokenize: bool = True,
                            add_generation_prompt: bool = False,
                            continue_final_message: bool | str = False, tools: Any = None,
                            documents: Any = None, chat_template: str | os.PathLike[str] | None = None,
                            padding: Padding = False, truncation: Truncation | None = None,
                            max_length: int | None = None, return_tensors: None = None,
                            return_dict: bool = False,
                            **variables: Any) -> str | list[int] | BatchEncoding:
        """Renders a conversation with the checkpoint's chat template. Returns the prompt as tokens,
        or as text with tokenize=False. The result is the same as from the method of this name in
        transformers.

        conversation: messages. A message is a dict with "role" and "content". The template sees all
            fields that are not None.
        add_generation_prompt: end the prompt where the assistant's answer begins.
        continue_final_message: end the prompt inside the last message, so that the model continues
            this message. True ends the prompt in the field "content"; a string names another field.
        tools, documents, variables: passed to the template unchanged.
        chat_template: as in LLM.
        padding, truncation, max_length: as in a call of the tokenizer.
        return_dict: return input_ids and attention_mask, instead of the tokens alone.
        """
        refuse_tensors(return_tensors)
        for name in ("tokenizer_kwargs", "return_assistant_tokens_mask"):
            if variables.pop(name, None):
                raise ValueError(f"{name}: expected None, found a value: there is no such thing here")
        text = self._render(conversation, add_generation_prompt, continue_final_message, False,
                            chat_template,
                            {"tools": tools, "documents": documents, **variables})
        if not tokenize:
            return text
        ids = self._native.encode_prompt(text, False)
        if wants_truncation(truncation, max_length):
            ids = truncate(ids, ids, max_length or 0, self.truncation_side)
        encoding = self._encoding([ids], padding, max_length, single=True)
        return encoding if return_dict else cast("list[int]", encoding.input_ids)

    def _render(self, conversation: Conversation, add_generation_prompt: bool,
                continue_final_message: bool | str, openai_messages: bool,
                chat_template: str | os.PathLike[str] | None,
                variables: Mapping[str, Any]) -> str:
        if add_generation_prompt and continue_final_message:
            raise ValueError("continue_final_message: expected add_generation_prompt=False with it")
        for message in conversation:
            if not isinstance(message, Mapping):
                raise TypeError(f"messages: expected dicts with a role, found {message!r}")
        field = continue_final_message if isinstance(continue_final_message, str) else "content"
        source = read_template(chat_template)
        return self._model.render_chat(
            json.dumps([dict(message) for message in conversation]), json.dumps(dict(variables)),
            add_generation_prompt, field if continue_final_message else "", openai_messages,
            self._chat_template if source is None else source)

    def decoded_token(self, id: int) -> str:
        """Returns the text of one token alone. Bytes that are not valid text become U+FFFD."""
        text = self._decoded.get(id)
        if text is None:
            text = self._decoded[id] = self._native.decode([id], False)
        return text


def read_template(chat_template: str | os.PathLike[str] | None) -> str | None:
    """Returns the source of a template. chat_template is the source itself or a file name."""
    if chat_template is None or (isinstance(chat_template, str) and "{" in chat_template):
        return chat_template
    try:
        return pathlib.Path(chat_template).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ValueError("chat_template: expected a file, or a template with a \"{\" in it, found "
                         f"{str(chat_template)!r:.200}: {error}") from None
