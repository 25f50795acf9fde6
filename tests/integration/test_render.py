"""`vllmd render`: every example in every home, as the programs that will read it see it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.support.commands import Commands
from tests.support.rendering import require_tool
from tests.support.require import require_program

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "render"
EXAMPLES = sorted(
    path for path in (ROOT / "model-configs").glob("*.toml") if not path.name.startswith("kvbm.")
)
KINDS = ("compose", "quadlet", "systemd", "kubernetes")
# Those whose files are kept and looked at by a person; the others are checked by programs alone.
SHOWN = (
    "one-gpu",
    "four-gpus-tensor-parallel",
    "two-models-one-gpu",
    "two-nodes-tensor-parallel",
    "cpu-only",
)
KUBERNETES = ("1.31", "1.34")  # the API's schemas; a cluster is rarely older or newer
UPDATE = "VLLMD_UPDATE_GOLDEN"
OWN = "monitoring.coreos.com/v1"  # no schema of Kubernetes itself

every_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)


@pytest.fixture
def vllmd(tmp_path: Path) -> Commands:
    return Commands(tmp_path)


def _render(vllmd: Commands, kind: str, example: Path, *words: str) -> Path:
    folder = vllmd.folder / f"{example.stem}-{kind}"
    done = vllmd.run("render", kind, str(example), "-o", str(folder), *words)
    assert done.code == 0, done.err
    return folder


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SHOWN)
def test_rendered_example_is_the_one_that_was_reviewed(
    vllmd: Commands, kind: str, name: str
) -> None:
    folder = _render(vllmd, kind, ROOT / "model-configs" / f"{name}.toml")
    golden = GOLDEN / name / kind
    if os.environ.get(UPDATE):
        shutil.rmtree(golden, ignore_errors=True)
        shutil.copytree(folder, golden, ignore=shutil.ignore_patterns("*.toml"))
    texts = {path.name: path.read_text() for path in folder.iterdir() if path.suffix != ".toml"}
    kept = {path.name: path.read_text() for path in golden.iterdir()}
    assert texts == kept, f"look at the difference, then set {UPDATE}=1"


@every_example
def test_compose_file_is_taken_by_docker_compose(vllmd: Commands, example: Path) -> None:
    compose = require_tool("integration", "docker-compose")
    folder = _render(vllmd, "compose", example)
    names = re.findall(r"\$\{(\w+):", (folder / "compose.yaml").read_text())
    done = subprocess.run(
        [compose, "-f", str(folder / "compose.yaml"), "config"],
        env={**os.environ, **dict.fromkeys(names, "x")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    (service,) = yaml.safe_load(done.stdout)["services"].values()
    assert service["read_only"] is True


def test_compose_asks_for_a_secret_that_is_not_there(vllmd: Commands) -> None:
    compose = require_tool("integration", "docker-compose")
    folder = _render(vllmd, "compose", ROOT / "model-configs" / "one-gpu.toml")
    done = subprocess.run(
        [compose, "-f", str(folder / "compose.yaml"), "config"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "set QWEN_API_KEY in the environment or in .env" in done.stderr


@every_example
def test_quadlet_is_taken_by_podmans_generator(vllmd: Commands, example: Path) -> None:
    quadlet = require_tool("integration", "quadlet")
    folder = _render(vllmd, "quadlet", example)
    done = subprocess.run(
        [quadlet, "-dryrun"],
        env={"QUADLET_UNIT_DIRS": str(folder), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "Loading source" not in line]
    assert said == []
    assert "ExecStart=" in done.stdout
    assert "--sdnotify=container" in done.stdout


@every_example
def test_unit_is_taken_by_systemd(vllmd: Commands, example: Path) -> None:
    analyze = require_program("integration", "systemd-analyze")
    folder = _render(vllmd, "systemd", example, "--program", sys.executable)
    (unit,) = folder.glob("*.service")
    done = subprocess.run(
        [analyze, "verify", "--man=no", "--recursive-errors=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_unit_exposes_little(vllmd: Commands) -> None:
    analyze = require_program("integration", "systemd-analyze")
    folder = _render(vllmd, "systemd", ROOT / "model-configs" / "one-gpu.toml")
    (unit,) = folder.glob("*.service")
    done = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=40", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-400:]


@pytest.mark.parametrize("version", KUBERNETES)
@every_example
def test_manifests_are_valid_for_kubernetes(vllmd: Commands, example: Path, version: str) -> None:
    folder = _render(vllmd, "kubernetes", example, "--namespace", "inference")
    documents = list(yaml.safe_load_all((folder / "kubernetes.yaml").read_text()))
    assert {"ConfigMap", "Service"} <= {each["kind"] for each in documents}
    for document in documents:
        for validated in _with_schema(document):
            kubernetes_validate.validate(validated, version, strict=True)


def _with_schema(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what Kubernetes itself knows of a document: of a set, its pods."""
    if document["kind"] != "LeaderWorkerSet":
        return [] if document["apiVersion"] == OWN else [document]
    template = document["spec"]["leaderWorkerTemplate"]
    return [
        {"apiVersion": "v1", "kind": "Pod", **template[name]}
        for name in ("leaderTemplate", "workerTemplate")
    ]


