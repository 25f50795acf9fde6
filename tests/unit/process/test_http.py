"""Requests as bytes, responses as bytes."""

from __future__ import annotations

import pytest

from launcher.process.http import (
    LONGEST,
    Refusal,
    Request,
    Response,
    parse_request,
    render_response,
)


def test_request_with_query_and_host_is_taken_apart() -> None:
    data = b"GET /logs/a?lines=5&follow HTTP/1.1\r\nHost: gpu1:9180\r\n\r\n"
    wanted = Request(
        method="GET", path="/logs/a", query=(("lines", "5"), ("follow", "")), host="gpu1"
    )
    assert parse_request(data) == wanted


def test_option_without_value_is_empty_and_a_missing_one_is_none() -> None:
    request = Request(method="GET", path="/", query=(("follow", ""),))
    assert (request.option("follow"), request.option("lines")) == ("", None)


def test_host_of_ipv6_loses_its_brackets() -> None:
    request = parse_request(b"GET / HTTP/1.1\r\nHost: [::1]:9180\r\n\r\n")
    assert isinstance(request, Request)
    assert request.host == "::1"


@pytest.mark.parametrize("data", [b"", b"GET", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a"])
def test_unfinished_request_is_none(data: bytes) -> None:
    assert parse_request(data) is None


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"hello\r\n", 400),
        (b"\x00\xff\r\n\r\n", 400),
        (b"GET http://a/ HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/2\r\n\r\n", 400),
        (b"POST /reload HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 413),
        (b"POST /reload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 413),
        (b"x" * (LONGEST + 1), 431),
    ],
)
def test_what_is_no_request_is_refused(data: bytes, status: int) -> None:
    found = parse_request(data)
    assert isinstance(found, Refusal)
    assert found.status == status


def test_empty_body_is_allowed() -> None:
    found = parse_request(b"POST /reload HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
    assert isinstance(found, Request)


def test_response_has_its_length_in_bytes() -> None:
    rendered = render_response(Response(status=200, body="ä\n", content_type="text/plain"))
    assert rendered == (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n"
        b"Cache-Control: no-store\r\nContent-Length: 3\r\n\r\n\xc3\xa4\n"
    )


def test_response_to_head_has_no_body() -> None:
    rendered = render_response(Response(status=200, body="x"), head_only=True)
    assert rendered.endswith(b"Content-Length: 1\r\n\r\n")


def test_refused_method_names_the_one_to_use() -> None:
    rendered = render_response(Response(status=405, body="", allow="POST"))
    assert b"405 Method Not Allowed\r\n" in rendered
    assert rendered.endswith(b"\r\nAllow: POST\r\n\r\n")
