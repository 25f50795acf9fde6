"""A folder as the image of a file system, without mounting anything. Pure but for its name."""

from __future__ import annotations

from launcher.hypervisor.guest.manifest import EROFS

MIB = 1 << 20
LABEL = "vllmd-root"
# ext4's own needs: an inode is 256 bytes, its journal at most 64 MiB below 32 GiB.
INODE = 256
JOURNAL = 64 * MIB
SPARE_INODES = 65536


def plan_size(content: int, files: int, spare: int) -> int:
    """Return the size in bytes of an ext4 image with room for `spare` bytes more."""
    inodes = (files + SPARE_INODES) * INODE
    return -(-int(content * 1.05 + inodes + JOURNAL + 16 * MIB + spare) // MIB) * MIB


def render_make(filesystem: str, root: str, image: str, size: int, files: int) -> list[str]:
    """Render the command that makes an image from the folder `root`.

    `size` in bytes and `files` hold for ext4; erofs is as large as what is in it.
    """
    if filesystem == EROFS:
        return ["mkfs.erofs", "--quiet", image, root]
    inodes = files + SPARE_INODES
    return [
        *("mkfs.ext4", "-q", "-F", "-L", LABEL, "-m", "0", "-N", str(inodes)),
        *("-d", root, image, f"{size // 1024}k"),
    ]