def test_validator_refuses_what_kubernetes_does_not_know() -> None:
    broken = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "dta": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, KUBERNETES[0], strict=True)


def test_rendered_to_a_pipe_is_one_stream(vllmd: Commands) -> None:
    example = ROOT / "model-configs" / "two-models-one-gpu.toml"
    done = vllmd.run("render", "kubernetes", str(example), "--service-monitor")
    assert done.code == 0
    kinds = [document["kind"] for document in yaml.safe_load_all(done.out)]
    assert kinds.count("Deployment") == kinds.count("ServiceMonitor") == 2


def test_another_file_of_that_name_is_left_alone(vllmd: Commands) -> None:
    example = ROOT / "model-configs" / "one-gpu.toml"
    folder = _render(vllmd, "compose", example)
    (folder / "compose.yaml").write_text("mine\n")
    done = vllmd.run("render", "compose", str(example), "-o", str(folder))
    assert done.code == 64
    assert "add --force to replace it" in done.err
    assert (folder / "compose.yaml").read_text() == "mine\n"
    _render(vllmd, "compose", example, "--force")
    assert (folder / "compose.yaml").read_text() != "mine\n"


def test_link_is_replaced_and_never_followed(vllmd: Commands) -> None:
    example = ROOT / "model-configs" / "one-gpu.toml"
    folder, mine = vllmd.folder / "one-gpu-compose", vllmd.folder / "mine"
    folder.mkdir()
    (folder / "compose.yaml").symlink_to(mine)
    done = vllmd.run("render", "compose", str(example), "-o", str(folder))
    assert (done.code, mine.exists()) == (64, False)
    _render(vllmd, "compose", example, "--force")
    assert not (folder / "compose.yaml").is_symlink()
    assert not mine.exists()
    assert sorted(path.name for path in folder.iterdir()) == ["compose.yaml", "one-gpu.toml"]


def test_pipe_in_the_place_of_a_file_is_not_opened(vllmd: Commands) -> None:
    example = ROOT / "model-configs" / "one-gpu.toml"
    folder = vllmd.folder / "out"
    folder.mkdir()
    os.mkfifo(folder / "compose.yaml")
    done = vllmd.run("render", "compose", str(example), "-o", str(folder))
    assert done.code == 64


def test_quadlets_command_has_odd_values_as_they_are(vllmd: Commands) -> None:
    quadlet = require_tool("integration", "quadlet")
    text = """[instance.a.server]\nmodel = "/m/a $b %c/x"\nchat_template = '$A ${B} %h "'\n"""
    (vllmd.folder / "odd.toml").write_text(text)
    words = ("--set", """instance.a.server.chat_template='$A ${B} %h "'""")
    folder = _render(vllmd, "quadlet", vllmd.folder / "odd.toml", *words)
    done = subprocess.run(
        [quadlet, "-dryrun"],
        env={"QUADLET_UNIT_DIRS": str(folder), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    # systemd makes one of two, of dollars as of per cents.
    assert '-v "/m/a $$b %%c:/m/a $$b %%c:ro"' in done.stdout
    assert "$$A $${B} %%h" in done.stdout


def test_rendering_twice_changes_nothing(vllmd: Commands) -> None:
    example = ROOT / "model-configs" / "one-gpu.toml"
    first = {path: path.read_text() for path in _render(vllmd, "quadlet", example).iterdir()}
    second = {path: path.read_text() for path in _render(vllmd, "quadlet", example).iterdir()}
    assert first == second


def test_folder_that_cannot_be_written_is_a_clear_word(vllmd: Commands) -> None:
    (vllmd.folder / "file").write_text("")
    example = ROOT / "model-configs" / "one-gpu.toml"
    done = vllmd.run("render", "compose", str(example), "-o", str(vllmd.folder / "file"))
    assert done.code == 69
    assert "could not be written" in done.err


def test_broken_configuration_renders_nothing(vllmd: Commands) -> None:
    (vllmd.folder / "vllm.toml").write_text("[instance.a.control]\nenabld = true\n")
    done = vllmd.run("render", "compose", "vllm.toml", "-o", "out")
    assert done.code == 78
    assert "vllm.toml:2:1" in done.err
    assert not (vllmd.folder / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["helm"], "invalid choice: 'helm'"),
        (["compose", "--namespace", "x"], "--namespace is for kubernetes"),
        (["kubernetes", "--name", "A_b"], "write it like a-b"),
    ],
)
def test_wrong_words_are_refused(vllmd: Commands, words: list[str], message: str) -> None:
    done = vllmd.run("render", words[0], "vllm.toml", *words[1:])
    assert done.code == 64
    assert message in done.err
