"""Lines of the data files, and that they are read back as they were meant."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.server.catalogue.lookup import open_catalogue
from tools.catalogue.render import render_environment, render_help, render_options, render_row

PORT = {"kind": "integer", "flags": ["--port", "-p"], "default": 8000, "help": "Port number."}
LORA = {
    "kind": "flag",
    "flags": ["--enable-lora"],
    "negatives": ["--no-enable-lora", "--disable-lora"],
    "default": None,
}
FOUND: dict[str, Any] = {
    "0.1.0": {"options": {"port": PORT}, "environment": ["VLLM_A"]},
    "0.2.0": {"options": {"port": PORT, "enable_lora": LORA}, "environment": []},
}
WHEELS = {"0.1.0": "vllm-0.1.0.whl", "0.2.0": "vllm-0.2.0.whl"}


def test_options_read_back_are_those_rendered() -> None:
    catalogue = open_catalogue("\n" + render_options(FOUND, WHEELS), "0.2.0")
    port, lora = catalogue.find("port"), catalogue.find("enable_lora")
    assert port
    assert lora
    assert (port.flags, port.default, port.since, port.until) == (
        ("--port", "-p"),
        8000,
        "0.1.0",
        "",
    )
    assert (lora.negative, lora.swap, lora.since) == ("--no-enable-lora", True, "0.2.0")


def test_rendering_is_the_same_each_time() -> None:
    assert render_options(FOUND, WHEELS) == render_options(FOUND, WHEELS)


def test_header_names_the_wheels() -> None:
    assert "#   vllm-0.1.0.whl\n#   vllm-0.2.0.whl\n" in render_options(FOUND, WHEELS)


def test_help_and_environment_have_their_ranges() -> None:
    assert render_help(FOUND, WHEELS).endswith("\nport\t0.1.0-\tPort number.\n")
    assert render_environment(FOUND, WHEELS).endswith("\nVLLM_A\t0.1.0-0.1.0\n")


def test_choice_that_breaks_the_format_is_an_error() -> None:
    with pytest.raises(ValueError, match="breaks the format"):
        render_row("x", {"kind": "string", "flags": ["--x"], "choices": ["a|b"]})


def test_negative_flag_of_a_new_kind_is_an_error() -> None:
    with pytest.raises(ValueError, match="new kind of negative flag"):
        render_row("x", {"kind": "flag", "flags": ["--x"], "negatives": ["--un-x"]})
