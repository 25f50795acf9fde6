"""Before the first request is sent: read both files to the end, and find everything wrong."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from launcher.client.batch.lines import LineError, parse_request, read_result
from launcher.client.errors import InputError
from launcher.config.problems import Origin, Problem
from launcher.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.client.batch.ids import IdTable
    from launcher.client.batch.lines import BatchRequest
    from launcher.client.batch.progress import Tally
    from launcher.client.batch.results import ResultFile

PAUSE = 500  # lines between two pauses: others have something to do too
MOST_PROBLEMS = 20


def check_paths(requests: str, results: str) -> None:
    """Make sure that there are requests, and that results do not overwrite them.

    Raises:
        UsageError: they would, or there are none.
    """
    if not os.path.isfile(requests):
        reason = "is not a file" if os.path.exists(requests) else "does not exist"
        raise UsageError(f"'{requests}' {reason}", "name a file with one request in each line")
    if not os.access(requests, os.R_OK):
        raise UsageError(f"'{requests}' cannot be read", "make it readable for this user")
    if os.path.exists(results) and os.path.samefile(requests, results):
        raise UsageError(f"'{results}' holds the requests", "name another file for the results")


def scan_requests(path: str, ids: IdTable, tally: Tally) -> Iterator[None]:
    """Check every request, and note its name. Yields now and then, for a pause.

    Raises:
        InputError: with the problems of the lines that are no requests.
    """
    problems: list[Problem] = []
    for number, line in _numbered(path):
        if number % PAUSE == 0:
            yield
        try:
            _note_request(parse_request(line).custom_id, number, ids)
        except LineError as error:
            problems.append(_problem(path, number, error))
            if len(problems) == MOST_PROBLEMS:
                break
        tally.total += 1
    if problems:
        raise InputError(tuple(problems))


def scan_results(results: ResultFile, ids: IdTable, tally: Tally) -> Iterator[None]:
    """Note the requests that have a result already, and repair the end of the file.

    Raises:
        InputError: the file holds something else, or the results of other requests.
    """
    for number, line in enumerate(results.lines(), 1):
        if number % PAUSE == 0:
            yield
        try:
            custom_id, _ = read_result(line)
            _note_result(custom_id, ids)
        except LineError as error:
            raise InputError((_problem(results.path, number, error),)) from None
        tally.earlier += 1


def _note_request(custom_id: str, number: int, ids: IdTable) -> None:
    first = ids.add(custom_id, number)
    if first:
        message = f"the custom_id '{custom_id}' is that of line {first} too"
        raise LineError(message, "give each request one of its own")


def _note_result(custom_id: str, ids: IdTable) -> None:
    if ids.finish(custom_id):
        return
    if ids.is_finished(custom_id) is None:
        message = f"this is the result of '{custom_id}', which is not among the requests"
        raise LineError(message, "name another file for the results")
    raise LineError(f"this is a second result of '{custom_id}'", "remove one of them")


def pending(path: str, ids: IdTable, tally: Tally) -> Iterator[BatchRequest | None]:
    """Yield the requests without a result, in their order; None now and then, for a pause."""
    for number, line in _numbered(path):
        request = parse_request(line)
        if not tally.earlier or not ids.is_finished(request.custom_id):
            yield request
        elif number % PAUSE == 0:
            yield None


def _numbered(path: str) -> Iterator[tuple[int, bytes]]:
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, line


def _problem(path: str, number: int, error: LineError) -> Problem:
    origin = Origin(kind="file", name=path)
    return Problem(message=error.message, hint=error.hint, origin=origin, line=number, column=1)
