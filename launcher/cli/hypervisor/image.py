"""`vllmd-hypervisor image build`: a bootable image with the launcher inside."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from typing import TYPE_CHECKING

from launcher.cli.arguments import Parser
from launcher.config.secrets import holds_secret
from launcher.errors import EX_OK, HostError, UsageError
from launcher.hypervisor.guest.manifest import DEBIAN, EROFS, EXT4, FILESYSTEMS, FLAVOURS, MINIMAL
from launcher.hypervisor.image.build import OWN_NAMES, Wish, build_image
from launcher.hypervisor.image.debian import KERNEL_PACKAGE, MIRROR, SUITE, DebianWish
from launcher.hypervisor.image.steps import require_tools

if TYPE_CHECKING:
    from collections.abc import Mapping

GIB = 1 << 30
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._:=~/-]*")
SIZE = re.compile(r"(\d+)([MG])")
DEFAULT_SPARE = {MINIMAL: "512M", DEBIAN: "2G"}
EPILOG = """\
vllmd-hypervisor image build --output guest/
vllmd-hypervisor image build --output guest/ --from image.tar    # docker save -o image.tar NAME
vllmd-hypervisor image build --output guest/ --flavour debian    # systemd and cloud-init
"""


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Build an image; say where it is and how to boot it.

    Raises:
        LauncherError: nothing was built.
    """
    del environ
    arguments = _parse(argv)
    wish = _read(arguments)
    _require_free_output(wish.output, force=arguments.force)
    require_tools(_tools(wish))
    # A build that is ended tidies up, as one that is interrupted does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    manifest = build_image(wish)
    folder = os.path.dirname(manifest.image)
    print(
        f"built '{folder}': {manifest.flavour}, {manifest.filesystem}, {manifest.source}",
        file=sys.stderr,
    )
    for name, path in (
        ("KERNEL_FILEPATH", manifest.kernel),
        ("INITRAMFS_FILEPATH", manifest.initramfs),
        ("SYSTEM_IMAGE_FILEPATH", manifest.image),
    ):
        print(f"export VLLMD_HYPERVISOR_{name}={path}")
    return EX_OK


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="vllmd-hypervisor image",
        usage="vllmd-hypervisor image build -o DIR [options]",
        description="Build a bootable image with the launcher inside.",
        epilog=EPILOG,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("verb", metavar="build", choices=["build"], help="what to do")
    add("-o", "--output", required=True, metavar="DIR", help="folder to make: kernel, image, ...")
    add("--flavour", choices=FLAVOURS, default=MINIMAL, help="minimal: our own first process, "
        "fastest; debian: systemd and cloud-init (default: minimal)")  # fmt: skip
    add("--from", dest="container", metavar="TAR", default="", help="a container image: what "
        "'docker save', 'podman save' or 'docker export' writes (default: Debian)")  # fmt: skip
    add("--filesystem", choices=FILESYSTEMS, help="erofs: read-only, guests write to memory; "
        "ext4: to the image (default: erofs for minimal, ext4 for debian)")  # fmt: skip
    add("--spare", metavar="SIZE", help="room to write to with ext4, like 512M or 20G")
    add("--include", metavar="PACKAGE,...", default="", help="more packages for a Debian root")
    add("--add", metavar="FOLDER:TARGET", action="append", default=[],
        help="copy a folder of this host into the root; repeatable")  # fmt: skip
    add("--python", metavar="PATH", default="", help="Python of the root that runs the launcher, "
        "3.11 or newer (default: the first 'python3' on the image's PATH)")  # fmt: skip
    add("--suite", default=SUITE, help=f"release of Debian (default: {SUITE})")
    add("--mirror", default=MIRROR, metavar="URL", help="mirror of Debian (default: mmdebstrap's)")
    add("--components", default="main", metavar="NAME,...", help="parts of Debian (default: main)")
    add("--kernel-package", default=KERNEL_PACKAGE, metavar="PACKAGE",
        help=f"the kernel (default: {KERNEL_PACKAGE})")  # fmt: skip
    add("--force", action="store_true", help="replace an image that is there")
    add("-v", "--verbose", action="store_true", help="show what the programs say that do the work")
    return parser.parse_args(argv)


def _read(arguments: argparse.Namespace) -> Wish:
    if holds_secret(arguments.mirror):
        raise UsageError(
            "the mirror's address holds a password, which would be in the image",
            "put it into /etc/apt/auth.conf.d of this host",
        )
    for option in ("suite", "mirror", "components", "kernel_package", "include"):
        for word in filter(None, getattr(arguments, option).split(",")):
            if not WORD.fullmatch(word):
                raise UsageError(f"--{option.replace('_', '-')} cannot be '{word}'")
    include = tuple(filter(None, arguments.include.split(",")))
    if arguments.container and include:
        raise UsageError(
            "--include is for a Debian root", "install packages in the container image"
        )
    filesystem = arguments.filesystem or (EROFS if arguments.flavour == MINIMAL else EXT4)
    if arguments.spare and filesystem == EROFS:
        raise UsageError("--spare is for ext4: erofs is read-only", "add --filesystem ext4")
    return Wish(
        output=arguments.output,
        container=arguments.container,
        filesystem=filesystem,
        spare=_size(arguments.spare or DEFAULT_SPARE[arguments.flavour]),
        python=arguments.python,
        copies=tuple(_copy(each) for each in arguments.add),
        verbose=arguments.verbose,
        debian=DebianWish(
            flavour=arguments.flavour,
            suite=arguments.suite,
            mirror=arguments.mirror,
            include=include,
            components=arguments.components,
            kernel_package=arguments.kernel_package,
        ),
    )


def _size(text: str) -> int:
    found = SIZE.fullmatch(text)
    if not found:
        raise UsageError(f"--spare: '{text}' is no size", "write it like 512M or 20G")
    return int(found[1]) * (GIB if found[2] == "G" else GIB // 1024)


def _copy(text: str) -> tuple[str, str]:
    source, _, target = text.rpartition(":")
    if not os.path.isdir(source) or not target.startswith("/"):
        raise UsageError(
            f"--add: '{text}' does not name a folder and a place for it",
            "write it like /opt/models:/opt/models",
        )
    return os.path.abspath(source), os.path.normpath(target)


def _require_free_output(output: str, *, force: bool) -> None:
    """Check that the output folder can be made, or may be replaced.

    Raises:
        HostError: it holds something that is not to be lost.
    """
    if not os.path.lexists(output):
        return
    if not os.path.isdir(output) or os.path.islink(output):
        raise HostError(f"'{output}' is there, and is no folder", "choose another --output")
    names = set(os.listdir(output))
    if not names <= OWN_NAMES:
        other = min(names - OWN_NAMES)
        raise HostError(
            f"'{output}' holds '{other}', which is no image's", "choose another --output"
        )
    if names and not force:
        raise HostError(f"'{output}' holds an image already", "add --force to replace it")


def _tools(wish: Wish) -> dict[str, str]:
    """Return the programs that a build needs, each with its Debian package."""
    tools = {"mmdebstrap": "mmdebstrap", "dpkg-deb": "dpkg"}
    tools |= (
        {"mkfs.erofs": "erofs-utils"} if wish.filesystem == EROFS else {"mkfs.ext4": "e2fsprogs"}
    )
    if os.geteuid():
        tools |= {"unshare": "util-linux", "newuidmap": "uidmap"}
    return tools
