"""What the options mean, and which environment variables vLLM knows. Pure.

Both take the text of a data file (`data.load_help`, `data.load_environment`) and a catalogue, which
says for which version.
"""

from __future__ import annotations

from launcher.server.catalogue.lines import find_lines, join_spans, span_holds, span_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.server.catalogue.lines import Span
    from launcher.server.catalogue.lookup import Catalogue


def find_help(text: str, catalogue: Catalogue, name: str) -> str:
    """Return the first paragraph of the help of an option; empty where vLLM has none."""
    for line in find_lines(text, "\n" + name + "\t"):
        if span_holds(span_of(line), catalogue.version, catalogue.versions):
            return line.split("\t", 2)[2]
    return ""


def environment_names(text: str, catalogue: Catalogue) -> list[str]:
    """List the `VLLM_*` variables of the catalogue's version, sorted."""
    lines = (line for line in text.splitlines() if line.startswith("VLLM_"))
    return [line.split("\t", 1)[0] for line in lines if _holds(line, catalogue)]


def environment_known(text: str, catalogue: Catalogue, name: str) -> bool:
    """Tell whether this version of vLLM knows an environment variable."""
    return any(_holds(line, catalogue) for line in find_lines(text, "\n" + name + "\t"))


def environment_history(text: str, catalogue: Catalogue, name: str) -> tuple[Span, ...]:
    """Return first and last version of each time that vLLM knew a variable; () for never."""
    spans = [span_of(line) for line in find_lines(text, "\n" + name + "\t")]
    return join_spans(spans, catalogue.versions)


def _holds(line: str, catalogue: Catalogue) -> bool:
    return span_holds(span_of(line), catalogue.version, catalogue.versions)
