"""`prefetch`: what is read ahead for an instance, and why not."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.process.spec import Prefetch
from launcher.server.prefetch import ReadAhead, find_hub
from tests.support.facts import plan_text

ENVIRON = {"HOME": "/home/ada", "PATH": "/usr/bin"}


def ahead(toml: str, **facts: Any) -> ReadAhead:
    """Return what is read for the only instance."""
    plan = plan_text(toml, **{"environ": ENVIRON, **facts})
    [instance] = plan.instances
    assert plan.prefetches() == ((instance.ahead.order,) if instance.ahead.order else ())
    return instance.ahead


def server(text: str, master: str = "", more: str = "") -> str:
    return f"[master]\n{master}\n[instance.a.server]\n{text}\n{more}"


def test_model_is_read_from_its_folder_or_the_hub() -> None:
    assert ahead(server('model = "org/model"\nrevision = "v2"')).order == Prefetch(
        name="a",
        model="org/model",
        revision="v2",
        hub="/home/ada/.cache/huggingface/hub",
        patterns=("consolidated*.safetensors", "*.safetensors", "*.bin", "*.pt"),
    )


def test_download_dir_is_where_the_model_is() -> None:
    order = ahead(server('model = "org/model"\ndownload_dir = "/models"')).order
    assert order is not None
    assert order.hub == "/models"


def test_extra_arguments_have_the_last_word() -> None:
    text = 'model = "a"\nextra_args = ["--model", "/models/b", "--load-format=safetensors"]'
    order = ahead(server(text)).order
    assert order is not None
    assert (order.model, order.patterns) == ("/models/b", ("*.safetensors",))


def test_variables_of_the_instance_say_where_the_hub_is() -> None:
    text = server('model = "org/model"', more='[instance.a.env]\nHF_HOME = "/data/hf"')
    order = ahead(text).order
    assert order is not None
    assert order.hub == "/data/hf/hub"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('model = "m"\nload_format = "dummy"', "load format 'dummy'"),
        ('model = "m"\nload_format = "runai_streamer"', "load format 'runai_streamer'"),
        ('model = "m"\nextra_args = ["--load-format", "tensorizer"]', "load format 'tensorizer'"),
        ('model = "s3://bucket/m"', "the model is not on a file system"),
        ("port = 8000", "no model is named"),
    ],
)
def test_nothing_is_read_where_there_is_nothing_on_a_disk(text: str, reason: str) -> None:
    assert ahead(server(text)) == ReadAhead(reason=reason)


def test_weight_cache_loads_its_weights_itself() -> None:
    text = server('model = "m"', more="[instance.a.control]\nweight_cache = true")
    assert ahead(text) == ReadAhead(reason="load format 'ipc_cache'")


def test_nothing_is_known_of_another_module() -> None:
    text = server('model = "m"', 'api_server_module = "my.server"')
    assert ahead(text) == ReadAhead(reason="nothing is known of 'my.server'")


def test_model_of_modelscope_is_not_looked_for() -> None:
    environ = {**ENVIRON, "VLLM_USE_MODELSCOPE": "True"}
    assert ahead(server('model = "m"'), environ=environ).reason == "the model is ModelScope's"


@pytest.mark.parametrize(
    ("master", "own", "network"),
    [("auto", "", False), ("always", "", True), ("off", "always", True), ("always", "auto", False)],
)
def test_network_file_systems_are_read_if_that_is_asked_for(
    master: str, own: str, network: bool
) -> None:
    more = f'[instance.a.control]\nprefetch = "{own}"' if own else ""
    order = ahead(server('model = "m"', f'prefetch = "{master}"', more)).order
    assert order is not None
    assert order.network is network


@pytest.mark.parametrize(
    "text",
    [
        server('model = "m"', 'prefetch = "off"'),
        server('model = "m"', more='[instance.a.control]\nprefetch = "off"'),
    ],
)
def test_off_is_off(text: str) -> None:
    assert ahead(text) == ReadAhead(reason="as configured")


@pytest.mark.parametrize(
    ("environ", "hub"),
    [
        ({}, ""),
        ({"HOME": "/h"}, "/h/.cache/huggingface/hub"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub"),
        ({"HOME": "/h", "HF_HOME": "~/hf"}, "/h/hf/hub"),
        ({"HF_HOME": "/hf", "HUGGINGFACE_HUB_CACHE": "/old"}, "/old"),
        ({"HUGGINGFACE_HUB_CACHE": "/old", "HF_HUB_CACHE": "/new"}, "/new"),
    ],
)
def test_hub_is_where_huggingface_keeps_it(environ: dict[str, str], hub: str) -> None:
    assert find_hub(environ) == hub
