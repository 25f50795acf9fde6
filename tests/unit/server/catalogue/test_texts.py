"""Help and environment names, by version; the schema made of them."""

from __future__ import annotations

import pytest

from launcher.server.catalogue.data import load_catalogue, load_environment, load_help
from launcher.server.catalogue.schema import render_schema
from launcher.server.catalogue.texts import (
    environment_history,
    environment_known,
    environment_names,
    find_help,
)

CATALOGUE = load_catalogue("0.32.0")
ENVIRONMENT = load_environment()


def test_help_is_the_first_paragraph() -> None:
    assert find_help(load_help(), CATALOGUE, "port") == "Port number."


def test_help_of_an_unknown_option_is_empty() -> None:
    assert find_help(load_help(), CATALOGUE, "nonsense") == ""


def test_environment_knows_a_variable() -> None:
    assert environment_known(ENVIRONMENT, CATALOGUE, "VLLM_LOGGING_LEVEL")
    assert not environment_known(ENVIRONMENT, CATALOGUE, "VLLM_LOGING_LEVEL")


def test_environment_follows_the_version() -> None:
    assert environment_known(ENVIRONMENT, load_catalogue("0.11.0"), "VLLM_USE_V1")
    assert not environment_known(ENVIRONMENT, CATALOGUE, "VLLM_USE_V1")
    assert environment_history(ENVIRONMENT, CATALOGUE, "VLLM_USE_V1")[0][0] == "0.11.0"


def test_environment_names_are_sorted_and_plausible() -> None:
    names = environment_names(ENVIRONMENT, CATALOGUE)
    assert names == sorted(names)
    assert len(names) == 307


def test_schema_has_every_option() -> None:
    schema = render_schema(CATALOGUE, load_help())
    assert list(schema["properties"]) == CATALOGUE.names()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("port", {"type": "integer", "description": "Port number.", "default": 8000}),
        (
            "uvicorn_log_level",
            {
                "enum": ["critical", "debug", "error", "info", "trace", "warning"],
                "description": "Log level for uvicorn.",
                "default": "info",
            },
        ),
        (
            "allow_credentials",
            {"type": "boolean", "description": "Allow credentials.", "default": False},
        ),
    ],
)
def test_schema_of_an_option(name: str, expected: dict[str, object]) -> None:
    assert render_schema(CATALOGUE, load_help())["properties"][name] == expected
