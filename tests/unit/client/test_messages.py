from __future__ import annotations

import json

import pytest

from launcher.client.errors import RequestError, ServerError
from launcher.client.messages import (
    chat_body,
    completion_body,
    parse_object,
    read_answer,
    read_models,
    read_piece,
    refuse,
)

USAGE = {"prompt_tokens": 3, "completion_tokens": 5}


def test_completion_body_holds_prompt_model_and_options() -> None:
    body = completion_body("Hi", "demo", {"max_tokens": 4})
    assert body == {"model": "demo", "prompt": "Hi", "max_tokens": 4}


def test_chat_body_holds_the_messages() -> None:
    body = chat_body([{"role": "user", "content": "Hi"}], "demo", {})
    assert body == {"model": "demo", "messages": [{"role": "user", "content": "Hi"}]}


def test_answer_of_a_completion_and_of_a_chat_read_alike() -> None:
    one = read_answer({"choices": [{"text": "yes", "finish_reason": "stop"}], "usage": {**USAGE}})
    two = read_answer({"choices": [{"message": {"content": "yes"}}]})
    assert (one.text, one.finish_reason, one.usage.completion_tokens) == ("yes", "stop", 5)
    assert (two.text, two.finish_reason, two.usage.completion_tokens) == ("yes", "", 0)


def test_answer_without_text_is_empty() -> None:
    assert read_answer({"choices": [{"message": {"content": None}}]}).text == ""


@pytest.mark.parametrize("choices", [None, [], [1], "x"])
def test_answer_without_choices_is_the_servers_fault(choices: list[int] | str | None) -> None:
    with pytest.raises(ServerError, match="has no 'choices'"):
        read_answer({"choices": choices})  # type: ignore[dict-item]


@pytest.mark.parametrize("data", [b"", b"[1]", b"{", b"\xff", '{"a":1}'.encode("utf-16")])
def test_object_that_is_none_is_the_servers_fault(data: bytes) -> None:
    with pytest.raises(ServerError, match="is not a JSON object"):
        parse_object(data)


def test_piece_of_a_stream_is_its_text() -> None:
    assert read_piece({"choices": [{"delta": {"content": "a"}}]}) == "a"
    assert read_piece({"choices": [{"text": "b"}]}) == "b"
    assert read_piece({"choices": [{"delta": {"role": "assistant"}}]}) == ""
    assert read_piece({"choices": [], "usage": {**USAGE}}) == ""


def test_error_within_a_stream_ends_it() -> None:
    with pytest.raises(RequestError, match="the server gave up: engine dead"):
        read_piece({"error": {"message": "engine dead"}})


def test_models_are_their_names() -> None:
    assert read_models({"data": [{"id": "a"}, {"id": "b"}, {}]}) == ("a", "b")
    with pytest.raises(ServerError):
        read_models({})


@pytest.mark.parametrize(
    ("status", "data", "message"),
    [
        (400, b'{"error": {"message": "too long"}}', "the server answered 400: too long"),
        (400, b'{"error": "too long"}', "the server answered 400: too long"),
        (422, b'{"detail": 1}', 'the server answered 422: {"detail": 1}'),
        (502, b"<html>", "the server answered 502: <html>"),
        (500, b"", "the server answered 500"),
    ],
)
def test_refusal_says_what_the_server_said(status: int, data: bytes, message: str) -> None:
    error = refuse(status, data)
    assert (error.message, error.status) == (message, status)


def test_refusal_for_the_key_says_where_it_comes_from() -> None:
    hint = refuse(401, json.dumps({"error": "Unauthorized"}).encode()).hint
    assert hint == "export VLLM_API_KEY, or set api_key in the configuration"
