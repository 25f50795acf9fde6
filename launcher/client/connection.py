"""Requests to one server, over connections that are kept.

On httpx and not on OpenAI's SDK: a request and its answer pass as the bytes they are, and retries
and deadlines are ours alone; the SDK has its own of both, and models of every field.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from typing import TYPE_CHECKING, TypeAlias

from launcher.client.errors import DeadlineError, ServerError
from launcher.client.events import EventParser
from launcher.client.messages import parse_object, refuse
from launcher.client.timeouts import render_duration
from launcher.errors import HostError
from launcher.record import record

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping
    from typing import TypeVar

    from launcher.client.messages import Body
    from launcher.client.target import Target

    T = TypeVar("T")

try:
    import httpx
except ModuleNotFoundError:
    _MESSAGE = "the Python module 'httpx' is not installed"
    raise HostError(_MESSAGE, "pip install 'vllmd[client]'") from None

CONNECT_S = 10.0
OK = 200
# A moment of the event loop's clock; None: there is no limit.
Moment: TypeAlias = float | None


class UnreachableError(ServerError):
    """No connection: the server has not seen the request."""


class CutError(ServerError):
    """The connection broke before the answer was complete."""


@record
class Reply:
    """What the server answered, whatever its status. Names of headers are lower-case."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class Connection:
    """Connections to one server, at most `limit` at once. Close it at the end.

    httpx looks at every connection of a pool for each request: whoever sends many requests at
    once has many of these with one connection each, and makes the `tls` for all of them.
    """

    def __init__(self, target: Target, tls: ssl.SSLContext | None = None, limit: int = 8) -> None:
        self.target = target
        headers = {"User-Agent": "vllmd"}
        if target.api_key:
            headers["Authorization"] = f"Bearer {target.api_key}"
        limits = httpx.Limits(max_connections=limit, max_keepalive_connections=limit)
        verify = make_tls(target) if tls is None else tls
        self._http = httpx.AsyncClient(
            base_url=target.url,
            headers=headers,
            # Whole calls have deadlines of ours; an answer may take as long as they allow.
            timeout=httpx.Timeout(None, connect=CONNECT_S),
            limits=limits,
            verify=verify,
            transport=_socket_transport(target, limits, verify),
            trust_env=not target.local,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def get(self, path: str, until: Moment) -> Reply:
        """Ask for something.

        Raises:
            ServerError: there is no answer.
            DeadlineError: not in time.
        """
        return await self._reply(self._http.build_request("GET", path), until)

    async def post(
        self, path: str, body: bytes, until: Moment, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send a body of JSON.

        Raises:
            ServerError: there is no answer.
            DeadlineError: not in time.
        """
        return await self._reply(self._request(path, body, headers), until)

    async def stream(
        self, path: str, body: bytes, until: Moment, idle_s: float | None
    ) -> AsyncGenerator[Body, None]:
        """Send a body of JSON; yield the events of the answer as they come.

        Raises:
            RequestError: the server refused.
            ServerError: there is no answer, or it was cut off.
            DeadlineError: not in time, or nothing came for `idle_s` seconds.
        """
        sending = self._http.send(self._request(path, body), stream=True)
        response = await self._within_idle(sending, until, idle_s)
        try:
            if response.status_code != OK:
                data = await self._within_idle(response.aread(), until, idle_s)
                raise refuse(response.status_code, data)
            chunks = response.aiter_bytes()
            parser = EventParser()
            while not parser.done:
                chunk = await self._within_idle(_next(chunks), until, idle_s)
                if chunk is None:
                    raise CutError(f"the answer of {self.target.shown()} was cut off")
                for event in parser.feed(chunk):
                    yield parse_object(event.encode())
        finally:
            await response.aclose()

    def _request(
        self, path: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> httpx.Request:
        merged = {"Content-Type": "application/json", **(headers or {})}
        return self._http.build_request("POST", path, content=body, headers=merged)

    async def _reply(self, request: httpx.Request, until: Moment) -> Reply:
        response = await self._within(self._http.send(request), until)
        return Reply(status=response.status_code, headers=response.headers, data=response.content)

    async def _within_idle(
        self, doing: Coroutine[object, object, T], until: Moment, idle_s: float | None
    ) -> T:
        idle = moment(idle_s)
        if idle is None or idle_s is None or (until is not None and until <= idle):
            return await self._within(doing, until)
        try:
            return await self._within(doing, idle)
        except DeadlineError:
            message = f"{self.target.shown()} said nothing for {render_duration(idle_s * 1000)}"
            raise DeadlineError(message, "allow a longer silence, or a shorter prompt") from None

    async def _within(self, doing: Coroutine[object, object, T], until: Moment) -> T:
        shown = self.target.shown()
        try:
            async with asyncio.timeout_at(until):
                return await doing
        except TimeoutError:
            raise DeadlineError(f"no answer from {shown} in time", "give it more time") from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise UnreachableError(
                f"cannot reach {shown}: {_reason(error)}", "is the server running, and healthy?"
            ) from error
        except httpx.TransportError as error:
            raise CutError(f"the connection to {shown} broke: {_reason(error)}") from error


def encode(body: Body) -> bytes:
    """Return a body as the bytes to send."""
    return json.dumps(body).encode()


def moment(seconds: float | None) -> Moment:
    """Return the moment that many seconds from now. Needs a running event loop."""
    return None if seconds is None else asyncio.get_running_loop().time() + seconds


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    return await anext(chunks, None)


def _reason(error: httpx.TransportError) -> str:
    """Say why, in the words of the system where it has some."""
    here: BaseException | None = error
    while here is not None:
        if isinstance(here, OSError) and here.errno and not isinstance(here, ssl.SSLError):
            return os.strerror(here.errno).lower()
        here = here.__cause__ or here.__context__
    return (str(error) or type(error).__name__).lower()


def make_tls(target: Target) -> ssl.SSLContext:
    """Return how to know that a server is the right one."""
    if target.certificate:
        # It is the server's own certificate, so the name in it proves nothing more.
        context = ssl.create_default_context(cafile=target.certificate)
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context
    if target.local and not target.url.startswith("https:"):
        # It is not used, and reading the certificates of the world takes longer than a request.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx.create_ssl_context()


def _socket_transport(
    target: Target, limits: httpx.Limits, verify: ssl.SSLContext
) -> httpx.AsyncHTTPTransport | None:
    if not target.socket_path:
        return None
    return httpx.AsyncHTTPTransport(uds=target.socket_path, limits=limits, verify=verify)
