"""A stub in place of vLLM's API server: no model, real process, real socket, chosen misbehaviour.

Run as `python -m tests.programs.stub_server`. It takes vLLM's flags that matter to
a launcher (`--host --port --uds --served-model-name --model --ssl-keyfile --ssl-certfile`), answers
`/health`, `/v1/models` and `/v1/completions`, and ends with code 0 on SIGTERM, as vLLM does; it
says when SIGUSR1 arrives. Every other flag is ignored, except these, each of which makes it
misbehave in one way:

    --stub-slow S              healthy only after S seconds; until then connections are refused
    --stub-gate FILE           ... only once FILE is there
    --headless                 serves no HTTP, as vLLM's workers on other machines do
    --stub-hang                never listens, lives on
    --stub-bind-only           binds its port, never listens: the SO_REUSEADDR trap
    --stub-mute                accepts connections, never answers
    --stub-status N            answers every request with status N
    --stub-ignore-term         does not heed SIGTERM
    --stub-lose-term           does not heed the first SIGTERM
    --stub-die CODE            ends at once with CODE
    --stub-die-after S         ends S seconds after it listens, with the code of --stub-code
    --stub-sick-while FILE     answers every request with status 500 while FILE is there
    --stub-code CODE           that code (default 0)
    --stub-signal N            kills itself with signal N instead of ending with a code
    --stub-say TEXT            writes a line first; may be repeated
    --stub-partial TEXT        writes TEXT without a line end, last thing before it ends
    --stub-lines N             writes N numbered lines of --stub-width bytes as fast as it can
    --stub-child               leaves a child in its process group that ignores SIGTERM
    --stub-daemon              leaves a grandchild in a session of its own that ignores SIGTERM
    --stub-flood               leaves a child in its group that writes to the log without end
    --stub-chatty S            from when it listens on, writes a line every S seconds
    --stub-sleeps              has the pages /sleep and /wake_up
    --stub-says FILE           answers completions with the text in FILE
    --stub-report FILE         writes what it was given (argv, environment, ...) as JSON to FILE
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time

from tests.programs.self_report import write_report

DEFAULT_WIDTH = 100
GATE_S = 0.02


class Flags:
    """The words of the command line: `--key value`, `--key=value`, or a bare `--key`."""

    def __init__(self, words: list[str]) -> None:
        self._values: dict[str, list[str]] = {}
        key = ""
        for word in words:
            if word.startswith("--"):
                key, _, value = word.partition("=")
                self._values.setdefault(key, []).extend([value] if value else [])
            else:
                self._values.setdefault(key, []).append(word)

    def has(self, key: str) -> bool:
        return key in self._values

    def all(self, key: str) -> list[str]:
        return self._values.get(key, [])

    def text(self, key: str, default: str = "") -> str:
        return (self.all(key) or [default])[-1]

    def number(self, key: str, default: float = 0) -> float:
        return float(self.text(key, str(default)))


def main(flags: Flags) -> None:
    """Misbehave as told, else serve."""
    prepare(flags)
    if flags.has("--stub-die"):
        leave(flags, int(flags.number("--stub-die")))
    if flags.has("--headless") or flags.has("--stub-hang"):
        wait_for_ever()
    time.sleep(flags.number("--stub-slow"))
    while flags.has("--stub-gate") and not os.path.exists(flags.text("--stub-gate")):
        time.sleep(GATE_S)
    server = bind(flags)
    if flags.has("--stub-bind-only"):
        print("bound", flush=True)
        wait_for_ever()
    server.listen(16)
    print("listening", flush=True)
    if flags.has("--stub-die-after"):
        signal.signal(signal.SIGALRM, lambda *_: leave(flags, int(flags.number("--stub-code"))))
        signal.setitimer(signal.ITIMER_REAL, flags.number("--stub-die-after"))
    if flags.has("--stub-chatty"):
        signal.signal(signal.SIGALRM, lambda *_: print("chat", flush=True))
        pause = flags.number("--stub-chatty")
        signal.setitimer(signal.ITIMER_REAL, pause, pause)
    serve(server, flags)


def prepare(flags: Flags) -> None:
    """Do what comes before the socket: signals, descendants, words."""
    ignore = flags.has("--stub-ignore-term")
    signal.signal(signal.SIGTERM, signal.SIG_IGN if ignore else lambda *_: leave(flags, 0))
    if flags.has("--stub-lose-term"):
        heed = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, heed))
    signal.signal(signal.SIGUSR1, lambda *_: print("got SIGUSR1", flush=True))
    if flags.has("--stub-report"):
        write_report(flags.text("--stub-report"))
    for key, loop in (("--stub-child", wait_for_ever), ("--stub-flood", flood)):
        if flags.has(key) and os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            loop()
    if flags.has("--stub-daemon"):
        leave_daemon()
    for line in flags.all("--stub-say"):
        print(line, flush=True)
    write_lines(int(flags.number("--stub-lines")), int(flags.number("--stub-width", DEFAULT_WIDTH)))


def leave_daemon() -> None:
    """Fork twice, so that the grandchild is in a session of its own and has lost its parent."""
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        wait_for_ever()
    os.waitpid(child, 0)


def leave(flags: Flags, code: int) -> None:
    """End: by a signal if told so, else with a code; a partial line first if told so."""
    if flags.has("--stub-partial"):
        os.write(1, flags.text("--stub-partial").encode())
    if flags.has("--stub-signal"):
        os.kill(os.getpid(), int(flags.number("--stub-signal")))
    os._exit(code)


def wait_for_ever() -> None:
    """Do nothing until a signal ends us."""
    while True:
        signal.pause()


def flood() -> None:
    """Write without end."""
    while True:
        os.write(1, b"flood\n" * 10_000)


def write_lines(count: int, width: int) -> None:
    """Write numbered lines as fast as the pipe takes them, in pieces that cut lines in two."""
    filler = "x" * max(0, width - 10)
    data = "".join(f"{number:08d} {filler}\n" for number in range(count)).encode()
    view = memoryview(data)
    while view:
        view = view[os.write(1, view[:50_001]) :]


def bind(flags: Flags) -> socket.socket:
    """Bind as vLLM does: a UNIX socket if one is named, else TCP with SO_REUSEADDR."""
    if flags.has("--uds"):
        server = socket.socket(socket.AF_UNIX)
        server.bind(flags.text("--uds"))
        return server
    host = flags.text("--host", "127.0.0.1")
    server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((host, int(flags.number("--port", 8000))))
    return server


def serve(server: socket.socket, flags: Flags) -> None:
    """Answer one connection after another."""
    if flags.has("--ssl-keyfile"):
        import ssl  # noqa: PLC0415  (slow, and rarely spoken)

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(flags.text("--ssl-certfile"), flags.text("--ssl-keyfile"))
        server = context.wrap_socket(server, server_side=True)
    kept = []
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            continue  # a client that gave up during the handshake
        if flags.has("--stub-mute"):
            kept.append(connection)
            continue
        with connection:
            request = connection.recv(65536).decode("latin-1")
            sick = os.path.exists(flags.text("--stub-sick-while"))
            connection.sendall(b"HTTP/1.1 500 Stub\r\n\r\n" if sick else answer(request, flags))


def token(flags: Flags) -> str:
    """Return what is in the file named, so that a test can change it, else a word."""
    if not flags.has("--stub-says"):
        return "stub"
    with open(flags.text("--stub-says"), encoding="utf-8") as file:
        return file.read()


def answer(request: str, flags: Flags) -> bytes:
    """Return the response to a request."""
    path = (request.split(None, 2) or ["", ""])[1]
    names = flags.all("--served-model-name") or [flags.text("--model", "stub")]
    body: dict[str, object] | None = None
    if path == "/v1/models":
        body = {"object": "list", "data": [{"id": name, "object": "model"} for name in names]}
    elif flags.has("--stub-sleeps") and path.partition("?")[0] in {"/sleep", "/wake_up"}:
        print(f"asked for {path}", flush=True)
        body = {}
    elif path == "/v1/completions":
        body = {"object": "text_completion", "choices": [{"index": 0, "text": token(flags)}]}
    status = int(
        flags.number("--stub-status", 200 if body is not None or path == "/health" else 404)
    )
    data = b"" if body is None else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} Stub\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    return head.encode() + data


if __name__ == "__main__":
    main(Flags(sys.argv[1:]))
