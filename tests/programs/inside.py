"""ASGI middleware that tells, at `/inside`, what a server process is like within."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]

SIGNALS = (signal.SIGPIPE, signal.SIGCHLD, signal.SIGHUP, signal.SIGUSR1, signal.SIGXFSZ)


class Inside:
    """Answers `/inside` itself and passes everything else on."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope.get("path") != "/inside":
            await self._app(scope, receive, send)
            return
        body = json.dumps(describe()).encode()
        kind = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": kind})
        await send({"type": "http.response.body", "body": body})


def describe() -> dict[str, object]:
    """Return what can be compared between two servers."""
    mask = os.umask(0)
    os.umask(mask)
    main = sys.modules["__main__"]
    modules: Any = sys.modules
    return {
        "env": dict(os.environ),
        "cwd": os.getcwd(),
        "umask": mask,
        "main": [main.__spec__ and main.__spec__.name, main.__file__, main.__package__],
        "argv": sys.argv,
        "path": sys.path,
        "signals": [str(signal.getsignal(each)) for each in SIGNALS],
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "torch": modules["torch"].initial_seed(),
        "threads": modules["torch"].get_num_threads(),
        "cuda": modules["torch"].cuda.is_initialized(),
        "random": random.random(),  # noqa: S311  (it is compared)
        "numpy": float(modules["numpy"].random.random()),
        "authkey": multiprocessing.current_process().authkey.hex(),
        "stdin": os.readlink("/proc/self/fd/0"),
        "session": os.getsid(0) == os.getpid(),
    }
