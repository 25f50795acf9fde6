"""Build a guest's image: kernel, initial RAM file system, root, and the manifest beside them."""

from __future__ import annotations

import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any

from launcher import __version__
from launcher.errors import HostError
from launcher.hypervisor.guest.manifest import (
    EROFS,
    MANIFEST_NAME,
    MINIMAL,
    ImageManifest,
    render_manifest,
)
from launcher.hypervisor.image.archive import read_archive
from launcher.hypervisor.image.contents import INIT_PROGRAM
from launcher.hypervisor.image.debian import DebianWish, render_bootstrap, render_kernel_fetch
from launcher.hypervisor.image.filesystem import MIB, plan_size, render_make
from launcher.hypervisor.image.initramfs import OVERLAY, build_initramfs
from launcher.hypervisor.image.modules import find_modules
from launcher.hypervisor.image.steps import Steps, as_root, require_room, run_tool
from launcher.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.hypervisor.image.archive import ContainerImage

KERNEL, INITRAMFS, IMAGE = "vmlinuz", "initramfs.img", "root.img"
OWN_NAMES = frozenset({KERNEL, INITRAMFS, IMAGE, MANIFEST_NAME})
# What a build takes on the disk at most, beside the size of its source: the packages, the root as
# an archive and as a folder, and its image.
DEBIAN_ROOM = 2048 * MIB
KERNEL_ROOM = 512 * MIB
SOURCE_FACTOR = 3


@record
class Wish:
    """What is to be built."""

    output: str
    debian: DebianWish  # with the flavour
    container: str = ""  # a container image's tarball; empty: a Debian root
    filesystem: str = EROFS
    spare: int = 0  # bytes to write to, with ext4
    python: str = ""  # in the root; empty: the first on its PATH
    copies: tuple[tuple[str, str], ...] = ()  # a host's folder, and where it goes
    verbose: bool = False


def build_image(wish: Wish) -> ImageManifest:
    """Build an image; the output folder appears when all is done, or not at all.

    Raises:
        HostError: a program is missing, the disk is full, or a step failed.
    """
    output = os.path.abspath(wish.output)
    container = read_archive(wish.container) if wish.container else None
    parent = os.path.dirname(output)
    os.makedirs(parent, exist_ok=True)
    require_room(parent, _room(wish))
    with tempfile.TemporaryDirectory(prefix=f".{os.path.basename(output)}.", dir=parent) as work:
        result = os.path.join(work, "result")
        os.mkdir(result)
        try:
            manifest = _build(wish, container, work, result)
        finally:
            # Files in it may belong to ids that only a user namespace has power over.
            subprocess.run([*as_root(), "rm", "-rf", os.path.join(work, "root")], check=False)
        os.chmod(result, 0o755)  # noqa: S103  (no secret is in it)
        put_in_place(result, output)
    paths = {name: os.path.join(output, getattr(manifest, name)) for name in PATHS}
    return ImageManifest(**{**_values(manifest), **paths})


PATHS = ("kernel", "initramfs", "image")


def _values(manifest: ImageManifest) -> dict[str, Any]:
    names: tuple[str, ...] = ImageManifest.__slots__  # type: ignore[attr-defined]
    return {name: getattr(manifest, name) for name in names}


def _build(wish: Wish, container: ContainerImage | None, work: str, result: str) -> ImageManifest:
    steps = Steps(total=4, verbose=wish.verbose)
    downloads, tar, root = (os.path.join(work, name) for name in ("packages", "root.tar", "root"))
    for folder in (downloads, root):
        os.mkdir(folder)
    if container is None:
        with steps.step(f"making a root of Debian {wish.debian.suite}"):
            run_tool(render_bootstrap(wish.debian, tar, downloads), steps, "mmdebstrap")
        layers: list[dict[str, Any]] = [{"path": tar}]
    else:
        with steps.step(f"fetching the kernel of Debian {wish.debian.suite}"):
            run_tool(render_kernel_fetch(wish.debian, downloads), steps, "mmdebstrap")
        names: tuple[str, ...] = container.layers or ("",)
        layers = [{"path": container.path, "member": name} for name in names]
        if container.withheld:
            steps.say(f"left out of the image, as secrets: {', '.join(container.withheld)}")
    layers += [_copy(source, target) for source, target in wish.copies]
    with steps.step("unpacking the kernel, writing the initial RAM file system"):
        busybox = _unpack_packages(downloads, work, result, steps)
    with steps.step("putting the root together"):
        environment = container.environment if container else {}
        made = _assemble(wish, layers, environment, busybox, work)
    with steps.step(f"writing the {wish.filesystem} image"):
        size = plan_size(made["bytes"], made["files"], wish.spare)
        require_room(work, size if wish.filesystem == EROFS else made["bytes"])
        image = os.path.join(result, IMAGE)
        words = render_make(wish.filesystem, root, image, size, made["files"])
        run_tool([*as_root(), *words], steps, words[0])
    manifest = _manifest(wish)
    with open(os.path.join(result, MANIFEST_NAME), "w", encoding="utf-8") as file:
        file.write(render_manifest(manifest))
    return manifest


