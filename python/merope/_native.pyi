"""The C++ engine behind merope. Programs use the package's own classes."""

from typing import final

__version__: str

def synthesize(directory: str, config_path: str, seed: int = 0) -> None:
    """Writes a checkpoint of random weights in the shape of a config.json."""

def find_model(model: str) -> Job:
    """The result is the path of a model that is given as a path or as ORG/NAME[@REVISION]. The job
    fetches the model if the cache does not have it."""

def verify(fields: dict[str, object]) -> Job:
    """The result is the JSON of `merope verify`. fields: the arguments of merope.verify.verify. Raises
    a TypeError or a ValueError that names the argument; so do the next functions."""

def audit(fields: dict[str, object]) -> Job:
    """The result is the JSON of another judgment of `merope verify`. fields: those of verify, "audit"
    (the name of the function of merope.audit) and "mutants"."""

def latency(fields: dict[str, object]) -> Job:
    """The result is the JSON of `merope bench latency` of a model."""

def endpoint_latency(fields: dict[str, object]) -> Job:
    """The result is the JSON of `merope bench latency` of servers."""

def serve(fields: dict[str, object]) -> Job:
    """The result is the JSON of `merope bench serve`."""

@final
class Job:
    """Long work on a thread of its own."""

    def fileno(self) -> int:
        """Returns a file descriptor, which is readable when take() would return something, and when the
        job has finished."""
    def take(self) -> tuple[list[str], list[tuple[str, int, int]]]:
        """Returns the lines for people, and the steps (phase, done, total), since the last call."""
    def stop(self) -> None:
        """Asks the job to finish early. Returns at once."""
    @property
    def finished(self) -> bool: ...
    def result(self) -> str:
        """What the job has made. Raises its error. The job must have finished."""

@final
class Params:
    """The parameters of a request, in the form that the engine takes."""

    def __init__(self, fields: dict[str, object]) -> None: ...
    def settle(self) -> None:
        """Checks all fields, and sets the fields that depend on others. Limits that depend on the
        model are checked later, when a request is submitted. Raises a ValueError."""
    @staticmethod
    def defaults() -> dict[str, object]:
        """Returns every field and its default value; None for lists and objects."""
    @property
    def temperature(self) -> float: ...
    @property
    def top_p(self) -> float: ...
    @property
    def top_k(self) -> int: ...
    @property
    def min_p(self) -> float: ...
    @property
    def seed(self) -> int | None: ...
    @property
    def final_only(self) -> bool: ...
    @final_only.setter
    def final_only(self, arg: bool, /) -> None: ...

@final
class Tokenizer:
    def encode(self, text: str, add_special: bool) -> list[int]: ...
    def encode_prompt(self, text: str, add_prefix: bool) -> list[int]:
        """Encodes the prompt of a request. If the text already begins with the tokenizer's prefix
        (BOS), no second prefix is added."""
    def decode(self, ids: list[int], skip_special: bool) -> str: ...
    def token_to_id(self, token: str) -> int | None: ...
    def id_to_token(self, id: int) -> str: ...
    def is_special(self, id: int) -> bool: ...
    @property
    def vocab_size(self) -> int: ...

@final
class Question:
    """A question about sources: its request, and the reader of the request's events."""

    def read(self, event: Event) -> list[str]:
        """Takes an event of the question's request. Returns what it adds to the answer, as JSON."""
    def result(self) -> str:
        """After the last event: the answer, as JSON."""

@final
class Event:
    """The new results of one sequence of a request."""

    @property
    def tag(self) -> int: ...
    @property
    def index(self) -> int: ...
    @property
    def ids(self) -> list[int]: ...
    @property
    def text(self) -> str: ...
    @property
    def logprobs(self) -> list[list[tuple[int, float, int]]]: ...
    @property
    def cumulative_logprob(self) -> float: ...
    @property
    def finish_reason(self) -> str | None: ...
    @property
    def stop_reason(self) -> int | str | None: ...
    @property
    def cached_tokens(self) -> int: ...
    @property
    def prompt_logprobs(self) -> list[list[tuple[int, float, int]]]: ...
    @property
    def times(self) -> list[float]: ...
    @property
    def last(self) -> bool: ...
    @property
    def refused(self) -> bool: ...
    @property
    def error(self) -> str: ...

@final
class Events:
    """The events of many requests for one reader."""

    def __init__(self) -> None: ...
    def fileno(self) -> int:
        """Returns a file descriptor, which is readable when take() would return events."""
    def take(self) -> list[Event]:
        """Returns all events that have arrived, in order. Does not wait."""

@final
class Model:
    """A loaded model, and the engine that runs this model."""

    def __init__(self, path: str, *, dtype: str, kv_cache_dtype: str, enforce_eager: bool,
                 num_threads: int, max_model_len: int, max_num_seqs: int,
                 max_num_batched_tokens: int, kv_cache_bytes: int | None, prefix_cache: bool,
                 by_priority: bool, max_logprobs: int, speculative_tokens: int) -> None: ...
    def submit(self, events: Events, tag: int, prompt: list[int], params: Params, seed: int | None,
               priority: int, cache_salt: str) -> int:
        """Returns the id of the request. `events` receives the events of the request, with this
        tag."""
    def prepare_question(self, query: str, sources: list[str], fast: bool, quotes: str, cite: str | None,
                         params: Params, seed: int | None) -> Question:
        """The parameters have been settled. Only one sequence: n must be 1."""
    def submit_question(self, events: Events, tag: int, question: Question) -> int: ...
    def abort(self, id: int) -> None: ...
    def reset_prefix_cache(self) -> bool: ...
    def stats(self) -> dict[str, int]: ...
    def render_chat(self, messages: str, variables: str, add_generation_prompt: bool,
                    continue_final: str, openai_messages: bool, chat_template: str | None) -> str:
        """Renders the checkpoint's chat template, or the template whose source is chat_template.
        messages and variables are JSON."""
    @property
    def tokenizer(self) -> Tokenizer: ...
    @property
    def has_chat_template(self) -> bool: ...
    @property
    def max_model_len(self) -> int: ...
    @property
    def kv_cache_tokens(self) -> int: ...
    @property
    def vocab_size(self) -> int: ...
    @property
    def eos_token_ids(self) -> list[int]: ...
    @property
    def bos_token_id(self) -> int | None: ...
    @property
    def bos_token(self) -> str: ...
    @property
    def eos_token(self) -> str: ...
    @property
    def pad_token(self) -> str: ...
    @property
    def unk_token(self) -> str: ...
    @property
    def generation_config(self) -> dict[str, float]: ...
    @property
    def description(self) -> str:
        """One line for a log, about the loaded model."""
