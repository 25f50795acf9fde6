"""A stub of OpenAI's API on many connections at once, for those who talk to servers.

Run as `python -m tests.programs.stub_api --port P`. It answers `/health`, `/v1/models`,
`/v1/completions` and `/v1/chat/completions` (streamed too): the answer repeats the prompt. Each
answer to a POST is also a line in `--log FILE`: the prompt. It listens on a UNIX socket with
`--uds PATH`, and speaks TLS with `--certificate FILE --private-key FILE`. Misbehaviour:

    --key KEY            401 without this key
    --delay S            each answer takes that long; of a stream, each piece
    --limit N            429 with `Retry-After: 1` for whatever is more than N at once
    --die-after N        ends without a word after N answers, with all that is under way
    --once FILE          the next ones happen only while FILE is missing, and make it
    --fail-first N       the first N POSTs are answered by 500
    --busy-first N       ... by 429 with `Retry-After: 0.2`

What a prompt says happens to its request: `hang`, `cut` (half an answer), `drop` (none), `garbage`
(no JSON), `list` (JSON, no object), `pretty` (over many lines), `bad` (400), `broken` (500),
`silence` (a stream that stops in the middle), `give-up` (an error within a stream), `crash` (the
server ends).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import ssl
from typing import Any

JSON = "Content-Type: application/json"
REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 429: "Too Many Requests"}


class Stub:
    """The state of the server."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.posts = 0
        self.answers = 0
        self.active = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while await self._exchange(reader, writer):
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in head)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        if path == "/health":
            send(writer, 200, b"")
            return True
        wanted = self.arguments.key
        if wanted and headers.get("authorization") != f"Bearer {wanted}":
            send(writer, 401, error("Unauthorized"))
            return True
        if method == "GET":
            send(writer, 200, b'{"object": "list", "data": [{"id": "stub", "object": "model"}]}')
            return True
        self.active += 1
        try:
            return await self._post(path, json.loads(body), writer)
        finally:
            self.active -= 1

    async def _post(self, path: str, body: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        prompt = prompt_of(body)
        if self._is_refused(writer):
            return True
        if prompt.startswith("crash"):
            os._exit(1)
        if body.get("stream"):
            return await self._stream(path, prompt, writer)
        if prompt.startswith("hang"):
            await asyncio.sleep(1000)
        await asyncio.sleep(self.arguments.delay)
        return self._answer(path, prompt, body, writer)

    def _is_refused(self, writer: asyncio.StreamWriter) -> bool:
        self.posts += 1
        if self.posts <= self.arguments.fail_first:
            send(writer, 500, error("stumbled"))
        elif self.posts <= self.arguments.busy_first:
            send(writer, 429, error("busy"), "Retry-After: 0.2")
        elif self.arguments.limit and self.active > self.arguments.limit:
            send(writer, 429, error("too many"), "Retry-After: 1")
        else:
            return False
        return True

    def _answer(
        self, path: str, prompt: str, body: dict[str, Any], writer: asyncio.StreamWriter
    ) -> bool:
        data = json.dumps(answer(path, prompt, body.get("model")), ensure_ascii=False).encode()
        if prompt.startswith("cut"):
            writer.write(response(200, data)[:-20])
            return False
        if prompt.startswith("drop"):
            return False
        replies = {
            "garbage": (200, b"<html>oops"),
            "list": (200, b"[1]"),
            "pretty": (200, json.dumps(json.loads(data), indent=2).encode()),
            "bad": (400, error("this is a bad prompt")),
            "broken": (500, error("it is always broken")),
        }
        status, data = replies.get(prompt.split(maxsplit=1)[0] if prompt else "", (200, data))
        send(writer, status, data)
        self._note(prompt)
        return True

    def _note(self, prompt: str) -> None:
        self.answers += 1
        if self.arguments.log:
            with open(self.arguments.log, "a") as file:
                file.write(f"{prompt}\n")
        if self.answers == self.arguments.die_after and not os.path.exists(self.arguments.once):
            if self.arguments.once:
                open(self.arguments.once, "x").close()
            os._exit(0)

    async def _stream(self, path: str, prompt: str, writer: asyncio.StreamWriter) -> bool:
        if prompt.startswith("bad"):
            send(writer, 400, error("this is a bad prompt"))
            return True
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        pieces = [*prompt]
        for number, piece in enumerate(pieces):
            await asyncio.sleep(self.arguments.delay)
            if number == 2 and prompt.startswith("silence"):
                await asyncio.sleep(1000)
            if number == 2 and prompt.startswith("give-up"):
                event(writer, json.loads(error("the engine is dead")))
            if number == 2 and prompt.startswith("cut"):
                return False
            event(writer, piece_of(path, piece))
            await writer.drain()
        event(writer, {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})
        writer.write(b"data: [DONE]\n\n")
        self._note(prompt)
        return False


def prompt_of(body: dict[str, Any]) -> str:
    """Return the prompt, or the last message."""
    prompt: str = body["prompt"] if "prompt" in body else body["messages"][-1]["content"]
    return prompt


def answer(path: str, prompt: str, model: object) -> dict[str, Any]:
    """Return the body of an answer: what the prompt said, and a separator that JSON may hold."""
    text = f"{prompt}\u2028"
    inner = (
        {"message": {"role": "assistant", "content": text}} if "chat" in path else {"text": text}
    )
    return {
        "id": "stub-1",
        "model": model,
        "choices": [{"index": 0, "finish_reason": "stop", **inner}],
        "usage": {"prompt_tokens": len(prompt), "completion_tokens": 1},
    }


def piece_of(path: str, piece: str) -> dict[str, Any]:
    """Return one event of a stream."""
    inner: dict[str, Any] = {"delta": {"content": piece}} if "chat" in path else {"text": piece}
    return {"choices": [{"index": 0, **inner}]}


def error(message: str) -> bytes:
    """Return an error as vLLM says it."""
    return json.dumps({"error": {"message": message, "type": "Stub", "code": 0}}).encode()


def event(writer: asyncio.StreamWriter, value: dict[str, Any]) -> None:
    """Send one event."""
    writer.write(b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n")


def send(writer: asyncio.StreamWriter, status: int, data: bytes, *headers: str) -> None:
    """Send a whole response."""
    writer.write(response(status, data, *headers))


def response(status: int, data: bytes, *headers: str) -> bytes:
    """Return a whole response."""
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Stub')}", JSON, *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(data)}", "", ""]).encode() + data


async def main(arguments: argparse.Namespace) -> None:
    """Serve until somebody ends us."""
    stub = Stub(arguments)
    tls = None
    if arguments.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(arguments.certificate, arguments.private_key)
    server: asyncio.Server
    if arguments.uds:
        server = await asyncio.start_unix_server(stub.serve, arguments.uds)
    else:
        server = await asyncio.start_server(
            stub.serve, "127.0.0.1", arguments.port, backlog=1024, ssl=tls
        )
    print("listening", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    for name in ("--key", "--log", "--once", "--uds", "--certificate", "--private-key"):
        parser.add_argument(name, default="")
    parser.add_argument("--delay", type=float, default=0)
    for name in ("--limit", "--die-after", "--fail-first", "--busy-first"):
        parser.add_argument(name, type=int, default=0)
    asyncio.run(main(parser.parse_args()))
