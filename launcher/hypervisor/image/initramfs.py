"""Our initial RAM file system: it loads drivers, mounts the root, and hands over to its init."""

from __future__ import annotations

import gzip

from launcher.hypervisor.image.cpio import console, file, folder, render_archive
from launcher.hypervisor.image.modules import (
    BOOT_MODULES,
    parse_depends,
    plan_loading,
    read_module,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.hypervisor.image.modules import KernelModules

FOLDERS = ("bin", "dev", "proc", "sys", "modules", "run", "root", "lower", "upper")
# With this word on the kernel's command line the root stays as it is: what is written lies in
# memory, above it, and is gone with the guest.
OVERLAY = "vllmd.overlay"
ROOT_WAIT_S = 10

# A kernel mounts no root on a driver that is a module, so this does. `panic=` decides what comes
# after a failure: the kernel panics when its first process ends.
INIT = f"""\
#!/bin/busybox sh
b=/bin/busybox
fail() {{ echo "vllmd: $1"; $b sleep 1; $b poweroff -f; }}
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs devtmpfs /dev
while read -r module; do
    $b insmod "/modules/$module" || echo "vllmd: module $module was not loaded"
done < /modules/order
root= type= mode=ro init=/sbin/init overlay=
for word in $($b cat /proc/cmdline); do
    case "$word" in
        root=*) root="${{word#root=}}" ;;
        rootfstype=*) type="-t ${{word#rootfstype=}}" ;;
        rw | ro) mode="$word" ;;
        init=*) init="${{word#init=}}" ;;
        {OVERLAY}) overlay=yes ;;
    esac
done
[ -n "$root" ] || fail "the kernel's command line has no root="
tries=0
until [ -b "$root" ]; do
    case "$root" in
        LABEL=* | UUID=*) found="$($b findfs "$root")" && root="$found" && continue ;;
    esac
    tries=$((tries + 1))
    [ $tries -lt {ROOT_WAIT_S * 20} ] || fail "the root '$root' did not appear in {ROOT_WAIT_S} s"
    $b usleep 50000
done
if [ -n "$overlay" ]; then
    $b mount $type -o ro "$root" /lower || fail "the root '$root' cannot be mounted"
    $b mount -t tmpfs -o size=50%,mode=755 tmpfs /upper
    $b mkdir /upper/data /upper/work
    $b mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work overlay /root ||
        fail "nothing can be laid over the root '$root'"
else
    $b mount $type -o "$mode" "$root" /root || fail "the root '$root' cannot be mounted"
fi
[ -x "/root$init" ] || [ -L "/root$init" ] || fail "the root '$root' has no program '$init'"
for place in proc sys dev; do $b mount --move /$place /root/$place; done
exec $b switch_root /root "$init"
"""


def build_initramfs(modules: KernelModules, busybox: bytes) -> bytes:
    """Return the archive, packed: the same modules and program give the same bytes."""
    contents: dict[str, bytes] = {}

    def depends(name: str) -> tuple[str, ...]:
        contents[name] = read_module(modules.files[name])
        return parse_depends(contents[name])

    order = plan_loading(BOOT_MODULES, modules, depends)
    names = [f"{name}.ko" for name in order]
    entries = [folder(name) for name in FOLDERS]
    entries += [
        console(),
        file("init", INIT.encode(), executable=True),
        file("bin/busybox", busybox, executable=True),
        file("modules/order", "".join(f"{name}\n" for name in names).encode()),
    ]
    entries += [file(f"modules/{name}.ko", contents[name]) for name in order]
    return gzip.compress(render_archive(entries), compresslevel=6, mtime=0)
