"""Cloud Hypervisor's REST API on its UNIX socket."""

from __future__ import annotations

import http.client
import socket
from http import HTTPStatus

from launcher.hypervisor.backend import VmmSilentError
from launcher.hypervisor.cloudhypervisor.answers import parse_object, refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ROOT = "/api/v1"
LARGEST_ANSWER = 8 << 20  # bytes; `vm.info` grows with the number of devices


class _Connection(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Connect to the path."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def get(path: str, page: str, timeout_s: float) -> dict[str, Any]:
    """Ask; `page` is like "vm.info", `timeout_s` for each wait.

    Raises:
        VmmSilentError: nobody listens, or no answer comes in time.
        VmmRefusalError: it refuses.
    """
    return parse_object(_exchange(path, "GET", page, None, timeout_s))


def put(path: str, page: str, timeout_s: float, body: str | None = None) -> None:
    """Order; a body is JSON.

    Raises:
        VmmSilentError: nobody listens, or no answer comes in time.
        VmmRefusalError: it refuses.
    """
    _exchange(path, "PUT", page, body, timeout_s)


def _exchange(path: str, method: str, page: str, body: str | None, timeout_s: float) -> bytes:
    """Send one request over a connection of its own: at most ten may be open."""
    connection = _Connection(path, timeout_s)
    headers = {"Content-Type": "application/json"} if body is not None else {}
    try:
        connection.request(method, f"{ROOT}/{page}", body, headers)
        response = connection.getresponse()
        content = response.read(LARGEST_ANSWER)
    except TimeoutError:
        raise VmmSilentError(f"cloud-hypervisor does not answer '{page}' in time") from None
    except (OSError, http.client.HTTPException) as error:
        reason = (getattr(error, "strerror", None) or "it hung up").lower()
        raise VmmSilentError(f"cloud-hypervisor cannot be asked '{page}': {reason}") from None
    finally:
        connection.close()
    if response.status >= HTTPStatus.BAD_REQUEST:
        raise refuse(response.status, content)
    return content
