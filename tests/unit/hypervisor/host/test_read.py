"""The host's file: every key of it, every variable over it, and every mistake at its line."""

from __future__ import annotations

import pytest

from launcher.config.document import parse_toml
from launcher.config.problems import Origin
from launcher.config.report import Locator, sort_problems
from launcher.hypervisor.host.model import HostConfig, Runtime
from launcher.hypervisor.host.read import Reading, read_host
from tests.support.hosts import REFERENCE

ONE = '[[runtimes]]\nindex = 1\nname = "one"\n'
TWO = '[[runtimes]]\nindex = 2\nname = "two"\n'


def read(text: str, **environ: str) -> Reading:
    file = parse_toml(text, Origin(kind="file", name="config.toml"))
    return read_host(file, {"HOME": "/home/ada", **environ}, "ada")


def config(text: str, **environ: str) -> HostConfig:
    reading = read(text, **environ)
    assert reading.problems == ()
    return reading.config


def complaints(text: str, **environ: str) -> list[tuple[str, str]]:
    """Return the place and the message of each problem."""
    reading = read(text, **environ)
    pairs = sort_problems(reading.problems, Locator(reading.tree.documents))
    return [
        (f"{spot.line}:{spot.column}" if spot.line else str(spot.origin and spot.origin.name),
         problem.message)
        for problem, spot in pairs
    ]  # fmt: skip


def test_example_is_read_as_written() -> None:
    found = config(REFERENCE)
    assert found.common.user == "sdake"
    assert found.common.state_dir == "/home/sdake/.local/state/vllmd-hypervisor"
    assert found.common.config_dir == "/home/sdake/.config/vllmd"
    assert found.runtimes == (
        Runtime(index=1, name="vllm-inference-1", gpus=("0000:01:00.0",), memory_gb=64, cpus=16),
        Runtime(index=2, name="vllm-inference-2", gpus=("0000:02:00.0",), memory_gb=32, cpus=8),
    )
    assert (found.network.default_interface, found.network.bridge_name) == ("eth0", "vllmd-br0")


def test_no_file_means_the_defaults() -> None:
    found = read_host(None, {"HOME": "/home/ada"}, "ada").config
    assert found.common.user == "ada"
    assert found.common.state_dir == "/home/ada/.local/state/vllmd-hypervisor"
    assert found.common.config_dir == "/home/ada/.config/vllmd"
    assert (found.common.default_memory_gb, found.common.default_cpus) == (16, 4)
    assert (found.network.default_interface, found.network.bridge_name) == ("", "vllmd-br0")
    assert (found.runtimes, found.path) == ((), "")


def test_runtime_without_sizes_and_gpus_has_the_defaults() -> None:
    assert config(ONE).runtimes == (Runtime(index=1, name="one", gpus=(), memory_gb=16, cpus=4),)


@pytest.mark.parametrize(
    ("variable", "value", "table", "key"),
    [
        ("VLLMD_HYPERVISOR_STATE_DIR", "/var/lib/vllmd", "common", "state_dir"),
        ("VLLMD_SYSTEMD_USER", "vllmd", "common", "user"),
        ("VLLMD_BRIDGE_NAME", "br7", "network", "bridge_name"),
        ("VLLMD_HOST_INTERFACE", "eno1", "network", "default_interface"),
    ],
)
def test_variable_wins_over_the_file(variable: str, value: str, table: str, key: str) -> None:
    found = config(REFERENCE, **{variable: value})
    assert getattr(getattr(found, table), key) == value


@pytest.mark.parametrize("text", ["$HOME/x", "${HOME}/x", "~/x", "/home/ada/x/"])
def test_path_is_expanded(text: str) -> None:
    assert config(f'[global]\nstate_dir = "{text}"').common.state_dir == "/home/ada/x"


def test_path_in_a_variable_is_expanded() -> None:
    found = config("", VLLMD_HYPERVISOR_STATE_DIR="$HOME/state")
    assert found.common.state_dir == "/home/ada/state"


