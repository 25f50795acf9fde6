"""Does the engine work? A request for one token, and the counters of `/metrics`. Pure.

`/health` of vLLM 0.32 answers 200 while the engine's process is stopped or hangs: it asks only
whether the process has ended. One generated token shows that it works; where a token does not come
in time, counters that move show that it is merely busy.
"""

from __future__ import annotations

from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.process.spec import Probe, ProcessSpec

GENERATE = "/v1/completions"
METRICS = "/metrics"
KEY_VARIABLE = "VLLM_API_KEY"
# vllm/v1/metrics/loggers.py. The second moves with every step of the engine, so also while it
# computes a long prompt.
_RUNNING = b"vllm:num_requests_running"
_MOVING = (b"vllm:generation_tokens_total", b"vllm:iteration_tokens_total_sum")


@record
class Progress:
    """What `/metrics` said: requests being computed, and a sum that moves while they are."""

    running: float
    tokens: float


def render_generate(
    spec: ProcessSpec, probe: Probe, environ: Mapping[str, str], model: str
) -> bytes:
    """Render a request for one token, the likeliest, with the server's own key."""
    import json  # noqa: PLC0415  (after the first start, and only where it was asked for)

    body = {"model": model, "prompt": "a", "max_tokens": 1, "temperature": 0}
    data = json.dumps(body).encode()
    host = probe.host or "localhost"
    lines = [f"POST {GENERATE} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += ["User-Agent: vllmd", "Content-Type: application/json"]
    key = _find_key(spec, environ)
    if key:
        lines.append(f"Authorization: Bearer {key}")
    lines += [f"Content-Length: {len(data)}", "", ""]
    return "\r\n".join(lines).encode() + data


def read_token(body: bytes) -> str:
    """Read the token from the answer; empty where there is none."""
    import json  # noqa: PLC0415  (as above)

    try:
        text = json.loads(body)["choices"][0]["text"]
    except (ValueError, LookupError, TypeError):
        return ""
    return text if isinstance(text, str) else ""


def _find_key(spec: ProcessSpec, environ: Mapping[str, str]) -> str:
    own = [variable.value for variable in spec.env if variable.name == KEY_VARIABLE]
    return own[-1] if own else environ.get(KEY_VARIABLE, "")


def read_progress(metrics: bytes) -> Progress | None:
    """Read the counters, summed over the engines; None where the server does not have them."""
    running, tokens, found = 0.0, 0.0, False
    for line in metrics.splitlines():
        if not line.startswith(b"vllm:"):
            continue
        name = line.partition(b"{")[0].partition(b" ")[0]
        if name == _RUNNING:
            running += _value(line)
            found = True
        elif name in _MOVING:
            tokens += _value(line)
    return Progress(running=running, tokens=tokens) if found else None


def _value(line: bytes) -> float:
    try:
        return float(line.rpartition(b" ")[2])
    except ValueError:
        return 0.0


@record
class Stall:
    """Since when requests have been computed without a token coming of it; None: they have not."""

    tokens: float | None = None
    since: float | None = None


def note_progress(stall: Stall, progress: Progress | None, now: float) -> Stall:
    """Return what is known after a look at the counters."""
    if progress is None:
        return Stall()
    moved = stall.tokens != progress.tokens
    if moved or not progress.running:
        return Stall(tokens=progress.tokens)
    return Stall(tokens=progress.tokens, since=now if stall.since is None else stall.since)
