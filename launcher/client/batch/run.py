"""Run a batch: every request of a file once, over a server that may fail in between.

What the server has not taken (no connection, 429, 503) is sent again until `wait_s` have passed
without a sign of life. What it took and did not answer well (5xx, a connection that broke, no
JSON, no answer in time) is tried again `retries` times, and then recorded as failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import uuid
from typing import TYPE_CHECKING

from launcher.client.batch.gate import Gate
from launcher.client.batch.ids import IdTable
from launcher.client.batch.lines import no_answer, refusal, render_answer, render_failure
from launcher.client.batch.prepare import check_paths, pending, scan_requests, scan_results
from launcher.client.batch.progress import BatchResult, Silent, Tally
from launcher.client.batch.results import ResultFile
from launcher.client.batch.retry import Verdict, backoff_s, judge, parse_retry_after
from launcher.client.connection import OK, Connection, UnreachableError, encode, make_tls, moment
from launcher.client.errors import DeadlineError, ServerError
from launcher.client.messages import refuse
from launcher.client.timeouts import render_duration
from launcher.errors import LauncherError
from launcher.record import record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.client.batch.lines import BatchFailure, BatchRequest
    from launcher.client.batch.progress import Show
    from launcher.client.connection import Reply
    from launcher.client.target import Target
    from launcher.client.timeouts import Timeout

SUSPECT = 2  # failures after which a request may be what brings the server down


@record
class BatchOptions:
    """How to send. `concurrency` requests at once; `model`, if given, is that of every request."""

    concurrency: int = 128
    retries: int = 5
    wait_s: float = 600.0
    request_timeout_s: float | None = 600.0
    model: str = ""


@record
class _Outcome:
    """What came of one attempt: the result's line, or a failure, or (a refusal) both.

    Neither: the server has not taken the request.
    """

    line: bytes = b""
    failure: BatchFailure | None = None


NOT_TAKEN = _Outcome()


async def run_batch(  # noqa: PLR0913, PLR0917  (whom, what, where to, how long, how, and for whom)
    target: Target,
    requests: str,
    results: str,
    timeout: Timeout,
    options: BatchOptions,
    show: Show | None = None,
) -> BatchResult:
    """Send every request without a result, and append its result to the file.

    Raises:
        UsageError: a file cannot be used.
        InputError: a file does not hold what it should; nothing was sent.
        DeadlineError: the time is over. What has a result keeps it: call again to go on.
        ServerError: the server was away for too long; call again to go on.
        RequestError: the server lets nobody in.
    """
    began = time.monotonic()
    until = moment(timeout.total_s)
    check_paths(requests, results)
    ids, tally = IdTable(), Tally()
    try:
        await _in_pieces(scan_requests(requests, ids, tally))
        file = ResultFile(results)
        try:
            await _in_pieces(scan_results(file, ids, tally))
            waiting = pending(requests, ids, tally)
            run = _Run(target, options, file, tally, show or Silent())
            await run.finish(waiting, until, timeout)
        finally:
            file.close()
    finally:
        ids.close()
    return BatchResult(
        total=tally.total,
        earlier=tally.earlier,
        succeeded=tally.succeeded,
        failed=tally.failed,
        seconds=time.monotonic() - began,
    )


async def _in_pieces(work: Iterator[None]) -> None:
    for _ in work:
        await asyncio.sleep(0)


class _Run:
    """The requests under way."""

    def __init__(
        self, target: Target, options: BatchOptions, file: ResultFile, tally: Tally, show: Show
    ) -> None:
        self._options = options
        self._file = file
        self._tally = tally
        self._show = show
        self._target = target
        self._tls = make_tls(target)
        self._asking = Connection(target, self._tls, 1)
        self._gate = Gate(self._asking, options.wait_s, show.say)
        self._alone = asyncio.Lock()

    async def finish(
        self, waiting: Iterator[BatchRequest | None], until: float | None, timeout: Timeout
    ) -> None:
        """Send all that waits, `concurrency` at once."""
        self._show.begin(self._tally)
        left = self._tally.total - self._tally.finished
        try:
            async with asyncio.timeout_at(until):
                if left:
                    await self._gate.check()
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self._options.concurrency, left)):
                        group.create_task(self._work(waiting))
        except TimeoutError:
            limit = render_duration(timeout.total_ms or 0)
            message = f"the batch has taken its whole time of {limit}"
            hint = "start it again: it goes on from here; --timeout gives it more time"
            raise DeadlineError(message, hint) from None
        except ExceptionGroup as errors:
            raise _first(errors) from None
        finally:
            await self._asking.close()

    async def _work(self, waiting: Iterator[BatchRequest | None]) -> None:
        model = {"model": self._options.model} if self._options.model else {}
        connection = Connection(self._target, self._tls, 1)
        try:
            for request in waiting:
                if request is None:
                    await asyncio.sleep(0)
                    continue
                body = encode({**request.body, **model})
                await self._settle(connection, request, body)
        finally:
            await connection.close()

    async def _settle(self, connection: Connection, request: BatchRequest, body: bytes) -> None:
        """Send a request until it has a result, and write that."""
        failures = 0
        while True:
            request_id = f"vllmd-batch-{uuid.uuid4().hex}"
            await self._gate.enter()
            # One of these may crash the server, with everything in it: they go one after another,
            # so that the innocent ones among them fail no more often.
            async with self._alone if failures >= SUSPECT else contextlib.nullcontext():
                outcome = await self._attempt(connection, request, body, request_id)
            if outcome is NOT_TAKEN:
                continue
            if outcome.line:
                self._record(outcome.line, failed=outcome.failure is not None)
                return
            assert outcome.failure is not None  # noqa: S101  (for the type checker)
            failures += 1
            if failures > self._options.retries:
                line = render_failure(request.custom_id, request_id, outcome.failure)
                self._record(line, failed=True)
                return
            await self._gate.check()
            await asyncio.sleep(backoff_s(failures, random.random()))  # noqa: S311  (no secret)

    async def _attempt(
        self, connection: Connection, request: BatchRequest, body: bytes, request_id: str
    ) -> _Outcome:
        """Send a request once. Where the server has not taken it, wait until it may."""
        headers = {"X-Request-Id": request_id}  # vLLM writes it to its log
        until = moment(self._options.request_timeout_s)
        try:
            reply = await connection.post(request.url, body, until, headers)
        except UnreachableError:
            await self._gate.check()
            return NOT_TAKEN
        except DeadlineError:
            limit = render_duration((self._options.request_timeout_s or 0) * 1000)
            return _Outcome(failure=no_answer(f"no answer within {limit}"))
        except ServerError as error:
            return _Outcome(failure=no_answer(error.message))
        return await self._judge(request, request_id, reply)

    async def _judge(self, request: BatchRequest, request_id: str, reply: Reply) -> _Outcome:
        verdict = judge(reply.status)
        if verdict is Verdict.STOP:
            raise refuse(reply.status, reply.data)
        if verdict is Verdict.LATER:
            await self._hold(reply)
            return NOT_TAKEN
        self._gate.passed()
        if reply.status == OK:
            try:
                line = render_answer(request.custom_id, request_id, reply.status, reply.data)
            except ServerError as error:
                return _Outcome(failure=no_answer(error.message))
            return _Outcome(line=line)
        failure = refusal(reply.status, reply.data)
        if verdict is Verdict.AGAIN:
            return _Outcome(failure=failure)
        line = render_failure(request.custom_id, request_id, failure)
        return _Outcome(line=line, failure=failure)

    async def _hold(self, reply: Reply) -> None:
        asked = parse_retry_after(reply.headers.get("retry-after", ""), time.time())
        await self._gate.hold(backoff_s(2, random.random()) if asked is None else asked)  # noqa: S311

    def _record(self, line: bytes, *, failed: bool) -> None:
        self._file.append(line)
        if failed:
            self._tally.failed += 1
        else:
            self._tally.succeeded += 1
        self._show.update(self._tally)


def _first(errors: ExceptionGroup[Exception]) -> Exception:
    """Return the error to tell: ours, if there is one among them."""
    leaf: Exception = errors.subgroup(LauncherError) or errors
    while isinstance(leaf, ExceptionGroup):
        leaf = leaf.exceptions[0]
    return leaf
