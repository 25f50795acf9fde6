"""Tasks and variables of one environment of a manifest."""

from __future__ import annotations

import pytest
import tomli

from launcher.pixi.manifest import Manifest, parse_manifest

FEATURES = """
[activation.env]
ALL = "1"
[tasks]
lint = "x"
[target.linux-64.activation.env]
LINUX = "1"
[target.win-64.activation.env]
WINDOWS = "1"
[feature.cuda.activation.env]
CUDA = "1"
[feature.cuda.target.unix.tasks]
python = "x"
[feature.docs.tasks]
docs = "x"
[environments]
cuda = ["cuda"]
bare = { features = ["cuda"], no-default-feature = true }
whole = { features = ["docs"] }
"""


@pytest.mark.parametrize(
    ("environment", "tasks", "variables"),
    [
        ("default", {"lint"}, {"ALL", "LINUX"}),
        ("cuda", {"lint", "python"}, {"ALL", "LINUX", "CUDA"}),
        ("bare", {"python"}, {"CUDA"}),
        ("whole", {"lint", "docs"}, {"ALL", "LINUX"}),
        ("unknown", {"lint"}, {"ALL", "LINUX"}),
    ],
)
def test_environment_has_what_its_features_have(
    environment: str, tasks: set[str], variables: set[str]
) -> None:
    manifest = parse_manifest(FEATURES, "pixi.toml", environment)
    assert (set(manifest.tasks), set(manifest.variables)) == (tasks, variables)


def test_activation_has_the_scripts_and_what_is_set_last() -> None:
    text = (
        '[activation]\nscripts = ["a.sh", 1]\nenv = { A = "1", B = "1", "no-name" = "1", C = 2 }\n'
        '[target.linux.activation]\nscripts = ["b.sh"]\nenv = { B = "2" }\n'
        '[target.win.activation]\nscripts = ["b.bat"]\n'
    )
    activation = parse_manifest(text, "pixi.toml", "default").activation
    assert activation.scripts == ("a.sh", "b.sh")
    assert activation.variables == (("A", "1"), ("B", "2"))


def test_pyproject_is_read_below_its_tool_table() -> None:
    text = '[tasks]\nother = "x"\n[tool.pixi.tasks]\npython = "x"\n'
    assert parse_manifest(text, "pyproject.toml", "default").tasks == {"python"}


@pytest.mark.parametrize(
    "text",
    ["", "tasks = 1", "activation = []", "[activation]\nenv = 1", "feature = 1\nenvironments = 2",
     "[environments]\ndefault = 3"],
)  # fmt: skip
def test_manifest_of_another_form_is_left_to_pixi(text: str) -> None:
    assert parse_manifest(text, "pixi.toml", "default") == Manifest()


def test_manifest_that_is_not_toml_is_refused() -> None:
    with pytest.raises(tomli.TOMLDecodeError):
        parse_manifest("[tasks", "pixi.toml", "default")
