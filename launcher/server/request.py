"""A first request to a server, for pasting."""

from __future__ import annotations

from launcher.server.address import effective, health_probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.server.address import Address
    from launcher.server.model import Instance


def render_request(instance: Instance, address: Address, *, keyed: bool) -> str:
    """Render a completion request as one `curl` command; `keyed`: the server wants a key."""
    probe = health_probe(address)
    where = "http://localhost" if probe.socket_path else probe.address()
    words = ["curl -s"]
    if probe.socket_path:
        words.append(f"--unix-socket {_quoted(probe.socket_path)}")
    if probe.tls:
        words.append("--insecure")
    words.append(f"{where}/v1/completions")
    words.append("-H 'Content-Type: application/json'")
    if keyed:
        words.append('-H "Authorization: Bearer $VLLM_API_KEY"')
    body = f'{{"model": {_json(served_name(instance))}, "prompt": "Hello", "max_tokens": 16}}'
    words.append(f"-d {_quoted(body)}")
    return " ".join(words)


def served_name(instance: Instance) -> str:
    """Return the name by which the server knows its model: the first served name, else its path."""
    for name in ("served_model_name", "model"):
        value = effective(instance, name)
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, str):
            return value
    return "MODEL"


def _json(text: str) -> str:
    # Not json.dumps: importing json would delay the first start.
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c >= " " else f"\\u{ord(c):04x}" for c in escaped) + '"'


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
