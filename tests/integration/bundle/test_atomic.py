"""Whatever ends an installation, the former environment is what it was, and the next one works."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.bundles import Bundle, make_bundle
from tests.support.installing import Workplace, wait_line
from tests.support.pixi import STANDIN, write_program
from tests.support.require import require, require_program
from tests.support.wait import PATIENCE_S, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UNAVAILABLE = 69
STEPS = ("reading", "unpacking", "what their checksums say", "installing 'default'")
DISK = 12 << 20  # bytes


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle that takes twice five megabytes: as packages, and as an environment."""
    return make_bundle(tmp_path_factory.mktemp("large"), "large", 5 << 20)


@pytest.fixture
def slow(tmp_path: Path) -> Workplace:
    """A pixi that installs half, and the rest when there is a file `go`."""
    tools = tmp_path / "tools"
    words = shlex.join([sys.executable, "-I", STANDIN])
    write_program(
        tools / "pixi",
        f"""[ "$1" = --version ] && exec {words} --version
mkdir -p .pixi/envs/default/conda-meta && echo {{}} > .pixi/envs/default/conda-meta/half.json
echo $$ > {tmp_path}/half
while [ ! -e {tmp_path}/go ]; do sleep 0.02; done
rm -r .pixi/envs
exec {words} "$@\"""",
    )
    return Workplace(folder=tmp_path, path=f"{tools}:{os.environ['PATH']}")


def wait_half(place: Workplace) -> int:
    """Wait until the slow pixi has installed half; return its pid."""
    half = place.folder / "half"
    wait_until(lambda: half.exists() and half.read_text(), "half of it is installed")
    return int(half.read_text())


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def end(process: subprocess.Popen[str], number: int) -> int:
    """Send a signal to an installation; return its exit code."""
    process.send_signal(number)
    with process:
        return process.wait(PATIENCE_S)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_installation_that_is_ended_leaves_the_former_one(
    place: Workplace, bundle: Bundle, newer: Bundle, step: str, number: int
) -> None:
    place.install_well(bundle)
    process = place.begin(newer)
    wait_line(process, step)
    code = end(process, number)
    if code == 0:  # it was quicker than the signal
        assert place.marker() == "two"
        return
    assert code == (-9 if number == signal.SIGKILL else 143)
    assert place.marker() == "one"
    place.install_well(newer)
    assert place.marker() == "two"
    assert len(place.generations()) == 2


def test_installation_is_done_though_nobody_reads_what_it_says(
    place: Workplace, bundle: Bundle
) -> None:
    nobody, stderr = os.pipe()
    os.close(nobody)
    with place.begin(bundle, stderr=stderr) as process:
        os.close(stderr)
        assert process.wait(PATIENCE_S) == 0
    assert place.marker() == "one"


def test_half_of_an_environment_counts_for_nothing(
    slow: Workplace, bundle: Bundle, newer: Bundle
) -> None:
    slow.install_well(bundle, "--by", "rattler")
    process = slow.begin(newer)
    pixi = wait_half(slow)
    assert end(process, signal.SIGKILL) == -signal.SIGKILL
    assert slow.marker() == "one"
    os.kill(pixi, signal.SIGKILL)
    slow.install_well(newer, "--by", "rattler")
    assert slow.marker() == "two"
    assert not list(slow.app.glob(".vllmd/*/.pixi/envs/default/conda-meta/half.json"))


def test_stop_ends_pixi_and_clears_away(slow: Workplace, bundle: Bundle, newer: Bundle) -> None:
    slow.install_well(bundle, "--by", "rattler")
    process = slow.begin(newer)
    pixi = wait_half(slow)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 143
    assert said.endswith("error: stopped; the environment is as it was before\n")
    assert is_gone(pixi)
    assert slow.generations() == ["1"]
    assert slow.marker() == "one"


def test_second_installation_waits_for_the_first(slow: Workplace, newer: Bundle) -> None:
    first = slow.begin(newer)
    wait_half(slow)
    with slow.begin(slow.folder / "bundle.tar") as second:
        wait_line(second, "another installation into ")
        (slow.folder / "go").touch()
        wait_line(second, "has it already")
        assert second.wait(PATIENCE_S) == 0
    with first:
        assert first.wait(PATIENCE_S) == 0
    assert slow.generations() == ["1"]


def test_pixi_that_outlives_an_installation_is_waited_for(slow: Workplace, bundle: Bundle) -> None:
    first = slow.begin(bundle)
    pixi = wait_half(slow)
    end(first, signal.SIGKILL)
    with slow.begin(slow.folder / "bundle.tar", "--by", "rattler") as second:
        wait_line(second, "another installation into ")
        os.kill(pixi, signal.SIGKILL)
        wait_line(second, "installed into ")
        assert second.wait(PATIENCE_S) == 0
    assert slow.marker() == "one"


# A disk that is full


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Workplace]:
    """Mount a small file system as the project's folder."""
    place = Workplace(folder=tmp_path, path="/nowhere")
    with mounted(place.app):
        yield place


@contextlib.contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """Mount a small file system."""
    mount = require_program("integration", "mount")
    folder.mkdir(parents=True)
    words = [mount, "-t", "tmpfs", "-o", f"size={DISK}", "vllmd-test", str(folder)]
    done = subprocess.run(words, capture_output=True, check=False).returncode == 0
    require("integration", "this user cannot mount a small tmpfs", present=done)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_environment_that_cannot_be_moved_out_of_the_way_stays(
    place: Workplace, bundle: Bundle
) -> None:
    with mounted(place.app / ".pixi"):
        (place.app / ".pixi/own").touch()
        done = place.install(bundle)
        assert done.code == UNAVAILABLE
        said = "'.pixi' in 'FOLDER/app' cannot be replaced: device or resource busy"
        assert f"error: {said}\nhint: install into an empty folder" in done.err
        assert (place.app / ".pixi/own").exists()
        assert [path.name for path in (place.app / ".vllmd").iterdir()] == ["lock"]


def test_bundle_without_room_is_refused_before_anything_is_unpacked(
    disk: Workplace, bundle: Bundle, large: Bundle
) -> None:
    disk.install_well(bundle)
    (disk.app / "ballast").write_bytes(bytes(DISK - (4 << 20)))
    done = disk.install(large)
    assert done.code == UNAVAILABLE
    assert "error: the bundle needs 5.2 MB or more, and " in done.err
    assert disk.marker() == "one"


def test_disk_that_gets_full_midway_leaves_the_former_environment(
    disk: Workplace, bundle: Bundle, large: Bundle
) -> None:
    disk.install_well(bundle)
    ballast = disk.app / "ballast"
    ballast.write_bytes(bytes(3 << 20))
    done = disk.install(large)
    assert done.code == UNAVAILABLE, done.err
    said = "the disk of 'FOLDER/app' is full; the environment is as it was before"
    assert f"error: {said}\nhint: make room" in done.err
    assert (disk.marker(), disk.generations()) == ("one", ["1"])
    ballast.unlink()
    disk.install_well(large)
    assert disk.marker() == "large"


def test_tar_that_unpacks_to_more_than_the_disk_is_refused(disk: Workplace, bundle: Bundle) -> None:
    bomb = bundle.with_file("channel/bomb", bytes(64 << 20))
    tar = bomb.write(disk.folder / "bomb.tar.gz", "w:gz")
    assert tar.stat().st_size < 1 << 20
    done = disk.install(tar)
    assert done.code == UNAVAILABLE
    assert "the bundle needs 67.1 MB or more, and " in done.err
