"""`vllmd sleep|wake NAME`: what the two have in common: a question to the server itself.

vLLM has the pages where sleep mode is on and VLLM_SERVER_DEV_MODE is 1
(vllm/entrypoints/serve/dev/sleep, 0.32).
"""

from __future__ import annotations

import http.client
import ssl
from urllib.parse import urlsplit

from launcher.cli.stream import UnixConnection
from launcher.errors import HostError, StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.cli.remote import Remote

ANSWER_S = 300.0  # it moves the weights between the GPU and the memory, or drops them
UNIX = "unix:"


def tell_server(remote: Remote, name: str, page: str) -> None:
    """Post to a page of an instance that is ready.

    Raises:
        UsageError: there is no such instance.
        HostError: the instance cannot be reached.
        StartError: it is not ready, or refuses.
    """
    found = remote.require_instance(name)
    if found["state"] != "ready":
        raise StartError(f"'{name}' is not ready, but {found['state']}", "see 'vllmd status'")
    connection = _connect(found["address"])
    try:
        connection.request("POST", page)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise HostError(f"'{name}' does not answer: {error}", f"see 'vllmd logs {name}'") from None
    finally:
        connection.close()
    if status == http.client.NOT_FOUND:
        raise StartError(
            f"'{name}' cannot sleep",
            f"write enable_sleep_mode = true in [instance.{name}.server] and "
            f"VLLM_SERVER_DEV_MODE = 1 in [instance.{name}.env]",
        )
    if status != http.client.OK:
        raise StartError(f"'{name}' refuses with status {status}", f"see 'vllmd logs {name}'")


def _connect(address: str) -> http.client.HTTPConnection:
    """Connect to the address that the launcher itself has told us."""
    if address.startswith(UNIX):
        return UnixConnection(address.removeprefix(UNIX), ANSWER_S)
    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port
    if parts.scheme != "https":
        return http.client.HTTPConnection(host, port, timeout=ANSWER_S)
    # As its health is asked for: the certificate is for the name that clients use.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, port, timeout=ANSWER_S, context=context)
