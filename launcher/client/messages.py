"""Requests and answers of OpenAI's API, as values. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeAlias

from launcher.client.errors import RequestError, ServerError
from launcher.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
Body: TypeAlias = "dict[str, Json]"

COMPLETIONS = "/v1/completions"
CHAT = "/v1/chat/completions"
MODELS = "/v1/models"
UNAUTHORIZED = 401
SHOWN = 300  # characters of an answer that is none


@record
class Usage:
    """Tokens that were read and written."""

    prompt_tokens: int
    completion_tokens: int


@record
class Answer:
    """A complete answer. `body` is all of it, as the server sent it."""

    text: str
    finish_reason: str
    usage: Usage
    body: Body


def completion_body(prompt: str, model: str, options: Mapping[str, Json]) -> Body:
    """Return the request for a completion."""
    return {"model": model, "prompt": prompt, **options}


def chat_body(
    messages: Sequence[Mapping[str, Json]], model: str, options: Mapping[str, Json]
) -> Body:
    """Return the request for an answer to messages."""
    return {"model": model, "messages": [dict(message) for message in messages], **options}


def parse_object(data: bytes) -> Body:
    """Return the JSON object in an answer.

    Raises:
        ServerError: it is none.
    """
    try:
        # As UTF-8 only: `loads` would take UTF-16 too, which could not be passed on as it is.
        value = json.loads(data.decode())
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        shown = data[:SHOWN].decode(errors="replace")
        raise ServerError(f"the server's answer is not a JSON object: {shown!r}")
    return value


def read_answer(body: Body) -> Answer:
    """Read the answer to a completion or a chat.

    Raises:
        ServerError: it is neither.
    """
    choice = _choice(body)
    message = choice.get("message")
    text = message.get("content") if isinstance(message, dict) else choice.get("text")
    usage = body.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    return Answer(
        text=text if isinstance(text, str) else "",
        finish_reason=str(choice.get("finish_reason") or ""),
        usage=Usage(
            prompt_tokens=_count(counts.get("prompt_tokens")),
            completion_tokens=_count(counts.get("completion_tokens")),
        ),
        body=body,
    )


def read_piece(body: Body) -> str:
    """Return the text in one event of a stream; empty where it carries none.

    Raises:
        RequestError: the server gives up the answer.
        ServerError: it is no event of a completion or a chat.
    """
    if "error" in body:
        raise RequestError(f"the server gave up: {error_text(body)}")
    if body.get("choices") == []:
        return ""  # the last event may hold the usage only
    choice = _choice(body)
    delta = choice.get("delta")
    text = delta.get("content") if isinstance(delta, dict) else choice.get("text")
    return text if isinstance(text, str) else ""


def read_models(body: Body) -> tuple[str, ...]:
    """Return the names in a list of models.

    Raises:
        ServerError: it is no such list.
    """
    data = body.get("data")
    if not isinstance(data, list):
        raise ServerError("the server's list of models is not one")
    names = (model.get("id") for model in data if isinstance(model, dict))
    return tuple(name for name in names if isinstance(name, str))


def error_text(body: Json) -> str:
    """Return the message in an error's body: vLLM nests it, others do not."""
    inner = body.get("error", body) if isinstance(body, dict) else body
    message = inner.get("message") if isinstance(inner, dict) else inner
    return message if isinstance(message, str) and message else json.dumps(body)[:SHOWN]


def refuse(status: int, data: bytes) -> RequestError:
    """Return the error for an answer with a status that is not 2xx."""
    try:
        text = error_text(parse_object(data))
    except ServerError:
        text = data[:SHOWN].decode(errors="replace").strip()
    hint = ""
    if status == UNAUTHORIZED:
        hint = "export VLLM_API_KEY, or set api_key in the configuration"
    said = f": {text}" if text else ""
    return RequestError(f"the server answered {status}{said}", hint, status)


def _choice(body: Body) -> dict[str, Json]:
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(first, dict):
        raise ServerError("the server's answer has no 'choices'")
    return first


def _count(value: Json) -> int:
    return value if isinstance(value, int) else 0
