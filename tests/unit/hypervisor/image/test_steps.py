from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from launcher.errors import HostError
from launcher.hypervisor.image.steps import Steps, run_tool
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from pathlib import Path

# As mmdebstrap: it waits for its child whatever it is told, and tidies up when that has ended.
TIDY = """\
trap : TERM
sh -c 'echo $$ > "$1.new"; mv "$1.new" "$1"; exec sleep 600' sh "$1" &
until wait; do :; done
rm "$1"
"""


def is_waiting(thread: int) -> bool:
    """Tell whether a thread waits for a program that it has started."""
    frame = sys._current_frames().get(thread)  # noqa: SLF001  (as `faulthandler` looks at it)
    while frame is not None and frame.f_code is not subprocess.Popen.communicate.__code__:
        frame = frame.f_back
    return frame is not None


def test_interrupted_program_may_tidy_up(tmp_path: Path) -> None:
    mark = tmp_path / "root"

    def interrupt() -> None:
        # While the program is being started, nobody is there yet to end it.
        wait_until(lambda: mark.exists() and is_waiting(us), "it runs, and is waited for", 60)
        os.kill(os.getpid(), signal.SIGINT)

    us = threading.get_ident()

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run_tool(["sh", "-c", TIDY, "sh", str(mark)], Steps(total=1), "sh")
    assert not mark.exists()


def test_failed_program_is_told_with_its_last_words(capsys: pytest.CaptureFixture[str]) -> None:
    script = "import sys; print('why not'); sys.exit(3)"
    with pytest.raises(HostError, match="'it' ended with code 3"):
        run_tool([sys.executable, "-c", script], Steps(total=1), "it")
    assert "| why not" in capsys.readouterr().err
