"""Every server option against vLLM's own: known names, right values, and the tokens they become."""

from __future__ import annotations

from launcher.config.problems import ERROR, WARNING
from launcher.config.reader import Refusal
from launcher.record import record
from launcher.server.flags import check_name, find_fault, translate
from launcher.server.secret_values import SECRET_OPTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.config.problems import Path
    from launcher.config.reader import Problems
    from launcher.server.catalogue.lookup import Catalogue
    from launcher.server.catalogue.option import Option
    from launcher.server.model import Instance, ServerOption

# Checked with words of their own in `checks`, for every server module.
CHECKED_ELSEWHERE = ("host", "port", "uds")


@record
class Flag:
    """The tokens of one option, and where (and by which preset, if any) it was set."""

    tokens: tuple[str, ...]
    path: Path
    preset: str = ""


def plan_flags(
    instance: Instance, catalogue: Catalogue | None, problems: Problems, *, strict: bool
) -> tuple[Flag, ...]:
    """Return the flags of an instance, in the order of its options.

    Without a catalogue (the server is not vLLM's) the contract's rules alone hold. With one that
    does not surely hold for the installed version, or without `strict` (`unknown_flags = "warn"`),
    unknown options are passed on with a warning.
    """
    flags: list[Flag] = []
    targets: dict[str, str] = {}
    for option in instance.options:
        try:
            check_name(option.name)
        except Refusal as refusal:
            message = f"'{option.name}': {refusal.message}"
            problems.add(option.path, message, refusal.hint, at_key=True)
            continue
        known = _find_known(option, catalogue, problems, strict=strict)
        if known is not None:
            _note_doubles(option, known, targets, problems)
        if option.name in SECRET_OPTIONS and not isinstance(option.value, bool):
            continue  # reaches the server by its environment
        try:
            tokens = translate(option.name, option.value, known)
        except Refusal as refusal:
            message = f"'{option.name}': {refusal.message}"
            problems.add((*option.path, *refusal.at), message, refusal.hint)
            continue
        flags.append(Flag(tokens=tokens, path=option.path, preset=option.preset))
        if known is not None and catalogue is not None:
            _check_value(option, known, catalogue, problems)
    return tuple(flags)


def _find_known(
    option: ServerOption, catalogue: Catalogue | None, problems: Problems, *, strict: bool
) -> Option | None:
    if catalogue is None:
        return None
    known = catalogue.find(option.name)
    if known is None:
        # A user's mistake: what explains it (and imports difflib) is not needed otherwise.
        from launcher.server.catalogue.advice import explain_unknown  # noqa: PLC0415

        message, hint = explain_unknown(catalogue, option.name, option.value)
        severity = ERROR if strict and catalogue.exact else WARNING
        problems.add(option.path, message, hint, severity=severity, at_key=True)
    elif known.deprecated:
        message = f"'{option.name}' is deprecated in vLLM {catalogue.version}"
        hint = f"see 'vllmd explain {option.name}'"
        problems.add(option.path, message, hint, severity=WARNING, at_key=True)
    return known


def _note_doubles(
    option: ServerOption, known: Option, targets: dict[str, str], problems: Problems
) -> None:
    """Refuse an option that is set under two of its names."""
    other = targets.setdefault(known.target, option.name)
    if other != option.name:
        message = f"'{option.name}' sets the same option as '{other}'"
        problems.add(option.path, message, "keep one of the two", at_key=True)


def _check_value(
    option: ServerOption, known: Option, catalogue: Catalogue, problems: Problems
) -> None:
    if option.name in CHECKED_ELSEWHERE:
        return
    try:
        fault = find_fault(option.value, known)
    except RecursionError:
        fault = ("this is nested too deeply", "make it flatter")
    if fault is not None:
        message, hint = fault
        severity = ERROR if catalogue.exact else WARNING
        problems.add(option.path, f"'{option.name}': {message}", hint, severity=severity)
