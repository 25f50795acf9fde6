"""One HTTP request to a server of ours, without ever waiting for it.

Everything is non-blocking and driven by the supervisor's poll: connect, send, read the answer.
"""

from __future__ import annotations

import errno
import select
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl

    from launcher.process.spec import Probe

IN_PROGRESS = (errno.EINPROGRESS, errno.EAGAIN)
LONGEST = 4_000_000  # bytes of an answer; no page that we ask for comes near it


class Exchange:
    """A request under way. `tend` it when `descriptor` is ready for `events`, until `done`.

    Then `status` is the answer's status code, or 0 with the reason in `error`.
    """

    def __init__(self, probe: Probe, request: bytes, *, whole: bool = False) -> None:
        """Connect. Only with `whole` is the body waited for, to its length or to the end.

        Raises:
            OSError: there is no descriptor to be had.
        """
        self.done = False
        self.status = 0
        self.error = ""
        self.events = select.POLLOUT
        self._probe = probe
        self._request = request
        self._answer = b""
        self._sent = False
        self._whole = whole
        self._socket = self._connect()

    @property
    def descriptor(self) -> int:
        """The socket's descriptor, -1 when the request is over."""
        return self._socket.fileno()

    @property
    def body(self) -> bytes:
        """What the server sent behind its headers."""
        return self._answer.partition(b"\r\n\r\n")[2]

    def tend(self) -> None:
        """Do what can be done now."""
        if self.done:
            return
        try:
            self._converse()
        except OSError as error:
            if not self._is_waiting(error):
                self.give_up((error.strerror or type(error).__name__).lower())

    def give_up(self, reason: str) -> None:
        """End the request without an answer."""
        if not self.done:
            self.error = reason
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self.done = True
        self._socket.close()

    def _connect(self) -> socket.socket | ssl.SSLSocket:
        address: str | tuple[str, int]
        if self._probe.socket_path:
            plain = socket.socket(socket.AF_UNIX)
            address = self._probe.socket_path
        else:
            plain = socket.socket(socket.AF_INET6 if ":" in self._probe.host else socket.AF_INET)
            address = (self._probe.host, self._probe.port)
        plain.setblocking(False)  # noqa: FBT003
        try:
            code = plain.connect_ex(address)
        except OSError as error:  # a name that does not resolve
            code = error.errno or errno.EHOSTUNREACH
        if code not in {0, *IN_PROGRESS}:
            self._socket = plain
            self.give_up(errno.errorcode.get(code, str(code)).lower())
        return plain

    def _converse(self) -> None:
        if not self._sent:
            code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self.give_up(
                    "connection refused" if code == errno.ECONNREFUSED else f"error {code}"
                )
                return
            if self._probe.tls:
                self._shake_hands()
            self._socket.send(self._request)
            self._sent, self.events = True, select.POLLIN
            return
        chunk = self._socket.recv(65536)
        self._answer += chunk
        if not chunk or len(self._answer) > LONGEST or self._is_enough():
            self._finish()

    def _is_enough(self) -> bool:
        """Tell whether what has come is what is wanted: the status, or also the whole body."""
        if not self._whole:
            return b"\r\n" in self._answer
        head, end, body = self._answer.partition(b"\r\n\r\n")
        sizes = [
            line.partition(b":")[2].strip()
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        ]
        is_told = bool(end and sizes and sizes[0].isdigit())
        return is_told and len(body) >= int(sizes[0])

    def _finish(self) -> None:
        """Read the status line; we have all that we want, or all that there is."""
        words = self._answer.split(None, 2)[:2]
        if len(words) == 2 and words[0].startswith(b"HTTP/") and words[1].isdigit():  # noqa: PLR2004
            self.status = int(words[1])
        else:
            self.error = "no answer" if not self._answer else "an answer that is not HTTP"
        self.close()

    def _shake_hands(self) -> None:
        """Speak TLS. The server is our own child on our own machine: its name proves nothing."""
        import ssl  # noqa: PLC0415  (large, and few servers speak TLS themselves)

        if not isinstance(self._socket, ssl.SSLSocket):
            # Not `create_default_context`, which reads the system's certificates each time.
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self._socket = context.wrap_socket(self._socket, do_handshake_on_connect=False)
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


def render_get(probe: Probe, path: str) -> bytes:
    """Render a GET request after which the server closes the connection."""
    host = probe.host or "localhost"
    lines = (f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close")
    return "\r\n".join((*lines, "User-Agent: vllmd", "", "")).encode()
