"""`VLLMD_*` variables, by the registry: every kind, every mistake, all mistakes at once."""

from __future__ import annotations

import pytest

from launcher.config.reader import Refusal
from launcher.errors import ConfigError
from launcher.hypervisor.environment import EnvironmentReader, expand_path
from launcher.hypervisor.variables import PRESENCE, VARIABLES

KERNEL = "VLLMD_HYPERVISOR_KERNEL_FILEPATH"
CPUS = "VLLMD_HYPERVISOR_CPU_COUNT"
HOME = {"HOME": "/home/ada"}


def refused(environ: dict[str, str], *names: str) -> list[tuple[str, str, str]]:
    """Read some variables by their kinds; return name, message and hint of each problem."""
    reader = EnvironmentReader(environ)
    for name in names:
        read_any(reader, name)
    return [(each.origin.name, each.message, each.hint) for each in reader.problems if each.origin]


def read_any(reader: EnvironmentReader, name: str) -> object:
    kind = VARIABLES[name].kind
    getter = {"list": "items"}.get(kind, kind)
    value: object = getattr(reader, getter)(name)
    return value


@pytest.mark.parametrize("name", [name for name, row in VARIABLES.items() if not row.required])
def test_variable_without_value_has_its_default(name: str) -> None:
    reader = EnvironmentReader({**HOME, name: "  "})
    value = read_any(reader, name)
    row = VARIABLES[name]
    expected: dict[str, object] = {
        "integer": 4,
        "seconds": 20.0,
        "boolean": False,
        "presence": False,
        "list": (),
    }
    assert value == expected.get(row.kind, row.default.replace("$HOME", "/home/ada"))
    assert reader.finish() == ()


@pytest.mark.parametrize("name", [name for name, row in VARIABLES.items() if row.required])
def test_required_variable_without_value_is_a_problem(name: str) -> None:
    hint = f"set it: {VARIABLES[name].doc}"
    assert refused({name: ""}, name) == [(name, "this variable is required", hint)]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        (KERNEL, " /boot/vmlinuz ", "/boot/vmlinuz"),
        (KERNEL, "$HOME/vmlinuz", "/home/ada/vmlinuz"),
        (CPUS, "8", 8),
        ("VLLMD_HYPERVISOR_STOP_TIMEOUT", "1.5", 1.5),
        ("VLLMD_HYPERVISOR_DRY_RUN", "TRUE", True),
        ("VLLMD_DISABLE_NETWORK", "0", False),
        ("VLLMD_HYPERVISOR_DEBUG", "false", True),
        ("VLLMD_HYPERVISOR_LOG_LEVEL", "debug", "DEBUG"),
        ("VLLMD_HUGEPAGES_SIZE", "1G", "1G"),
        ("VLLMD_HYPERVISOR_PUBLISH", "8000:8000, ,9000:80", ("8000:8000", "9000:80")),
        ("VLLMD_KVM_GROUP", "wheel", "wheel"),
    ],
)
def test_variable_of_each_kind_is_read(name: str, text: str, value: object) -> None:
    reader = EnvironmentReader({**HOME, name: text})
    assert read_any(reader, name) == value
    assert reader.finish() == ()


@pytest.mark.parametrize(
    ("name", "text", "message", "hint"),
    [
        (CPUS, "0", "expected a whole number of at least 1, got 0", "write 1 or more"),
        (CPUS, "4x", "expected a whole number of at least 1, got '4x'", "write digits only"),
        (CPUS, "four", "expected a whole number of at least 1, got 'four'", "write digits only"),
        (CPUS, "9" * 19, f"expected a whole number of at least 1, got '{'9' * 19}'",
         "write digits only"),
        ("VLLMD_HYPERVISOR_STOP_TIMEOUT", "1e3",
         "expected a number of seconds above 0, got '1e3'", "write it like 20 or 1.5"),
        ("VLLMD_HYPERVISOR_STOP_TIMEOUT", "0",
         "expected a number of seconds above 0, got '0'", "write it like 20 or 1.5"),
        ("VLLMD_HYPERVISOR_DRY_RUN", "maybe",
         "expected true or false, got 'maybe'", "write true or false"),
        ("VLLMD_HUGEPAGES_SIZE", "4M", "expected one of '2M', '1G', got '4M'",
         "write one of these"),
        ("VLLMD_HYPERVISOR_BACKEND", "qemo",
         "expected one of 'auto', 'cloud-hypervisor', 'qemu', got 'qemo'", "did you mean 'qemu'?"),
        ("VLLMD_HYPERVISOR_BACKEND", "xen",
         "expected one of 'auto', 'cloud-hypervisor', 'qemu', got 'xen'", "write one of these"),
        (KERNEL, "$NOWHERE/k", "'$NOWHERE' in it is not set",
         "export NOWHERE, or write the path in full"),
    ],
)  # fmt: skip
def test_wrong_value_is_refused_with_a_hint(name: str, text: str, message: str, hint: str) -> None:
    assert refused({name: text}, name) == [(name, message, hint)]


