"""What `mmdebstrap` is told: a Debian root, and the kernel and busybox of the same Debian. Pure."""

from __future__ import annotations

import shlex

from launcher.hypervisor.guest.manifest import DEBIAN, MINIMAL
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SUITE = "bookworm"
MIRROR = ""  # that of mmdebstrap itself, with security updates
KERNEL_PACKAGE = "linux-image-cloud-amd64"
BUSYBOX_PACKAGE = "busybox-static"
# A folder of the root while it is built, where packages are that we unpack ourselves.
DOWNLOADS = "vllmd-downloads"

PACKAGES = {
    MINIMAL: ("python3", "ca-certificates"),
    DEBIAN: ("python3", "ca-certificates", "systemd-sysv", "systemd-resolved", "dbus", "udev",
             "kmod", "iproute2", "cloud-init", "openssh-server", "sudo"),
}  # fmt: skip
VARIANTS = {MINIMAL: "essential", DEBIAN: "minbase"}
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*")

# For systemd, which loads drivers by itself.
INSTALL_MODULES = f"""\
dpkg-deb --fsys-tarfile "$1"/{DOWNLOADS}/linux-image-*.deb | tar -x -C "$1/usr" ./lib/modules &&
chroot "$1" depmod "$(ls "$1/usr/lib/modules")"
"""


@record
class DebianWish:
    """Which Debian a guest is made from."""

    flavour: str
    suite: str = SUITE
    mirror: str = MIRROR
    include: tuple[str, ...] = ()
    components: str = "main"
    kernel_package: str = KERNEL_PACKAGE


def render_bootstrap(wish: DebianWish, root_tar: str, downloads: str) -> list[str]:
    """Render the command that makes a root and fetches its kernel.

    `downloads` is the folder that gets the packages of the kernel and of busybox.
    """
    packages = ",".join((*PACKAGES[wish.flavour], *wish.include))
    modules = [INSTALL_MODULES] if wish.flavour == DEBIAN else []
    return [
        *_start(wish, VARIANTS[wish.flavour]),
        f"--include={packages}",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT),
        *_hooks([_download(wish.kernel_package), *modules], downloads),
        wish.suite,
        root_tar,
        *filter(None, [wish.mirror]),
    ]


def render_kernel_fetch(wish: DebianWish, downloads: str) -> list[str]:
    """Render the command that fetches the kernel and busybox, and makes no root."""
    hooks = _hooks([_download(wish.kernel_package)], downloads)
    return [
        *_start(wish, "custom"),
        "--format=null",
        *hooks,
        wish.suite,
        "-",
        *filter(None, [wish.mirror]),
    ]


def _download(kernel: str) -> str:
    """Return a hook that fetches the packages which we unpack ourselves.

    A package that follows new kernels depends on the one that holds today's. It is not installed:
    its scripts would build an initial RAM file system that nobody uses.
    """
    name = shlex.quote(kernel)
    return (
        f'mkdir "$1/{DOWNLOADS}" && cd "$1/{DOWNLOADS}" && '
        'export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" && '
        f"kernel=$(apt-cache depends {name} |"
        " sed -n 's/.*Depends: \\(linux-image-[0-9].*\\)/\\1/p') && "
        f"apt-get download -qq ${{kernel:-{name}}} {BUSYBOX_PACKAGE}"
    )


def _start(wish: DebianWish, variant: str) -> list[str]:
    return [
        "mmdebstrap",
        "--architectures=amd64",
        f"--variant={variant}",
        f"--components={wish.components}",
    ]


def _hooks(scripts: Sequence[str], downloads: str) -> list[str]:
    return [
        *(f"--customize-hook={script}" for script in scripts),
        f"--customize-hook=sync-out /{DOWNLOADS} {downloads}",
        f'--customize-hook=rm -r "$1/{DOWNLOADS}"',
    ]