def _room(wish: Wish) -> int:
    copies = sum(_size_of(source) for source, _ in wish.copies) * 2
    if not wish.container:
        return DEBIAN_ROOM + copies
    return KERNEL_ROOM + os.stat(wish.container).st_size * SOURCE_FACTOR + copies


def _size_of(folder: str) -> int:
    return sum(
        os.lstat(os.path.join(place, name)).st_size
        for place, _, names in os.walk(folder)
        for name in names
    )


def _copy(source: str, target: str) -> dict[str, Any]:
    command = ["tar", "--owner=0", "--group=0", "-C", source, "-c", "."]
    return {"command": command, "prefix": target, "keep_links": True}


def _unpack_packages(downloads: str, work: str, result: str, steps: Steps) -> str:
    """Write kernel and initial RAM file system; return the path of busybox.

    Raises:
        HostError: the packages do not hold them.
    """
    unpacked = os.path.join(work, "unpacked")
    for package in glob.glob(f"{downloads}/*.deb"):
        run_tool(["dpkg-deb", "-x", package, unpacked], steps, "dpkg-deb")
    kernels = glob.glob(f"{unpacked}/boot/vmlinuz-*")
    folders = glob.glob(f"{unpacked}/lib/modules/*") + glob.glob(f"{unpacked}/usr/lib/modules/*")
    found = glob.glob(f"{unpacked}/bin/busybox") + glob.glob(f"{unpacked}/usr/bin/busybox")
    if len(kernels) != 1 or len(folders) != 1 or not found:
        raise HostError(
            "the packages hold no kernel, or no busybox", "name another with --kernel-package"
        )
    busybox = shutil.copy(found[0], os.path.join(work, "busybox"))
    with open(busybox, "rb") as file:
        initramfs = build_initramfs(find_modules(folders[0]), file.read())
    with open(os.path.join(result, INITRAMFS), "wb") as file:
        file.write(initramfs)
    shutil.copyfile(kernels[0], os.path.join(result, KERNEL))
    shutil.rmtree(unpacked)
    return busybox


def _assemble(
    wish: Wish,
    layers: list[dict[str, Any]],
    environment: Mapping[str, str],
    busybox: str,
    work: str,
) -> dict[str, Any]:
    """Put the root together in a process of its own; return what it says.

    Raises:
        HostError: it cannot be done.
    """
    job = {
        "root": os.path.join(work, "root"),
        "flavour": wish.debian.flavour,
        "layers": layers,
        "environment": dict(environment),
        "busybox": busybox,
        "python": wish.python,
    }
    path = os.path.join(work, "job.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(job, file)
    words = [*as_root(), sys.executable, "-m", "launcher.hypervisor.image.assembly", path]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(words, env=environ, stdout=subprocess.PIPE, check=False)
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    answer: dict[str, Any] = json.loads(lines[-1]) if lines else {"error": "it was ended"}
    if "error" in answer:
        raise HostError(
            f"the root cannot be put together: {answer['error']}", answer.get("hint", "")
        )
    return answer


def _manifest(wish: Wish) -> ImageManifest:
    readonly = wish.filesystem == EROFS
    # An emulated timer on a busy host fails the kernel's check, over which it may panic.
    words = ["console=ttyS0", "quiet", "no_timer_check"]
    words += ["root=/dev/vda", f"rootfstype={wish.filesystem}"]
    words += ["ro", OVERLAY] if readonly else ["rw"]
    if wish.debian.flavour == MINIMAL:
        words.append(f"init={INIT_PROGRAM}")
    return ImageManifest(
        kernel=KERNEL,
        initramfs=INITRAMFS,
        image=IMAGE,
        flavour=wish.debian.flavour,
        filesystem=wish.filesystem,
        cmdline=" ".join([*words, "panic=-1"]),
        readonly=readonly,
        launcher_version=__version__,
        source=os.path.basename(wish.container) or f"Debian {wish.debian.suite}",
    )


def put_in_place(result: str, output: str) -> None:
    """Make the new folder appear in one step, and remove the one that was there."""
    if not os.path.lexists(output):
        os.rename(result, output)
        return
    former = f"{result}.former"
    os.rename(output, former)
    os.rename(result, output)
    shutil.rmtree(former)
