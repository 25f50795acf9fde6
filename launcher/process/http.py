"""HTTP/1.1 as far as the control socket needs it: bytes to a request, a response to bytes. Pure.

One request per connection, no request bodies, no escapes in paths: the names of instances have
none. What does not fit is refused with a status code, never with an exception.
"""

from __future__ import annotations

from launcher.record import record

LONGEST = 16_384  # bytes of a request line with its headers
REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Content Too Large",
    422: "Unprocessable Content",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}
JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


@record
class Request:
    """A request for one of our pages."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    host: str = ""  # of the header `Host`, without the port

    def option(self, name: str) -> str | None:
        """Return a word of the query, empty where it has no value; None if it is not there."""
        return next((value for key, value in self.query if key == name), None)


@record
class Refusal:
    """Bytes that are no request of ours, and what to answer."""

    status: int
    reason: str


@record
class Response:
    """What to answer."""

    status: int
    body: str
    content_type: str = JSON
    allow: str = ""  # the method to use instead, where the status is 405


def parse_request(data: bytes) -> Request | Refusal | None:
    """Parse what a client has sent so far; None: the rest is still to come."""
    head, end, _ = data.partition(b"\r\n\r\n")
    if len(head) > LONGEST:
        return Refusal(status=431, reason=f"the request is longer than {LONGEST} bytes")
    first, found, rest = head.partition(b"\r\n")
    if not (end or found):
        return None
    words = first.decode("latin-1").split(" ")
    if len(words) != 3 or not words[1].startswith("/") or not words[2].startswith("HTTP/1."):  # noqa: PLR2004
        return Refusal(status=400, reason="this is no HTTP/1.1 request")
    if not end:
        return None
    headers = _parse_headers(rest.decode("latin-1"))
    if headers.get("content-length", "0").strip("0") or "transfer-encoding" in headers:
        return Refusal(status=413, reason="a request has no body here")
    path, _, query = words[1].partition("?")
    return Request(
        method=words[0], path=path, query=_parse_query(query), host=_host(headers.get("host", ""))
    )


def _parse_headers(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.split("\r\n"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _parse_query(text: str) -> tuple[tuple[str, str], ...]:
    pairs = (word.partition("=") for word in text.split("&") if word)
    return tuple((name, value) for name, _, value in pairs)


def _host(value: str) -> str:
    if value.startswith("["):
        return value[1:].partition("]")[0]
    return value.partition(":")[0]


def render_response(response: Response, *, head_only: bool = False) -> bytes:
    """Render a whole response, after which the connection is closed."""
    body = response.body.encode("utf-8", "replace")
    head = render_head(response.status, response.content_type, length=len(body))
    if response.allow:
        head = head[:-2] + f"Allow: {response.allow}\r\n\r\n".encode()
    return head if head_only else head + body


def render_head(status: int, content_type: str, *, length: int | None = None) -> bytes:
    """Render the headers; without a length the body ends where the connection does."""
    lines = [
        f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}",
        f"Content-Type: {content_type}",
        "Connection: close",
        "Cache-Control: no-store",
    ]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join((*lines, "", "")).encode()
