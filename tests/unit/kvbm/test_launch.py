from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from launcher.cli.transfers import with_transfers
from launcher.config.document import parse_toml
from launcher.config.layers import layer
from launcher.config.problems import Origin
from launcher.kvbm.layers import find_value
from launcher.server.read import read_config

if TYPE_CHECKING:
    from launcher.server.model import LauncherConfig

ENABLED = "[kvbm]\nenable = true\ncache.host.num_blocks = 1\n"
OTHER = '{ kv_connector = "N", kv_role = "kv_both" }'


def launched(text: str, environ: dict[str, str] | None = None) -> LauncherConfig:
    document = parse_toml(text, Origin(kind="file", name="vllm.toml"))
    assert layer((document,)).data == document.data
    return with_transfers(read_config((document,)), environ or {})


def option(config: LauncherConfig, path: str) -> object:
    found = config.instances[0].option("kv_transfer_config")
    assert found is not None, config.problems
    return find_value({"option": found.value}, ("option", *path.split(".")))


def test_instance_gets_the_option_at_its_table() -> None:
    config = launched(ENABLED + "[instance.a]")
    assert option(config, "kv_connector") == "DynamoConnector"
    found = config.instances[0].option("kv_transfer_config")
    assert found is not None
    assert found.path == ("kvbm",)


def test_disabled_instance_gets_nothing() -> None:
    config = launched(ENABLED + "[instance.a.control]\nenabled = false")
    assert config.instances[0].options == ()


def test_variables_of_the_instance_reach_kvbm() -> None:
    text = (
        ENABLED
        + "[master.env]\nKVBM_RAYON_NUM_THREADS = 2\n[instance.a.env]\nKVBM_RAYON_NUM_THREADS = 3"
    )
    config = launched(text, {"KVBM_RAYON_NUM_THREADS": "1"})
    assert option(config, "kv_connector_extra_config.default.rayon.num_threads") == 3


@pytest.mark.parametrize(
    "own",
    [
        f"[instance.a.server]\nkv_transfer_config = {OTHER}",
        "[instance.a.server]\nextra_args = ['--kv-transfer-config', '{\"kv_connector\": \"N\"}']",
        "[instance.server]\nextra_args = ['--kv_transfer_config={}']",
    ],
)
def test_own_option_without_asking_is_a_problem(own: str) -> None:
    config = launched(ENABLED + "[instance.a]\n" + own)
    messages = [problem.message for problem in config.problems]
    assert messages == ["'kv_transfer_config' is set here, and [kvbm] sets it too"]


def test_own_option_if_asked_becomes_a_child() -> None:
    text = ENABLED + "multi_connector = true\n[instance.a.server]\n"
    child = json.dumps({"kv_connector": "N", "kv_role": "kv_both"})
    text += f"extra_args = ['--x', '--kv-transfer-config', '{child}', '--y']"
    config = launched(text)
    assert option(config, "kv_connector") == "MultiConnector"
    assert config.instances[0].extra_args == ("--x", "--y")
