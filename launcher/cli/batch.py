"""`vllmd batch`: a file of requests to its end."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

from launcher.cli.batch_progress import new_show
from launcher.cli.client_arguments import parse_batch
from launcher.cli.generate import read_timeout_arguments
from launcher.cli.target import find_target
from launcher.client.batch.run import BatchOptions, run_batch
from launcher.client.errors import EX_FAILED, InputError
from launcher.client.timeouts import render_duration
from launcher.errors import EX_OK, LauncherError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from launcher.cli.batch_progress import BatchShow
    from launcher.client.batch.progress import BatchResult
    from launcher.client.target import Target
    from launcher.client.timeouts import Timeout

FOREVER_S = float("inf")


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Send all requests of a file; 0 if all were answered, 1 if some have failed.

    Raises:
        LauncherError: it could not be finished; start it again to go on.
    """
    arguments = parse_batch(argv)
    found = find_target(arguments.server, arguments.config, tuple(arguments.assignments), environ)
    timeout = read_timeout_arguments(arguments, "batch", environ, found.timeout_profile)
    show = new_show(sys.stderr, timeout.total_s)
    ended: list[int] = []
    try:
        with show:
            result = asyncio.run(_run(arguments, found.target, timeout, show, ended))
    except asyncio.CancelledError:
        print(f"vllmd: batch: interrupted; {show.summary()}; {GO_ON}", file=sys.stderr)
        return 128 + ended[0]
    except InputError:
        raise
    except LauncherError:
        print(f"vllmd: batch: {show.summary()}", file=sys.stderr)
        raise
    print(f"vllmd: batch: {_tell(result)}", file=sys.stderr)
    return EX_FAILED if result.failed else EX_OK


GO_ON = "start it again to go on"


async def _run(
    arguments: argparse.Namespace,
    target: Target,
    timeout: Timeout,
    show: BatchShow,
    ended: list[int],
) -> BatchResult:
    """Run the batch; SIGINT and SIGTERM end it, and are noted in `ended`."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  (for the type checker)

    def stop(number: int) -> None:
        loop.remove_signal_handler(number)  # a second one means: at once
        ended.append(number)
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    options = BatchOptions(
        concurrency=arguments.concurrency,
        retries=arguments.retries,
        wait_s=FOREVER_S if arguments.wait is None else arguments.wait / 1000,
        request_timeout_s=arguments.request_timeout and arguments.request_timeout / 1000,
        model=arguments.model,
    )
    return await run_batch(target, arguments.requests, arguments.results, timeout, options, show)


def _tell(result: BatchResult) -> str:
    new = result.succeeded + result.failed
    seconds = max(result.seconds, 0.001)
    parts = [f"{result.total} requests, all with a result"]
    if result.earlier:
        parts.append(f"{result.earlier} from before")
    if result.failed:
        parts.append(f"{result.failed} failed: see 'error' in the results")
    took = f"{render_duration(seconds * 1000)}, {new / seconds:.1f}/s" if new else "nothing to do"
    return f"{', '.join(parts)}; {took}"
