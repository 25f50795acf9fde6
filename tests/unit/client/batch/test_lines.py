from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.client.batch.lines import (
    BatchFailure,
    LineError,
    no_answer,
    parse_request,
    read_result,
    refusal,
    render_answer,
    render_failure,
)
from launcher.client.errors import ServerError

REQUEST = {"custom_id": "a", "method": "POST", "url": "/v1/embeddings", "body": {"input": "x"}}


def line(**changes: object) -> bytes:
    return json.dumps({**REQUEST, **changes}).encode()


def test_request_is_read_as_it_is() -> None:
    request = parse_request(line())
    assert (request.custom_id, request.url, request.body) == ("a", "/v1/embeddings", {"input": "x"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "this is not JSON"),
        (b"[]", "expected an object"),
        (b"\xff", "this is not UTF-8"),
        (b"{}", "'custom_id' is missing"),
        (line(custom_id=1), "'custom_id' has to be a string"),
        (line(custom_id=""), "'custom_id' has to be a string"),
        (line(method="GET"), '\'method\' has to be "POST", got "GET"'),
        (line(url="http://other/v1"), "'url' has to be a path"),
        (line(url="//other/v1"), "'url' has to be a path"),
        (line(body=[]), "'body' has to be an object"),
        (line(body={"stream": True}), "cannot be streamed"),
    ],
)
def test_request_that_is_none_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(LineError) as caught:
        parse_request(text)
    assert message in caught.value.message


def test_answer_passes_the_body_as_it_is() -> None:
    body = '{"n": 1.0000000000000000001, "text": "ü\u2028"}'
    rendered = render_answer("a", "vllmd-batch-1", 200, body.encode())
    assert (
        rendered
        == (
            '{"id":"vllmd-1","custom_id":"a","response":{"status_code":200,'
            f'"request_id":"vllmd-batch-1","body":{body}}},"error":null}}\n'
        ).encode()
    )


def test_answer_over_many_lines_becomes_one() -> None:
    rendered = render_answer("a", "vllmd-batch-1", 200, b'{\n "a": "\\n"\n}')
    assert rendered.count(b"\n") == 1
    assert json.loads(rendered)["response"]["body"] == {"a": "\n"}


def test_answer_that_is_no_object_is_refused() -> None:
    with pytest.raises(ServerError):
        render_answer("a", "vllmd-batch-1", 200, b"[1]")


def test_refusal_has_its_status_and_the_servers_error() -> None:
    failure = refusal(400, b'{"error": {"message": "no"}}')
    value = json.loads(render_failure("a", "vllmd-batch-1", failure))
    response = {"status_code": 400, "request_id": "vllmd-batch-1", "body": None}
    assert value["response"] == response
    assert value["error"] == {"error": {"message": "no"}}


def test_refusal_that_is_no_json_is_wrapped() -> None:
    assert refusal(502, b"<html>").error == {
        "error": {"message": "<html>", "type": "ServerError", "param": None, "code": 502}
    }


def test_request_without_answer_has_no_response() -> None:
    value = json.loads(render_failure("a", "vllmd-batch-1", no_answer("it hangs")))
    assert value["response"] is None
    assert value["error"]["error"]["message"] == "it hangs"


@given(st.text(min_size=1))
def test_result_gives_back_the_custom_id(custom_id: str) -> None:
    answer = render_answer(custom_id, "vllmd-batch-1", 200, b"{}")
    failed = render_failure(custom_id, "vllmd-batch-1", BatchFailure(status=0, error="x"))
    assert read_result(answer) == (custom_id, True)
    assert read_result(failed) == (custom_id, False)
    assert answer.count(b"\n") == failed.count(b"\n") == 1


@pytest.mark.parametrize("text", [b"{}", b"x", line()])
def test_line_that_is_no_result_is_refused(text: bytes) -> None:
    with pytest.raises(LineError):
        read_result(text)
