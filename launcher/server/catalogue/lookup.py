"""Look options up in the text of the catalogue, for one version of vLLM. Pure.

The text is searched, not parsed: a server table has a dozen keys, the catalogue 600 lines. A key
that the user spelled well costs one search and one parsed line.
"""

from __future__ import annotations

from launcher.record import record, replace
from launcher.server.catalogue.lines import find_lines, join_spans, span_holds, span_of
from launcher.server.catalogue.option import Option, flag_of, invert, parse_option, swap_prefix
from launcher.server.catalogue.versions import EXACT, NEAREST, choose_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.server.catalogue.lines import Span

VERSIONS = "\n# versions: "


@record
class Catalogue:
    """The options of one version of vLLM. `asked` is the version of the user's installation."""

    text: str  # all of `options.tsv`, with a newline before
    asked: str
    version: str
    match: str  # see `versions.Choice`
    versions: tuple[str, ...]
    memo: dict[str, Option | None]  # what was found: many instances share few keys

    def __repr__(self) -> str:
        """Leave the text out."""
        return f"Catalogue({self.version}, asked={self.asked!r}, {self.match})"

    @property
    def exact(self) -> bool:
        """Whether what this catalogue says surely holds for the version asked for."""
        return self.match in {EXACT, NEAREST}

    def find(self, key: str) -> Option | None:
        """Find the option that a TOML key means, or None.

        Takes every spelling that vLLM's parser takes as a whole: `no_enable_prefix_caching` and
        (since 0.33) `disable_prefix_caching` are views of `enable_prefix_caching`.
        """
        if key not in self.memo:
            name = key.replace("-", "_")
            found = self._find_name(name) or self._find_alias(name) or self._find_inverse(name)
            self.memo[key] = found
        return self.memo[key]

    def history(self, key: str) -> tuple[Span, ...]:
        """Return first and last version of each time that an option existed; () for never.

        An empty last version means that the newest release has it.
        """
        start = "\n" + key.replace("-", "_") + "\t"
        return join_spans([span_of(line) for line in find_lines(self.text, start)], self.versions)

    def find_short(self, letters: str) -> str | None:
        """Find the name of the option that has the short flag `-tp`."""
        for line in self._lines():
            if not line.startswith("=") and f"-{letters}" in line.split("\t")[4].split(","):
                return line.split("\t", 1)[0]
        return None

    def names(self) -> list[str]:
        """List the options of this version, sorted."""
        return [line.split("\t", 1)[0] for line in self._lines() if not line.startswith("=")]

    def options(self) -> list[Option]:
        """Read every option of this version, sorted by name."""
        found = (self.find(name) for name in self.names())
        return [option for option in found if option]

    def _find_name(self, name: str) -> Option | None:
        for line in find_lines(self.text, "\n" + name + "\t"):
            if self._holds(line):
                return parse_option(line, self._lifetime(name))
        return None

    def _find_alias(self, name: str) -> Option | None:
        for line in find_lines(self.text, "\n=" + name + "\t"):
            if self._holds(line):
                option = self._find_name(line.rsplit("\t", 1)[1])
                return option and replace(option, name=name, flag=flag_of(name))
        return None

    def _find_inverse(self, name: str) -> Option | None:
        if name.startswith("no_"):
            option = self._find_name(name[3:])
            return invert(option, name) if option and option.twin else None
        option = self._find_name(swap_prefix(name))
        return invert(option, name) if option and option.swap else None

    def _lines(self) -> Iterator[str]:
        start = self.text.index("\n", self.text.index(VERSIONS) + 1) + 1
        return (line for line in self.text[start:].splitlines() if self._holds(line))

    def _holds(self, line: str) -> bool:
        return span_holds(span_of(line), self.version, self.versions)

    def _lifetime(self, name: str) -> Span:
        spans = self.history(name)
        return next(span for span in spans if span_holds(span, self.version, self.versions))


def open_catalogue(text: str, asked: str) -> Catalogue:
    """Make the catalogue for a version of vLLM; an empty text stands for one not known."""
    start = text.index(VERSIONS) + len(VERSIONS)
    versions = tuple(text[start : text.index("\n", start)].split(" "))
    choice = choose_version(asked, versions)
    return Catalogue(
        text=text,
        asked=asked,
        version=choice.version,
        match=choice.match,
        versions=versions,
        memo={},
    )
