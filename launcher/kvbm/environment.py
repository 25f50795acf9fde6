"""The `KVBM_*` variables: which there are, and what their text means.

Every variable becomes a document of its own with one value in it, so that a message can name it.
The caller hands over the environment; nothing here reads it.
"""

from __future__ import annotations

from launcher.config.document import Document, parse_toml
from launcher.config.problems import ERROR, WARNING, Origin, Problem
from launcher.config.reader import Refusal
from launcher.errors import ConfigError
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.config.problems import TomlValue

PREFIX = "KVBM_"
CONFIG_PATH = "KVBM_CONFIG_PATH"
# Variables that KVBM or its vLLM connector reads, and that set none of our fields.
OTHER_VARIABLES: Mapping[str, str] = {
    CONFIG_PATH: "Path of a TOML file.",
    "KVBM_DISABLE_MAX_VERSION_CHECK": "Let the connector load in a newer vLLM than it knows.",
}
SHOWN = 60  # characters of a value that a message repeats


@record
class Variable:
    """One variable: the field it sets, and how its text is read.

    `instead_of` names the variable that wins over this one: the same field, spelled as KVBM itself
    spells it.
    """

    name: str
    path: tuple[str, ...]
    kind: str
    instead_of: str = ""


def _variable(name: str, path: str, kind: str, instead_of: str = "") -> Variable:
    return Variable(
        name=PREFIX + name, path=tuple(path.split(".")), kind=kind, instead_of=instead_of
    )


# The manual's table.
MANUAL_VARIABLES = (
    _variable("TOKIO_WORKER_THREADS", "tokio.worker_threads", "integer"),
    _variable("TOKIO_MAX_BLOCKING_THREADS", "tokio.max_blocking_threads", "integer"),
    _variable("RAYON_NUM_THREADS", "rayon.num_threads", "integer"),
    _variable("NOVA_BACKEND_TCP_PORT", "nova.backend.tcp_port", "integer"),
    _variable("NOVA_BACKEND_TCP_ADDR", "nova.backend.tcp_addr", "string"),
    _variable("NOVA_BACKEND_TCP_INTERFACE", "nova.backend.tcp_interface", "string"),
    _variable("CACHE_HOST_SIZE_GB", "cache.host.cache_size_gb", "float"),
    _variable("CACHE_HOST_NUM_BLOCKS", "cache.host.num_blocks", "integer"),
    _variable("CACHE_DISK_SIZE_GB", "cache.disk.cache_size_gb", "float"),
    _variable("CACHE_DISK_NUM_BLOCKS", "cache.disk.num_blocks", "integer"),
)

# What KVBM reads besides: its own spelling of the two sizes, and fields the manual has none for.
EXTRA_VARIABLES = (
    _variable(
        "CACHE_HOST_CACHE_SIZE_GB", "cache.host.cache_size_gb", "float", "KVBM_CACHE_HOST_SIZE_GB"
    ),
    _variable(
        "CACHE_DISK_CACHE_SIZE_GB", "cache.disk.cache_size_gb", "float", "KVBM_CACHE_DISK_SIZE_GB"
    ),
    _variable("CACHE_DISK_USE_GDS", "cache.disk.use_gds", "boolean"),
    _variable("CACHE_DISK_STORAGE_PATH", "cache.disk.storage_path", "string"),
    _variable("CACHE_PARALLELISM", "cache.parallelism", "string"),
    _variable("ONBOARD_MODE", "onboard.mode", "string"),
    _variable("NIXL_BACKENDS", "nixl.backends", "table"),
    _variable("NOVA_DISCOVERY_TYPE", "nova.discovery.type", "string"),
    _variable("NOVA_DISCOVERY_CLUSTER_ID", "nova.discovery.cluster_id", "string"),
    _variable("NOVA_DISCOVERY_ENDPOINTS", "nova.discovery.endpoints", "list"),
    _variable("NOVA_DISCOVERY_TTL_SECS", "nova.discovery.ttl_secs", "integer"),
    _variable(
        "NOVA_DISCOVERY_OPERATION_TIMEOUT_SECS", "nova.discovery.operation_timeout_secs", "integer"
    ),
    _variable("NOVA_DISCOVERY_MAX_RETRIES", "nova.discovery.max_retries", "integer"),
    _variable("NOVA_DISCOVERY_BOOTSTRAP_PEERS", "nova.discovery.bootstrap_peers", "list"),
    _variable("NOVA_DISCOVERY_LISTEN_PORT", "nova.discovery.listen_port", "integer"),
    _variable("NOVA_DISCOVERY_REPLICATION_FACTOR", "nova.discovery.replication_factor", "integer"),
    _variable("NOVA_DISCOVERY_ENABLE_MDNS", "nova.discovery.enable_mdns", "boolean"),
    _variable("NOVA_DISCOVERY_RECORD_TTL_SECS", "nova.discovery.record_ttl_secs", "integer"),
    _variable("NOVA_DISCOVERY_PATH", "nova.discovery.path", "string"),
)
# Lowest first: the manual's spelling of a field wins over the other one.
VARIABLES = (*EXTRA_VARIABLES, *MANUAL_VARIABLES)


@record
class Environment:
    """What the variables say, one document each, lowest first."""

    documents: tuple[Document, ...]
    problems: tuple[Problem, ...]


