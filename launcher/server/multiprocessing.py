"""`v1_multiprocessing`: whether vLLM runs its engine in processes of its own.

Engine processes that outlive their server hold GPU memory, so they are only wanted where the
launcher can promise to end them: where it is the parent of whatever its servers leave behind.
"""

from __future__ import annotations

from launcher.config.problems import WARNING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.config.reader import Problems
    from launcher.server.facts import Facts
    from launcher.server.model import Instance

KEY = "v1_multiprocessing"
VARIABLE = "VLLM_ENABLE_V1_MULTIPROCESSING"
REASON = "orphaned engine processes could not be ended on this machine"


def find_setting(instance: Instance, facts: Facts) -> str | None:
    """Return the value for the variable: "0", "1", or None where vLLM's default may stand."""
    mode = instance.control.v1_multiprocessing
    if mode == "off" or (mode == "auto" and not facts.adopts_orphans):
        return "0"
    return "1" if mode == "on" else None


def check_multiprocessing(
    instances: tuple[Instance, ...], facts: Facts, problems: Problems
) -> None:
    """Refuse "on" where clean-up cannot be promised; say where "auto" has to be off."""
    for instance in instances:
        mode = instance.control.v1_multiprocessing
        for setting in instance.env:
            if setting.name == VARIABLE and KEY in instance.control_paths and mode != "auto":
                message = f"'{VARIABLE}' is set here, but {KEY} = \"{mode}\" replaces it"
                problems.add(setting.path, message, "keep one of the two", severity=WARNING)
        if facts.adopts_orphans:
            continue
        path = instance.control_path(KEY)
        if mode == "on":
            hint = 'run vllmd on Linux with /proc mounted, or write "auto"'
            problems.add(path, f"'{KEY}' is \"on\", but {REASON}", hint)
        elif mode == "auto":
            message = f"'{instance.name}' runs without engine processes: {REASON}"
            problems.add(path, message, f'write {KEY} = "off"', severity=WARNING)
