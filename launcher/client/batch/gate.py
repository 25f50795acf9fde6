"""The gate before a server: closed while it is down, restarts, or asks for patience."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from launcher.client.connection import moment
from launcher.client.errors import DeadlineError, ServerError
from launcher.client.timeouts import render_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.client.connection import Connection

HEALTH = "/health"
ANSWER_S = 5.0
SOONEST_S = 0.1
LATEST_S = 2.0
BROKEN = 500  # and above; 404 is a server without such an address


class Gate:
    """Everybody enters here before a request; one of them asks whether the server is healthy.

    `wait_s` is for how long without a break the server may refuse. `say` tells the user.
    """

    def __init__(self, connection: Connection, wait_s: float, say: Callable[[str], None]) -> None:
        self._connection = connection
        self._wait_s = wait_s
        self._say = say
        self._opened = asyncio.Event()
        self._opened.set()
        self._refused_since: float | None = None

    async def enter(self) -> None:
        """Wait until the gate is open."""
        await self._opened.wait()

    def passed(self) -> None:
        """Note that the server has taken a request."""
        self._refused_since = None

    async def check(self) -> None:
        """Close the gate until the server is healthy.

        Raises:
            ServerError: it has not been for `wait_s` seconds.
        """
        if not self._opened.is_set():
            await self.enter()
            return
        self._opened.clear()
        try:
            await self._wait_healthy()
        finally:
            self._opened.set()

    async def hold(self, seconds: float) -> None:
        """Close the gate for some time, as the server has asked.

        Raises:
            ServerError: it has taken nothing for `wait_s` seconds.
        """
        self._refuse("takes no request")
        if not self._opened.is_set():
            await self.enter()
            return
        self._opened.clear()
        try:
            await asyncio.sleep(seconds)
        finally:
            self._opened.set()

    async def _wait_healthy(self) -> None:
        pause = SOONEST_S
        down = False
        while True:
            fault = await self._find_fault()
            if not fault:
                break
            if not down:
                limit = render_duration(self._wait_s * 1000)
                self._say(f"{fault}; waiting for it, at most {limit}")
            down = True
            self._refuse("is not healthy")
            await asyncio.sleep(pause)
            pause = min(2 * pause, LATEST_S)
        self._refused_since = None
        if down:
            self._say(f"{self._connection.target.shown()} is healthy")

    async def _find_fault(self) -> str:
        try:
            reply = await self._connection.get(HEALTH, moment(ANSWER_S))
        except (ServerError, DeadlineError) as error:
            return error.message
        shown = self._connection.target.shown()
        return f"{shown} answered {reply.status} to {HEALTH}" if reply.status >= BROKEN else ""

    def _refuse(self, what: str) -> None:
        now = asyncio.get_running_loop().time()
        if self._refused_since is None:
            self._refused_since = now
        if now - self._refused_since > self._wait_s:
            limit = render_duration(self._wait_s * 1000)
            message = f"{self._connection.target.shown()} {what} for {limit}"
            raise ServerError(message, "start the batch again when it does: it goes on from here")