def parse_environment(environ: Mapping[str, str], *, strict: bool = False) -> Environment:
    """Read the `KVBM_*` variables of an environment.

    Names count in any case, as KVBM itself reads them. A variable that is empty, or blank, is not
    set. With `strict`, an unknown name is an error instead of a warning.
    """
    given = _given(environ)
    known = {variable.name for variable in VARIABLES} | set(OTHER_VARIABLES)
    severity = ERROR if strict else WARNING
    problems = [_unknown(name, known, severity) for name in given if name not in known]
    documents = []
    for variable in VARIABLES:
        if variable.name not in given:
            continue
        written = given[variable.name]
        try:
            documents.append(_document(variable, written))
        except Refusal as refusal:
            problems.append(_refused(variable, refusal))
        other = given.get(variable.instead_of, written)
        if other != written:
            problems.append(_disagreement(variable))
    return Environment(documents=tuple(documents), problems=tuple(problems))


def _given(environ: Mapping[str, str]) -> dict[str, str]:
    given: dict[str, str] = {}
    # Names in capitals come last, and so win over the same name in small letters.
    for name in sorted(environ, key=lambda name: (name == name.upper(), name)):
        folded = name.upper()
        if folded.startswith(PREFIX) and environ[name].strip():
            given[folded] = environ[name].strip()
    return given


def _document(variable: Variable, written: str) -> Document:
    value: TomlValue = READERS[variable.kind](written)
    for part in reversed(variable.path):
        value = {part: value}
    assert isinstance(value, dict)  # noqa: S101  (for the type checker: a path is never empty)
    origin = Origin(kind="environment", name=variable.name)
    return Document(origin=origin, text=written, data=value)


def _unknown(name: str, known: set[str], severity: str) -> Problem:
    # Imported only for a user who made a mistake: difflib is not for free.
    from launcher.config.suggest import find_nearest  # noqa: PLC0415

    nearest = find_nearest(name, known)
    return Problem(
        message=f"no setting of KVBM is called '{name}'",
        hint=f"did you mean '{nearest}'?" if nearest else "'vllmd kvbm --help' lists the names",
        severity=severity,
        origin=Origin(kind="environment", name=name),
    )


def _refused(variable: Variable, refusal: Refusal) -> Problem:
    return Problem(
        message=refusal.message,
        hint=refusal.hint,
        origin=Origin(kind="environment", name=variable.name),
        path=variable.path,
    )


def _disagreement(variable: Variable) -> Problem:
    return Problem(
        message=f"'{variable.instead_of}' says otherwise, and wins",
        hint=f"unset {variable.name}",
        severity=WARNING,
        origin=Origin(kind="environment", name=variable.name),
        path=variable.path,
    )


# Reading. KVBM takes plain decimal numbers only, so Python's wider taste (1_000, nan, other
# scripts' digits) is kept out.


def _integer(written: str) -> TomlValue:
    digits = written[1:] if written[:1] in "+-" else written
    if not _is_number(digits) or len(digits) > SHOWN:
        hint = "write digits only"
        raise Refusal(f"expected an integer, got '{_shown(written)}'", hint)
    return int(written)


def _float(written: str) -> TomlValue:
    unsigned = written[1:] if written[:1] in "+-" else written
    if _is_number(unsigned) and len(unsigned) <= SHOWN:
        return float(written)
    mantissa, _, exponent = unsigned.replace("E", "e").partition("e")
    whole, point, fraction = mantissa.partition(".")
    exponent_digits = exponent[1:] if exponent[:1] in {"+", "-"} else exponent
    fits = (
        point
        and _is_number(whole + fraction)
        and _is_number(exponent_digits or "0")
        and not unsigned.lower().endswith(("e", "+", "-"))
    )
    if not fits:
        raise Refusal(f"expected a number, got '{_shown(written)}'", "write it like 4 or 4.5")
    return float(written)


def _boolean(written: str) -> TomlValue:
    if written in {"true", "false"}:
        return written == "true"
    hint = "write true or false in small letters"
    raise Refusal(f"expected true or false, got '{_shown(written)}'", hint)


def _string(written: str) -> TomlValue:
    # KVBM needs quotes around text that looks like a number; whoever wrote them means the text.
    if len(written) > 1 and written[0] == written[-1] == '"':
        return written[1:-1]
    return written


def _list(written: str) -> TomlValue:
    value = _toml(written)
    if isinstance(value, list):
        return value
    if written.startswith("[") and written.endswith("]"):
        inner = written[1:-1].strip()
        # KVBM takes words without quotes, which TOML does not.
        return [part.strip().strip('"') for part in inner.split(",")] if inner else []
    raise Refusal("expected a list in brackets", 'write it like ["one", "two"]')


def _table(written: str) -> TomlValue:
    value = _toml(written)
    if isinstance(value, dict):
        return value
    raise Refusal("expected a table in braces", "write it like {UCX={},POSIX={}}")


def _toml(written: str) -> TomlValue:
    try:
        document = parse_toml(f"value = {written}", Origin(kind="environment", name=PREFIX))
    except ConfigError:
        return None
    # "1\nother = 2" would parse, as two settings.
    return document.data["value"] if len(document.data) == 1 else None


def _is_number(digits: str) -> bool:
    return digits.isascii() and digits.isdigit()


def _shown(written: str) -> str:
    return written if len(written) <= SHOWN else f"{written[:SHOWN]}..."


READERS = {
    "integer": _integer,
    "float": _float,
    "boolean": _boolean,
    "string": _string,
    "list": _list,
    "table": _table,
}
