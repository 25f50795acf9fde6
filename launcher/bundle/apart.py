"""Run something in a forked copy of this process, which ends without Python's own clean-up.

py-rattler has threads of its own, which crash now and then when the interpreter is taken down
around them (0.28: 6 in 100 short runs end by SIGSEGV with everything done). And a copy can be
killed at once, when we are told to stop, and then nobody writes any more.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import traceback

from launcher.bundle.errors import BundleError
from launcher.errors import EX_SOFTWARE, HostError, LauncherError, StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

ERRORS: dict[int, type[LauncherError]] = {
    each.exit_code: each for each in (BundleError, HostError, StartError)
}
OURS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def run_apart(work: Callable[[], str]) -> str:
    """Return what `work` returns, in a process of its own.

    Raises:
        LauncherError: as `work` raised it.
        OSError: as `work` raised it, by its number.
        StartError: the process was killed, or crashed.
    """
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(told)
        _become(work, tell)
    os.close(tell)
    try:
        with os.fdopen(told, encoding="utf-8") as report:
            text = report.read()
        _, status = os.waitpid(pid, 0)
    except BaseException:  # told to stop
        with contextlib.suppress(ProcessLookupError, ChildProcessError):  # it has ended already
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        raise
    return _read(text, os.waitstatus_to_exitcode(status))


def _become(work: Callable[[], str], tell: int) -> NoReturn:
    """Do the work, report, and end. Never returns into the code of our parent."""
    code = EX_SOFTWARE
    try:
        for number in OURS:
            signal.signal(number, signal.SIG_DFL)
        try:
            report: dict[str, object] = {"result": work()}
        except LauncherError as error:
            report = {"code": error.exit_code, "message": error.message, "hint": error.hint}
        except OSError as error:
            report = {"errno": error.errno, "reason": error.strerror, "path": error.filename}
        with os.fdopen(tell, "w", encoding="utf-8") as pipe:
            json.dump(report, pipe)
        code = 0
    except BaseException:  # noqa: BLE001  (whatever it is, there must not be two of us)
        traceback.print_exc()
    finally:
        try:
            sys.stderr.flush()
        finally:
            os._exit(code)


def _read(text: str, code: int) -> str:
    if not text:
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        raise StartError(
            f"the process that installs packages has ended too soon ({how})",
            "if it was killed, there may be too little memory; look at the kernel's messages",
        )
    report = json.loads(text)
    if "errno" in report:
        raise OSError(report["errno"], report["reason"], report["path"])
    if "code" in report:
        raise ERRORS[report["code"]](report["message"], report["hint"])
    return str(report["result"])
