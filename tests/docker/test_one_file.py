"""`dist/vllmd.pyz` alone in a bare Debian container that has Python and nothing else."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from launcher.cli.main import COMMANDS
from tests.support.containers import CONFIG, Boxes, Wish
from tests.support.images import LABEL, REPOSITORY
from tests.support.launching import Stub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)

# What README.md tells a reader to write.
LINES = """\
FROM {base}
COPY vllmd.pyz /usr/local/bin/vllmd
ENTRYPOINT ["vllmd", "run", "--"]
"""


@pytest.fixture(scope="module")
def bare(engine: Any, base: str, pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the id of an image that is the base and the one file."""
    folder = tmp_path_factory.mktemp("bare")
    shutil.copy(pyz, folder)
    (folder / "Dockerfile").write_text(LINES.format(base=base))
    tag = f"{REPOSITORY}:bare"
    image, _ = engine.images.build(path=str(folder), tag=tag, rm=True, labels={LABEL: "1"})
    return str(image.id)


@pytest.fixture
def boxes(engine: Any, bare: str, tmp_path: Path) -> Iterator[Boxes]:
    boxes = Boxes(engine, bare, tmp_path)
    yield boxes
    boxes.clean()


def say(boxes: Boxes, *words: str) -> tuple[int, str]:
    box = boxes.start(Stub(), wish=Wish(options={"entrypoint": ["vllmd", *words]}))
    code = box.wait()
    return code, box.stdout()


def test_one_file_checks(boxes: Boxes) -> None:
    assert say(boxes, "check", CONFIG) == (0, "ok: would start a\n")


def test_one_file_has_every_command(boxes: Boxes) -> None:
    loop = "for name; do vllmd $name --help >/dev/null || echo $name; done"
    entrypoint = ["sh", "-c", loop, "sh", *COMMANDS]
    box = boxes.run(Wish(options={"entrypoint": entrypoint}))
    assert box.wait() == 0
    assert box.stdout() == "generate\nbatch\n"  # a client's, and its library is not in the file
    assert box.stderr().count("hint: pip install 'vllmd[client]'") == 2


def test_one_file_finds_mistakes(boxes: Boxes) -> None:
    wrong = ("--set", "instance.a.control.bakground=true")
    code, text = say(boxes, "check", CONFIG, *wrong, "--format", "json")
    assert code == 78
    assert json.loads(text)[0]["hint"] == "did you mean 'background'?"


def test_one_file_plans(boxes: Boxes) -> None:
    code, text = say(boxes, "plan", CONFIG, "--format", "json")
    assert code == 0
    (instance,) = json.loads(text)["instances"]
    assert instance["argv"][:2] == ["/usr/bin/python3", "-m"]


def test_one_file_runs_as_root_and_stops(boxes: Boxes) -> None:
    box = boxes.start(Stub())
    box.wait_healthy()
    assert box.exec("vllmd", "status")[0] == 0
    assert box.stop() == 0


def test_one_file_runs_for_a_user_without_name(boxes: Boxes) -> None:
    logs = boxes.folder / "logs"
    logs.mkdir()
    logs.chmod(0o777)
    wish = Wish(options={"user": "12345"}, volumes={str(logs): "/logs:rw"})
    box = boxes.start(Stub(), wish=wish)
    box.wait_healthy()
    box.wait_for("warning: user id 12345 has no name: PyTorch asks for it")
    box.wait_for("hint: set USER (any name) and HOME in the container's environment")
    assert box.stop() == 0
