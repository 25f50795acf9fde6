"""Which version of the catalogue holds for which version of vLLM."""

from __future__ import annotations

from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

EXACT = "exact"  # the catalogue has this very release
NEAREST = "nearest"  # another patch release, or a build made between two releases
NEWER = "newer"  # made after the newest release of the catalogue
OLDER = "older"  # made before the oldest one
UNKNOWN = "unknown"  # no version was found, or it does not read as one


@record
class Choice:
    """The release of the catalogue that stands for an installed vLLM.

    `match` is EXACT, NEAREST, NEWER, OLDER or UNKNOWN. Only for EXACT and NEAREST is a difference
    surely the user's mistake; for the others problems are best shown as warnings.
    """

    version: str
    match: str


def choose_version(asked: str, known: Sequence[str]) -> Choice:
    """Choose from `known` (oldest first) the release nearest to `asked`, at or below it.

    `0.32.1.dev3+gabc` is on the way from 0.32.0 to 0.32.1, so it gets 0.32.0; local parts
    (`+cu129`) and post releases count as their release.
    """
    wanted = parse_version(asked)
    if wanted is None:
        return Choice(version=known[-1], match=UNKNOWN)
    numbers = [parse_version(version) or wanted for version in known]
    below = [i for i, number in enumerate(numbers) if number <= wanted]
    if not below:
        return Choice(version=known[0], match=OLDER)
    nearest = below[-1]
    if numbers[nearest] == wanted:
        return Choice(version=known[nearest], match=EXACT)
    # A patch release of the newest minor release adds no options; a new minor release does.
    is_newest = nearest == len(known) - 1
    newer = is_newest and wanted[:2] > numbers[nearest][:2]
    return Choice(version=known[nearest], match=NEWER if newer else NEAREST)


def parse_version(text: str) -> tuple[int, int, int, int] | None:
    """Read `0.32.1.dev3+gabc` as (0, 32, 1, -1); None where it is no version.

    The last number is -1 for a development or pre-release, 0 otherwise, so that they sort.
    """
    release = text.strip().removeprefix("v").partition("+")[0]
    numbers: list[int] = []
    stage = 0
    for part in release.split("."):
        digits = len(part) - len(part.lstrip("0123456789"))
        if digits:
            numbers.append(int(part[:digits]))
        if digits < len(part):  # `dev3`, `post2`, the `rc1` of `0rc1`
            stage = 0 if part[digits:].startswith("post") else -1
            break
    if len(numbers) < 2:  # noqa: PLR2004  # major and minor at least
        return None
    major, minor, patch = (*numbers, 0)[:3]
    return major, minor, patch, stage