def test_all_problems_are_told_at_once() -> None:
    reader = EnvironmentReader({CPUS: "x", "VLLMD_HYPERVISOR_BACKEND": "xen"})
    reader.integer(CPUS)
    reader.choice("VLLMD_HYPERVISOR_BACKEND")
    reader.path(KERNEL)
    with pytest.raises(ConfigError) as caught:
        reader.finish()
    assert len(caught.value.problems) == 3


def test_default_that_needs_a_home_without_one_is_a_problem() -> None:
    with pytest.raises(ConfigError) as caught:
        EnvironmentReader({}).path("VLLMD_HYPERVISOR_CONFIG")
    assert caught.value.problems[0].message == "'$HOME' in it is not set"


def test_value_that_a_parser_of_the_caller_refuses_is_a_problem() -> None:
    def parse(text: str) -> str:
        if text != "size=16G,shared=on":
            raise Refusal("no", "write it so")
        return text

    reader = EnvironmentReader({"VLLMD_HYPERVISOR_MEMORY_CONFIG": "x"})
    assert reader.read("VLLMD_HYPERVISOR_MEMORY_CONFIG", parse) == "size=16G,shared=on"
    assert [each.message for each in reader.problems] == ["no"]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("VLLMD_HYPERVISOR_CPUS_COUNT", "VLLMD_HYPERVISOR_CPU_COUNT"),
        ("VLLMD_HYPERVISOR_BRIDGE_NAME", "VLLMD_BRIDGE_NAME"),
        ("VLLMD_DRYRUN", "VLLMD_HYPERVISOR_DRY_RUN"),
        ("VLLMD_SSH_KEY", "VLLMD_SSH_KEY_PATH"),
    ],
)
def test_unknown_variable_is_a_warning_with_the_nearest_name(name: str, nearest: str) -> None:
    (warning,) = EnvironmentReader({name: "1", "VLLMD_SOCKET": "/s", "VLLMD_X": ""}).finish()
    assert (warning.severity, warning.hint) == ("warning", f"did you mean '{nearest}'?")
    assert warning.message == "no variable has this name, and nobody reads it"


def test_unknown_variable_like_no_other_is_a_warning_with_a_list() -> None:
    (warning,) = EnvironmentReader({"VLLMD_QQQQ": "1"}).finish()
    assert warning.hint == "'vllmd-hypervisor variables' lists the names"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("~", "/home/ada"),
        ("~/x", "/home/ada/x"),
        ("${HOME}/a$SUB", "/home/ada/ab"),
        ("/a/$", "/a/$"),
        ("/a/~", "/a/~"),
    ],
)
def test_path_is_expanded_like_in_a_shell(text: str, path: str) -> None:
    assert expand_path(text, {**HOME, "SUB": "b"}) == path


@pytest.mark.parametrize("text", ["~eve/x", "$NOWHERE/x", "/a\0b"])
def test_path_that_cannot_be_expanded_is_refused(text: str) -> None:
    with pytest.raises(Refusal):
        expand_path(text, HOME)


def test_wrong_getter_is_a_mistake_of_the_program() -> None:
    with pytest.raises(TypeError, match="holds presence, not text"):
        EnvironmentReader({}).text(next(n for n, v in VARIABLES.items() if v.kind == PRESENCE))
