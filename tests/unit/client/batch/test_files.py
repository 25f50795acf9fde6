"""The file of results and the table of names: effects, but on nothing but a temporary file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.client.batch.ids import IdTable
from launcher.client.batch.lines import render_answer
from launcher.client.batch.results import ResultFile
from launcher.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

LINE = render_answer("a", "vllmd-batch-1", 200, b'{"b": 1}')


@pytest.mark.parametrize("kept", range(1, len(LINE)))
def test_results_half_written_line_is_gone_wherever_it_ends(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "results"
    path.write_bytes(LINE + LINE[:kept])
    file = ResultFile(str(path))
    assert list(file.lines()) == [LINE]
    file.append(LINE)
    file.close()
    assert path.read_bytes() == LINE * 2


@pytest.mark.parametrize("rest", [b"\0\0\0", b"notes", b'{"id":7}'])
def test_results_end_that_is_not_ours_stays(tmp_path: Path, rest: bytes) -> None:
    path = tmp_path / "results"
    path.write_bytes(LINE + rest)
    file = ResultFile(str(path))
    lines = list(file.lines())
    file.close()
    zeros = not rest.strip(b"\0")  # what a power failure leaves
    assert lines == ([LINE] if zeros else [LINE, rest])
    assert path.read_bytes() == (LINE if zeros else LINE + rest)


def test_results_have_one_writer(tmp_path: Path) -> None:
    path = str(tmp_path / "results")
    first = ResultFile(path)
    with pytest.raises(UsageError, match="another batch is writing to"):
        ResultFile(path)
    first.close()
    ResultFile(path).close()


@pytest.mark.parametrize("path", ["/dev/null", "/", "/nowhere/results"])
def test_results_in_no_regular_file_are_refused(path: str) -> None:
    with pytest.raises(UsageError):
        ResultFile(path)


def test_ids_know_each_name_once() -> None:
    ids = IdTable()
    names = ["a", "A", "ü", "\ud800", "a\0"]
    assert [ids.add(name, number) for number, name in enumerate(names, 1)] == [0] * 5
    assert ids.add("a", 9) == 1
    assert ids.is_finished("a") is False
    assert ids.finish("a") is True
    assert ids.finish("a") is False
    assert ids.is_finished("a") is True
    assert ids.is_finished("other") is None
    ids.close()
