"""`vllmd batch` with servers that behave, and ones that do not."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from launcher.client.batch.lines import render_answer
from tests.support.api_stub import (
    ApiStub,
    Batch,
    api_stub,
    environment,
    interrupt,
    request_line,
    vllmd,
    wait_said,
)
from tests.support.require import require_module
from tests.support.wait import PATIENCE_S, wait_until

if TYPE_CHECKING:
    from pathlib import Path


def text_of(line: dict[str, dict[str, dict[str, list[dict[str, dict[str, str]]]]]]) -> str:
    return line["response"]["body"]["choices"][0]["message"]["content"]


def test_batch_of_good_requests_has_each_answer_once(tmp_path: Path, batch: Batch) -> None:
    batch.write(f"prompt {number}" for number in range(300))
    with api_stub(tmp_path) as stub:
        done = batch.run(stub.url)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "300 requests, all with a result" in done.stderr
    batch.assert_each_once(300)
    line = batch.by_id()["id-7"]
    assert text_of(line) == "prompt 7\u2028"
    assert line["error"] is None
    assert line["response"]["status_code"] == 200
    assert line["id"].startswith("vllmd-")
    assert line["response"]["request_id"].startswith("vllmd-batch-")


def test_batch_twice_sends_nothing_again(tmp_path: Path, batch: Batch) -> None:
    batch.write(["one", "two"])
    with api_stub(tmp_path) as stub:
        assert batch.run(stub.url).returncode == 0
        before = batch.results.read_bytes()
        done = batch.run(stub.url)
        assert len(stub.answered()) == 2
    assert done.returncode == 0
    assert "2 from before; nothing to do" in done.stderr
    assert batch.results.read_bytes() == before


def test_batch_with_bad_requests_records_them_and_exits_1(tmp_path: Path, batch: Batch) -> None:
    batch.write(["good", "bad", "pretty"])
    with api_stub(tmp_path) as stub:
        done = batch.run(stub.url)
    assert done.returncode == 1
    assert "1 failed" in done.stderr
    batch.assert_each_once(3)
    bad = batch.by_id()["id-1"]
    assert bad["response"]["status_code"] == 400
    assert bad["response"]["body"] is None
    assert bad["error"]["error"]["message"] == "this is a bad prompt"
    assert text_of(batch.by_id()["id-2"]) == "pretty\u2028"


@pytest.mark.parametrize("prompt", ["broken", "cut", "drop", "garbage", "list"])
def test_batch_request_that_never_works_is_tried_and_recorded(
    tmp_path: Path, batch: Batch, prompt: str
) -> None:
    batch.write([prompt, "good"])
    with api_stub(tmp_path) as stub:
        done = batch.run(stub.url, "--retries", "2")
        assert stub.answered().count(prompt) in {0, 3}
    assert done.returncode == 1, done.stderr
    batch.assert_each_once(2)
    failed = batch.by_id()["id-0"]
    assert failed["error"]["error"]["message"]
    assert (failed["response"] is None) == (prompt != "broken")


def test_batch_request_without_answer_is_given_up_after_its_time(
    tmp_path: Path, batch: Batch
) -> None:
    batch.write(["hang", "good"])
    with api_stub(tmp_path) as stub:
        done = batch.run(stub.url, "--retries", "1", "--request-timeout", "300ms")
    assert done.returncode == 1
    assert batch.by_id()["id-0"]["error"]["error"]["message"] == "no answer within 300 ms"


def test_batch_over_errors_that_pass_answers_all(tmp_path: Path, batch: Batch) -> None:
    batch.write(f"prompt {number}" for number in range(40))
    with api_stub(tmp_path, fail_first=20) as stub:
        done = batch.run(stub.url, "--concurrency", "8")
    assert done.returncode == 0, done.stderr
    batch.assert_each_once(40)


def test_batch_waits_as_long_as_a_busy_server_asks(tmp_path: Path, batch: Batch) -> None:
    batch.write(f"prompt {number}" for number in range(20))
    with api_stub(tmp_path, limit=4, delay=0.05) as stub:
        done = batch.run(stub.url, "--concurrency", "6", "--retries", "0")
    assert done.returncode == 0, done.stderr
    batch.assert_each_once(20)


def test_batch_of_a_server_that_is_busy_for_ever_ends(tmp_path: Path, batch: Batch) -> None:
    batch.write(["one", "two"])
    with api_stub(tmp_path, busy_first=10_000) as stub:
        done = batch.run(stub.url, "--wait", "500ms")
    assert done.returncode == 69
    assert "takes no request for 500 ms" in done.stderr
    assert batch.lines() == []


def test_batch_waits_for_a_server_that_comes_back(tmp_path: Path, batch: Batch) -> None:
    batch.write(f"prompt {number}" for number in range(200))
    once = tmp_path / "died"
    with api_stub(tmp_path, die_after=60, once=once, delay=0.01) as stub:
        run = batch.start(stub.url, "--concurrency", "16")
        wait_said(run, "waiting for it, at most 10 min")
        stub.start()
        _, said = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 0, said
    assert f"{stub.url} is healthy" in said
    batch.assert_each_once(200)


def test_batch_begins_when_the_server_is_up(tmp_path: Path, batch: Batch) -> None:
    batch.write(["one"])
    stub = ApiStub(tmp_path)
    run = batch.start(stub.url)
    try:
        wait_said(run, "waiting for it")
        stub.start()
        run.communicate(timeout=PATIENCE_S)
    finally:
        stub.kill()
    assert run.returncode == 0
    batch.assert_each_once(1)


def test_batch_without_a_server_ends_after_its_patience(tmp_path: Path, batch: Batch) -> None:
    batch.write(["one"])
    done = batch.run(ApiStub(tmp_path).url, "--wait", "300ms")
    assert done.returncode == 69
    assert "connection refused; waiting for it, at most 300 ms" in done.stderr
    assert "is not healthy for 300 ms" in done.stderr
    assert batch.lines() == []


def test_batch_with_a_request_that_crashes_the_server_fails_that_one_only(
    tmp_path: Path, batch: Batch
) -> None:
    batch.write("crash" if number == 5 else f"prompt {number}" for number in range(60))
    with api_stub(tmp_path, delay=0.01) as stub:
        run = batch.start(stub.url, "--concurrency", "16", "--retries", "3")
        for _ in range(4):
            stub.wait_dead()
            stub.start(delay=0.01)
        _, said = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 1, said
    batch.assert_each_once(60)
    assert [line["custom_id"] for line in batch.lines() if line["error"]] == ["id-5"]


def test_batch_let_in_by_nobody_stops_at_once(tmp_path: Path, batch: Batch) -> None:
    batch.write(f"prompt {number}" for number in range(50))
    with api_stub(tmp_path, key="sk-right") as stub:
        done = batch.run(stub.url)
    assert done.returncode == 1
    assert "the server answered 401: Unauthorized" in done.stderr
    assert "export VLLM_API_KEY" in done.stderr
    assert batch.lines() == []


def test_batch_out_of_time_says_so_and_goes_on_later(tmp_path: Path, batch: Batch) -> None:
    batch.write(f"prompt {number}" for number in range(60))
    with api_stub(tmp_path, delay=0.2) as stub:
        done = batch.run(stub.url, "--concurrency", "2", "--timeout", "4s")
        assert done.returncode == 75
        assert "the batch has taken its whole time of 4 s" in done.stderr
        assert 0 < len(batch.lines()) < 60  # it would take 6 s
        assert batch.run(stub.url).returncode == 0
    batch.assert_each_once(60)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_batch_interrupted_ends_cleanly_and_goes_on_later(
    tmp_path: Path, batch: Batch, number: int, code: int
) -> None:
    batch.write(f"prompt {number}" for number in range(1000))
    with api_stub(tmp_path, delay=0.1) as stub:
        run = batch.start(stub.url, "--concurrency", "4")  # for 25 s
        wait_until(lambda: batch.size() > 0, "a first result")
        returned, said = interrupt(run, number)
        assert returned == code, said
        assert "interrupted; " in said
        assert "Traceback" not in said
        assert 0 < len(batch.lines()) < 1000
        assert batch.run(stub.url, "--concurrency", "256").returncode == 0
    batch.assert_each_once(1000)


def test_batch_sends_no_more_at_once_than_told(tmp_path: Path, batch: Batch) -> None:
    batch.write(f"prompt {number}" for number in range(30))
    with api_stub(tmp_path, limit=3, delay=0.02) as stub:
        done = batch.run(stub.url, "--concurrency", "3", "--wait", "1ms")
    assert done.returncode == 0, done.stderr  # one more at once would be refused, and end it


def test_batch_key_is_sent_and_shown_nowhere(tmp_path: Path, batch: Batch) -> None:
    batch.write(["one"])
    with api_stub(tmp_path, key="sk-right") as stub:
        done = vllmd(*batch.words(stub.url), env={"OPENAI_API_KEY": "sk-right"})
    assert done.returncode == 0, done.stderr
    assert "sk-right" not in done.stdout + done.stderr + batch.results.read_text()


def test_batch_into_its_own_requests_is_refused(tmp_path: Path, batch: Batch) -> None:
    batch.write(["one"])
    batch.results = batch.requests
    before = batch.requests.read_bytes()
    done = batch.run(ApiStub(tmp_path).url)
    assert done.returncode == 64
    assert "holds the requests" in done.stderr
    assert batch.requests.read_bytes() == before


def test_batch_into_somebody_elses_file_is_refused(tmp_path: Path, batch: Batch) -> None:
    batch.write(["one"])
    batch.results.write_text("my notes")
    done = batch.run(ApiStub(tmp_path).url)
    assert done.returncode == 65
    assert f"{batch.results}:1:1: this is not JSON" in done.stderr
    assert batch.results.read_text() == "my notes"


def test_batch_into_another_batchs_results_is_refused(tmp_path: Path, batch: Batch) -> None:
    batch.write(["one"])
    with api_stub(tmp_path) as stub:
        assert batch.run(stub.url).returncode == 0
        batch.requests.write_text(request_line("other", "one"))
        done = batch.run(stub.url)
    assert done.returncode == 65
    assert "this is the result of 'id-0', which is not among the requests" in done.stderr


def test_two_batches_into_one_file_are_refused(tmp_path: Path, batch: Batch) -> None:
    batch.write(["hang"])
    with api_stub(tmp_path) as stub:
        run = batch.start(stub.url)
        wait_until(batch.results.exists, "the first one has its file")
        done = batch.run(stub.url)
        interrupt(run)
    assert done.returncode == 64
    assert "another batch is writing to" in done.stderr


def test_batch_with_bad_lines_tells_all_and_sends_nothing(tmp_path: Path, batch: Batch) -> None:
    good = request_line("a", "one")
    batch.requests.write_text(f"{good}\n{{oops\n{good}{good.replace('POST', 'GET')}")
    with api_stub(tmp_path) as stub:
        done = batch.run(stub.url)
        assert stub.answered() == []
    assert done.returncode == 65
    assert f"{batch.requests}:3:1: this is not JSON" in done.stderr
    assert f"{batch.requests}:4:1: the custom_id 'a' is that of line 1 too" in done.stderr
    assert f"{batch.requests}:5:1: 'method' has to be \"POST\"" in done.stderr
    assert "3 errors" in done.stderr


def test_batch_on_a_full_disk_leaves_whole_lines(tmp_path: Path, batch: Batch) -> None:
    """A limit on the size of files stands for the disk."""
    batch.write("x" * 900 for _ in range(50))
    with api_stub(tmp_path) as stub:
        words = [sys.executable, "-m", "launcher", *batch.words(stub.url)]
        limited = f"trap '' XFSZ; ulimit -f 16; exec {shlex.join(words)}"
        done = subprocess.run(
            ["bash", "-c", limited], env=environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 69, done.stderr
        assert "file too large" in done.stderr
        assert 0 < len(batch.lines()) < 50
        assert batch.run(stub.url).returncode == 0
    batch.assert_each_once(50)


# A process begins with the peak of the one that it was forked from: of a small one here.
MEASURE = """\
import os, sys
pid = os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def peak_memory_mb(words: list[str]) -> float:
    done = subprocess.run(
        [sys.executable, "-I", "-c", MEASURE, sys.executable, "-m", "launcher", *words],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return int(done.stdout) / 1024


@pytest.mark.timeout(600)
def test_batch_memory_does_not_grow_with_the_file(tmp_path: Path, batch: Batch) -> None:
    peaks = []
    with api_stub(tmp_path) as stub:
        for count in (1_000, 100_000):
            batch.write(f"prompt {number}" for number in range(count))
            with batch.results.open("wb") as file:
                for number in range(count - 500):
                    file.write(render_answer(f"id-{number}", "vllmd-batch-1", 200, b"{}"))
            peaks.append(peak_memory_mb(batch.words(stub.url)))
            batch.assert_each_once(count)
    assert peaks[1] < peaks[0] + 8, peaks  # a list of the names alone would take 10 MB


def test_batch_on_a_terminal_draws_a_bar(tmp_path: Path, batch: Batch) -> None:
    require_module("integration", "rich")
    batch.write(f"prompt {number}" for number in range(40))
    primary, secondary = os.openpty()
    with api_stub(tmp_path, delay=0.1) as stub:
        run = subprocess.Popen(
            [sys.executable, "-m", "launcher", *batch.words(stub.url, "--concurrency", "4")],
            env=environment({"TERM": "xterm"}),
            stderr=secondary,
        )
        os.close(secondary)
        said = b""
        with contextlib.suppress(OSError):  # how a terminal says that nobody writes any more
            while piece := os.read(primary, 4096):
                said += piece
        os.close(primary)
        assert run.wait(PATIENCE_S) == 0
    assert "━" in said.decode()
    assert "/40" in said.decode()
    assert "40 requests, all with a result" in said.decode()