def test_guest_of_a_runtime_stands_over_the_shared_one() -> None:
    text = f"""
[guest]
kernel = "/k"
image = "/i"
memory = "size=8G,shared=on"
publish = ["8000:8000"]
{ONE}
[runtimes.guest]
kernel = "~/k"
config = "$HOME/vllm.toml"
net = "user"
"""
    guest = config(text).runtimes[0].guest
    assert (guest.kernel, guest.image) == ("/home/ada/k", "/i")
    assert (guest.config, guest.publish) == ("/home/ada/vllm.toml", ("8000:8000",))
    assert (guest.memory, guest.net, guest.cpus) == ("size=8G,shared=on", "user", 0)


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("[globl]\n", "1:1", "unknown key 'globl'"),
        ("[instance.a]\n", "1:1", "unknown key 'instance'"),
        ("[global]\nusr = 'a'", "2:1", "unknown key 'usr' in [global]"),
        ("[global]\nuser = 'a b'", "2:8", "'a b' cannot be a user name"),
        ("[global]\nstate_dir = 'x'", "2:13", "expected an absolute path, got 'x'"),
        ("[global]\nconfig_dir = '$NO/x'", "2:14", "'$NO' in it is not set"),
        ("[global]\ndefault_memory_gb = 0", "2:21",
         "expected an integer, 1 to 65536, got 0"),
        ("[global]\ndefault_cpus = 1.5", "2:16", "expected an integer, 1 to 8192, got a float"),
        ("[global]\ndefault_cpus = true", "2:16", "expected an integer, 1 to 8192, got a boolean"),
        ("[runtimes]\nindex = 1", "1:1", "expected an array of tables, got a table"),
        ("[[runtimes]]\nname = 'one'", "1:1", "'one' has no index"),
        ("[[runtimes]]\nindex = 1", "1:1", "this runtime has no name"),
        (ONE + "memory_gb = -1", "4:13", "expected an integer, 1 to 65536, got -1"),
        (ONE + "cpus = 0", "4:8", "expected an integer, 1 to 8192, got 0"),
        (ONE + "gpus = ['01:00.0']", "4:9", "expected a PCI address in full, got '01:00.0'"),
        (ONE + "gpus = ['gpu']", "4:9", "'gpu' is no PCI address"),
        (ONE + "gpus = [0]", "4:9", "expected a string, got an integer"),
        (ONE + "gpus = '0000:01:00.0'", "4:8", "expected an array of strings, got a string"),
        (ONE + "gpus = ['0000:01:00.0', '0000:01:00.0']", "4:25", "'0000:01:00.0' is there twice"),
        ("[[runtimes]]\nindex = 0\nname = 'a'", "2:9", "expected an integer, 1 to 999999, got 0"),
        ("[[runtimes]]\nindex = 1\nname = 'a b'", "3:8",
         "'a b' cannot be the name of a runtime"),
        ("[[runtimes]]\nindex = 245\nname = 'a'", "2:9",
         "10.111.0.0/24 has no address for a runtime with this index"),
        (ONE + TWO.replace("2", "1"), "5:9", "another runtime has the index '1' already"),
        (ONE + TWO.replace("two", "one"), "6:8", "another runtime has the name 'one' already"),
        ("[network]\nbridge_name = 'a-bridge-with-a-long-name'", "2:15",
         "expected a name of at most 15 bytes, got 25"),
        ("[network]\nbridge_name = 'a/b'", "2:15",
         "'a/b' cannot be the name of a network interface"),
        ("[network]\ndefault_interface = ''", "2:21", "expected a string that is not empty"),
        ("[network]\nsubnet = '8.8.8.0/24'", "2:10",
         "expected a private network, /16 to /28, got '8.8.8.0/24'"),
        ("[network]\nsubnet = '10.1.1.1/24'", "2:10", "'10.1.1.1/24' is no IPv4 network"),
        ("[network]\njoin = 'yes'", "2:8", "expected a boolean, got a string"),
        ("[guest]\nmemory = 'size=1T'", "2:10",
         "size: '1T' is not a size"),
        ("[guest]\nconfig = '/x'", "2:10", "each runtime has a launcher's file of its own"),
        ("[guest]\nnet = 'bridge'", "2:7", "'bridge' is no part of a network"),
        ("[guest]\npublish = ['x']", "2:11", "'x' publishes no port"),
    ],
)  # fmt: skip
def test_mistake_is_told_at_its_place(text: str, place: str, message: str) -> None:
    assert complaints(text) == [(place, message)]


def test_gpu_of_two_runtimes_is_a_warning() -> None:
    gpus = 'gpus = ["0000:01:00.0"]\n'
    (problem,) = read(ONE + gpus + TWO + gpus).problems
    assert problem.severity == "warning"
    assert problem.message.startswith("another runtime has the GPU 0000:01:00.0 too")


def test_unknown_key_has_the_nearest_one_as_hint() -> None:
    (problem,) = read(ONE + "memory_db = 1").problems
    assert problem.hint == "did you mean 'memory_gb'?"


def test_wrong_variable_is_told_by_its_name() -> None:
    message = "'a b' cannot be the name of a network interface"
    assert complaints("", VLLMD_BRIDGE_NAME="a b") == [("VLLMD_BRIDGE_NAME", message)]


def test_all_mistakes_are_told_at_once() -> None:
    text = "[global]\nusr = 1\ndefault_cpus = 0\n[[runtimes]]\nindex = 0\n[network]\njoin = 1\n"
    assert len(complaints(text)) == 5


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("[global]\nstate_dir = '//'", "2:13", "'//' is the whole host"),
        ("[global]\nconfig_dir = '/'", "2:14", "'/' is the whole host"),
        ("[network]\nsubnet = '127.0.0.0/24'", "2:10",
         "expected a private network, /16 to /28, got '127.0.0.0/24'"),
        ("[network]\nbridge_name = 'all'", "2:15",
         "'all' cannot be the name of a network interface"),
        ("[network]\nbridge_name = 'vllmd-tap1'\n" + ONE, "2:15",
         "'vllmd-tap1' is the tap of the runtime 'one'"),
        ("[network]\nbridge_name = 'br0'\ndefault_interface = 'br0'", "3:21",
         "'br0' cannot be both the bridge and the host's interface"),
        (ONE.replace("one", "guest"), "3:8",
         "the folder 'guest' of the state directory is for what 'image build' makes"),
        (ONE + "guest.cmdline = 'quiet\\nExecStart=x'".replace("'", '"'), "4:17",
         "a line break or another control character is in it"),
        ('[global]\nstate_dir = "/x\\ny"', "2:13",
         "a line break or another control character is in it"),
    ],
)  # fmt: skip
def test_value_that_would_harm_the_host_is_refused(text: str, place: str, message: str) -> None:
    assert complaints(text) == [(place, message)]


@pytest.mark.parametrize("subnet", ["10.0.0.0/16", "172.20.0.0/20", "192.168.7.0/28"])
def test_private_subnets_are_taken(subnet: str) -> None:
    assert config(f"[network]\nsubnet = '{subnet}'").network.subnet == subnet
