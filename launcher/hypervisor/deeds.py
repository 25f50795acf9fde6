"""What each rung of the ladder does to a VMM."""

from __future__ import annotations

import signal

from launcher.hypervisor.backend import VmmError, VmmRefusalError, VmmSilentError
from launcher.hypervisor.ladder import BUTTON, GIVE_UP, QUIT, TERMINATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.hypervisor.backend import Vmm

TALK_S = 3.0  # for a VMM that may hang: less than a step of the ladder


def do_deed(deed: str, vmm: Vmm, send: Callable[[signal.Signals], None]) -> str:
    """Do it; return what the VMM said against it, which leaves only the next rung.

    A VMM that says nothing may be busy: nothing is returned then. `send` sends a signal to its
    process.

    Raises:
        VmmError: there is nothing left to do, and it still runs.
    """
    if deed == GIVE_UP:
        raise VmmError(
            "the VMM does not end, not even killed",
            "see 'dmesg': it is stuck in the kernel, mostly in a device",
        )
    try:
        if deed == BUTTON:
            vmm.press_button(TALK_S)
        elif deed == QUIT:
            vmm.quit(TALK_S)
        else:
            send(signal.SIGTERM if deed == TERMINATE else signal.SIGKILL)
    except VmmRefusalError as error:
        return error.message
    except VmmSilentError:
        return ""
    return ""
