"""The client's side of the control socket: find the launcher, ask it, understand its answer."""

from __future__ import annotations

import json
import os
import socket
import time

from launcher.config.suggest import render_hint
from launcher.errors import HostError, StartError, UsageError
from launcher.process.rendezvous import NAME, is_alive, list_folders

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    import http.client
    from collections.abc import Mapping
    from typing import Any, TypeAlias

    Answer: TypeAlias = dict[str, Any]

SOCKET_VARIABLE = "VLLMD_SOCKET"
ANSWER_S = 10.0
COMMAND_S = 60.0  # a launcher that reads a large configuration again takes a moment
OK, UNKNOWN, UNUSABLE = 200, 404, 422
MOST_AT_ONCE = 64 * 1024  # bytes
POLL_S = 0.2


class Remote:
    """A running launcher."""

    def __init__(self, path: str) -> None:
        self.path = path

    def get(self, page: str) -> Answer:
        """Ask for a page.

        Raises:
            LauncherError: there is no answer, or a refusal.
        """
        return self._ask("GET", page)

    def post(self, page: str, *, refusable: bool = False) -> Answer:
        """Give a command. With `refusable`, settings that are refused are an answer as well.

        Raises:
            LauncherError: there is no answer, or a refusal.
        """
        return self._ask("POST", page, refusable=refusable)

    def stream(self, page: str) -> http.client.HTTPResponse:
        """Ask for a page that may go on for ever.

        Raises:
            LauncherError: there is no answer, or a refusal.
        """
        from launcher.cli.stream import open_stream  # noqa: PLC0415  (for logs alone, and slow to import)

        try:
            response = open_stream(self.path, page)
        except OSError as error:
            raise _gone(self.path, error) from None
        if response.status != OK:
            _raise_refusal(response.status, _decode(response.read()))
        return response

    def instance(self, name: str) -> Answer | None:
        """Return the state of one instance; None if there is none of that name.

        Raises:
            LauncherError: there is no answer.
        """
        instances = self.get("/status")["instances"]
        return next((each for each in instances if each["name"] == name), None)

    def require_instance(self, name: str) -> Answer:
        """Return the state of one instance.

        Raises:
            UsageError: there is none of that name.
            LauncherError: there is no answer.
        """
        instances: dict[str, Answer] = {
            each["name"]: each for each in self.get("/status")["instances"]
        }
        if name not in instances:
            raise UsageError(f"there is no instance '{name}'", render_hint(name, instances))
        return instances[name]

    def require_word(self, name: str) -> str:
        """Return a name that can stand in a page's path.

        Raises:
            UsageError: it cannot, so that no instance has it.
            LauncherError: there is no answer.
        """
        if not name or not all(c.isascii() and (c.isalnum() or c in "._-") for c in name):
            self.require_instance(name)
        return name

    def _ask(self, method: str, page: str, *, refusable: bool = False) -> Answer:
        try:
            status, body = _exchange(
                self.path, method, page, ANSWER_S if method == "GET" else COMMAND_S
            )
        except OSError as error:
            raise _gone(self.path, error) from None
        answer = _decode(body)
        if status != OK and not (refusable and status == UNUSABLE):
            _raise_refusal(status, answer)
        return answer


def _exchange(path: str, method: str, page: str, timeout_s: float) -> tuple[int, bytes]:
    """Send a request to a UNIX socket; return the status and the body of the answer.

    `http.client` takes twice as long to import as an interpreter to start, and a HEALTHCHECK asks
    again and again.

    Raises:
        OSError: nobody listens, or what comes is no answer of ours.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout_s)
        connection.connect(path)
        head = f"{method} {page} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        connection.sendall(head.encode())
        data = b"".join(iter(lambda: connection.recv(MOST_AT_ONCE), b""))
    head_bytes, found, body = data.partition(b"\r\n\r\n")
    words = head_bytes.split(None, 2)
    if not found or len(words) < 2 or not words[1].isdigit():  # noqa: PLR2004
        raise OSError("it closed the connection without an answer")
    return int(words[1]), body


def find_remote(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Remote:
    """Return the launcher that `--socket` or VLLMD_SOCKET names, else the one that runs.

    Raises:
        HostError: none runs.
        UsageError: several run.
    """
    named = arguments.socket or environ.get(SOCKET_VARIABLE, "")
    if named:
        if not is_alive(named):
            raise HostError(f"no launcher listens on '{named}'", "start one with 'vllmd run'")
        return Remote(named)
    found = find_sockets(environ)
    if not found:
        hint = "start one with 'vllmd run'; name its socket with --socket if it has another"
        raise HostError("no launcher is running", hint)
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} launchers are running", f"choose one: --socket {' or '.join(found)}"
        )
    return Remote(found[0])


def find_sockets(environ: Mapping[str, str]) -> list[str]:
    """Return the sockets of the launchers that run, of our user or of a container's PID 1.

    Those in the best folder that has any: one's own come before the machine's.
    """
    uids = dict.fromkeys((os.geteuid(), os.stat("/proc/1").st_uid))
    for folder in dict.fromkeys(each for uid in uids for each in list_folders(environ, uid)):
        found = [path for path in _sockets_in(folder) if is_alive(path)]
        if found:
            return found
    return []


def _sockets_in(folder: str) -> list[str]:
    try:
        names = os.listdir(folder)
        owner = os.lstat(folder).st_uid
    except OSError:
        return []
    if owner not in {0, os.geteuid(), os.stat("/proc/1").st_uid}:
        return []  # somebody set a trap
    names = [name for name in names if name.startswith("vllmd") and name.endswith(".sock")]
    return [f"{folder}/{name}" for name in sorted(names, key=lambda name: (name != NAME, name))]


def wait_until_settled(remote: Remote, name: str) -> Answer | None:
    """Wait until an instance is ready or has failed for good; return how it is then.

    Raises:
        LauncherError: the launcher has gone.
    """
    while True:
        found = remote.instance(name)
        if found is None or found["state"] in {"ready", "failed", "stopped"}:
            return found
        time.sleep(POLL_S)


def _decode(data: bytes) -> Answer:
    try:
        answer = json.loads(data)
    except ValueError:
        answer = None
    return answer if isinstance(answer, dict) else {"error": "an answer that is not ours"}


def _gone(path: str, error: Exception) -> HostError:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return HostError(f"the launcher on '{path}' does not answer: {reason.lower()}")


def _raise_refusal(status: int, answer: Answer) -> None:
    message = str(answer.get("error", f"status {status}"))
    if status == UNKNOWN:
        requested = message.partition("'")[2].rpartition("'")[0]
        known = [str(name) for name in answer.get("known", ())]
        raise UsageError(message, render_hint(requested, known) if known else "")
    raise StartError(message)
