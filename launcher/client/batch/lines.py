"""Lines of the two files, as `vllm run-batch` reads and writes them (and OpenAI defines). Pure.

A request:  {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {...}}
A result:   {"id": "...", "custom_id": "1", "response": {"status_code": 200, "request_id": "...",
             "body": {...}}, "error": null}
A refusal has its status in `response`, whose body is null, and the server's error in `error`.
Where there was no answer at all, `response` is null.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from launcher.client.errors import ServerError
from launcher.client.messages import parse_object
from launcher.record import record

if TYPE_CHECKING:
    from launcher.client.messages import Body, Json

BEGINNING = b'{"id":"'  # of each result that we write
KEYS = ("custom_id", "method", "url", "body")


class LineError(Exception):
    """A line is not what it should be; the reader of the file adds where it is."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@record
class BatchRequest:
    """One line of the file of requests."""

    custom_id: str
    url: str
    body: Body


@record
class BatchFailure:
    """Why a request has no answer. `status` is 0 where there was none."""

    status: int
    error: Json


def parse_request(line: bytes) -> BatchRequest:
    """Read a line of requests.

    Raises:
        LineError: it is none.
    """
    value = _parse_object(line)
    missing = [key for key in KEYS if key not in value]
    if missing:
        raise LineError(f"'{missing[0]}' is missing", f"a request has {', '.join(KEYS)}")
    custom_id, url, body = value["custom_id"], value["url"], value["body"]
    if not isinstance(custom_id, str) or not custom_id:
        raise LineError("'custom_id' has to be a string that is not empty")
    if value["method"] != "POST":
        raise LineError(f"'method' has to be \"POST\", got {json.dumps(value['method'])}")
    if not isinstance(url, str) or not url.startswith("/") or url.startswith("//"):
        hint = "write the path only, like /v1/chat/completions"
        raise LineError(f"'url' has to be a path, got {json.dumps(url)}", hint)
    if not isinstance(body, dict):
        raise LineError("'body' has to be an object")
    if body.get("stream"):
        raise LineError("a request of a batch cannot be streamed", "remove 'stream' from its body")
    return BatchRequest(custom_id=custom_id, url=url, body=body)


def read_result(line: bytes) -> tuple[str, bool]:
    """Return the custom_id of a result, and whether it is an answer (and no failure).

    Raises:
        LineError: it is no result.
    """
    value = _parse_object(line)
    custom_id = value.get("custom_id")
    if not isinstance(custom_id, str) or "response" not in value or "error" not in value:
        raise LineError("this is not a result of a batch", "name another file for the results")
    return custom_id, value["error"] is None


def render_answer(custom_id: str, request_id: str, status: int, data: bytes) -> bytes:
    """Return the line for an answer. `data` is its body: a JSON object in UTF-8, passed as it is.

    Raises:
        ServerError: `data` is none.
    """
    body = parse_object(data)
    if b"\n" in data:  # between tokens only: within a string it would not be JSON
        data = _compact(body)
    head = f'"response":{{"status_code":{status},"request_id":"{request_id}","body":'
    return _beginning(custom_id, request_id) + head.encode() + data + b'},"error":null}\n'


def render_failure(custom_id: str, request_id: str, failure: BatchFailure) -> bytes:
    """Return the line for a request without an answer."""
    response: Json = None
    if failure.status:
        response = {"status_code": failure.status, "request_id": request_id, "body": None}
    rest = _compact({"response": response, "error": failure.error})
    return _beginning(custom_id, request_id) + rest[1:] + b"\n"


def refusal(status: int, data: bytes) -> BatchFailure:
    """Return the failure that a server's refusal is: its own words, where they are JSON."""
    try:
        error: Json = parse_object(data)
    except ServerError:
        text = data.decode(errors="replace").strip()
        error = _error("ServerError", text[:2000] or f"status {status}", status)
    return BatchFailure(status=status, error=error)


def no_answer(message: str) -> BatchFailure:
    """Return the failure of a request that got no answer."""
    return BatchFailure(status=0, error=_error("NoAnswer", message, None))


def _error(kind: str, message: str, code: int | None) -> Json:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _beginning(custom_id: str, request_id: str) -> bytes:
    name = request_id.removeprefix("vllmd-batch-")
    return b'%bvllmd-%b","custom_id":%b,' % (
        BEGINNING, name.encode(), json.dumps(custom_id).encode()
    )  # fmt: skip


def _compact(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _parse_object(line: bytes) -> Body:
    try:
        value = json.loads(line.decode())
    except UnicodeDecodeError:
        raise LineError("this is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise LineError(f"this is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise LineError("expected an object", 'write {"custom_id": ..., "method": "POST", ...}')
    return value
