"""Ask servers whether they are healthy, without waiting for any of them.

One request at a time per server: connect, send `GET /health`, read the status line. Everything is
non-blocking and driven by the supervisor's poll.
"""

from __future__ import annotations

import errno
import select
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl

    from launcher.process.spec import Probe

SOONEST_S = 0.2  # between two requests while a server starts
LATEST_S = 1.0
ANSWER_S = 5.0  # a request that takes longer is given up
IN_PROGRESS = (errno.EINPROGRESS, errno.EAGAIN)


class HealthCheck:
    """The health of one starting server.

    `descriptor` is what to poll for `events` (None: nothing now); `due` is when to call `tend`
    in any case, in seconds of the monotonic clock.
    """

    def __init__(self, probe: Probe, now: float) -> None:
        self.probe = probe
        self.healthy = False
        self.descriptor: int | None = None
        self.events = 0
        self.due = now + SOONEST_S
        self._began = now
        self._socket: socket.socket | ssl.SSLSocket | None = None
        self._sent = False
        self._answer = b""

    def tend(self, now: float) -> None:
        """Do what can be done now: connect, send, read, or give up and try again later."""
        try:
            if self._socket is None:
                self._connect(now)
            elif now >= self.due:
                self._retry(now)
            else:
                self._converse(now)
        except OSError as error:
            if not self._is_waiting(error):
                self._retry(now)

    def hurry(self, now: float) -> None:
        """Ask soon: the server has just said something."""
        if self._socket is None:
            self.due = min(self.due, now + SOONEST_S / 4)

    def close(self) -> None:
        """Give up a request under way."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self.descriptor = None

    def _connect(self, now: float) -> None:
        self._sent, self._answer = False, b""
        if self.probe.socket_path:
            plain = socket.socket(socket.AF_UNIX)
            address: str | tuple[str, int] = self.probe.socket_path
        else:
            family = socket.AF_INET6 if ":" in self.probe.host else socket.AF_INET
            plain = socket.socket(family)
            address = (self.probe.host, self.probe.port)
        plain.setblocking(False)  # noqa: FBT003
        self._socket = plain
        self.descriptor, self.events = plain.fileno(), select.POLLOUT
        self.due = now + ANSWER_S
        code = plain.connect_ex(address)
        if code not in {0, *IN_PROGRESS}:
            self._retry(now)

    def _converse(self, now: float) -> None:
        assert self._socket is not None  # noqa: S101  (for the type checker)
        if not self._sent:
            code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self._retry(now)
                return
            if self.probe.tls:
                self._shake_hands()
            self._socket.send(self._request())
            self._sent, self.events = True, select.POLLIN
            return
        chunk = self._socket.recv(4096)
        self._answer += chunk
        if b"\r\n" in self._answer or not chunk:
            words = self._answer.split(None, 2)
            self.healthy = (
                words[:1] != [] and words[0].startswith(b"HTTP/") and words[1:2] == [b"200"]
            )
            self._retry(now)

    def _shake_hands(self) -> None:
        """Speak TLS. The server is our own child on our own machine: its name proves nothing."""
        import ssl  # noqa: PLC0415  (large, and few servers speak TLS themselves)

        if not isinstance(self._socket, ssl.SSLSocket):
            # Not `create_default_context`, which reads the system's certificates each time.
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            assert self._socket is not None  # noqa: S101
            self._socket = context.wrap_socket(self._socket, do_handshake_on_connect=False)
            self.descriptor = self._socket.fileno()
        self._socket.do_handshake()

    def _is_waiting(self, error: OSError) -> bool:
        """Tell whether an error only means "not yet", and wait for the right thing then."""
        if isinstance(error, BlockingIOError):
            return True
        name = type(error).__name__  # by name, so that `ssl` need not be imported to ask
        if name == "SSLWantReadError":
            self.events = select.POLLIN
        elif name == "SSLWantWriteError":
            self.events = select.POLLOUT
        else:
            return False
        return True

    def _request(self) -> bytes:
        host = self.probe.host or "localhost"
        lines = (f"GET {self.probe.path} HTTP/1.1", f"Host: {host}", "Connection: close")
        return "\r\n".join((*lines, "User-Agent: vllmd", "", "")).encode()

    def _retry(self, now: float) -> None:
        self.close()
        pause = min(LATEST_S, max(SOONEST_S, (now - self._began) / 100))
        self.due = now + pause
