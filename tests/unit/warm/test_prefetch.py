"""What is read ahead: which files, from which file systems, into how much memory."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

from launcher.warm.prefetch import (
    Reader,
    available_memory,
    disk_reads,
    find_files,
    find_kind,
    find_weights,
    gigabytes,
    is_network,
)

if TYPE_CHECKING:
    from pathlib import Path

AUTO = ["consolidated*.safetensors", "*.safetensors", "*.bin", "*.pt"]
GIB = 1 << 30
# Shares of other machines, with a disk of this one below; a name with a space; mounts on a mount.
MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
23 22 0:21 / /proc rw - proc proc rw
40 22 0:50 / /models rw,relatime shared:7 - nfs4 10.0.0.1:/models rw,vers=4.2,addr=10.0.0.1
41 40 254:1 / /models/local rw - xfs /dev/vdb rw
42 22 0:51 / /mnt/two\\040words rw - fuse.sshfs host: rw,user_id=0
43 22 0:52 / /ram rw - ext4 /dev/vdc rw
44 43 0:53 / /ram rw - tmpfs none rw
45 22 0:54 / /modelsX rw - 9p share rw,trans=virtio
nonsense
"""


def make_tree(root: Path, **files: str) -> str:
    """Write files below a folder that stands for /; `__` in a name is a slash."""
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


def touch(folder: Path, *names: str) -> str:
    for name in names:
        (folder / name).write_bytes(b"x" * 10)
    return str(folder)


def names_of(folder: Path, patterns: list[str] = AUTO) -> list[str]:
    return [path.rpartition("/")[2] for path in find_weights(str(folder), patterns)]


# Files.


def test_shards_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    touch(
        tmp_path, *(f"model-{number}.safetensors" for number in (10, 9, 1)), "a.bin", "config.json"
    )
    assert names_of(tmp_path) == [f"model-{number}.safetensors" for number in (1, 9, 10)]


def test_index_leaves_out_what_it_does_not_name(tmp_path: Path) -> None:
    touch(tmp_path, "model-1.safetensors", "model-2.safetensors", "whole.safetensors")
    weights = {"a": "model-2.safetensors", "b": "model-1.safetensors", "c": "model-1.safetensors"}
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weights}))
    assert names_of(tmp_path) == ["model-1.safetensors", "model-2.safetensors"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"weight_map": 3}', '{"weight_map": {}}', "null"])
def test_index_that_is_none_leaves_out_nothing(tmp_path: Path, text: str) -> None:
    touch(tmp_path, "a.safetensors", "b.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(text)
    assert names_of(tmp_path) == ["a.safetensors", "b.safetensors"]


def test_mistral_form_is_read_where_there_is_one(tmp_path: Path) -> None:
    touch(tmp_path, "consolidated.safetensors", "model.safetensors")
    assert names_of(tmp_path) == ["consolidated.safetensors"]
    assert names_of(tmp_path, ["*.safetensors"]) == [
        "consolidated.safetensors",
        "model.safetensors",
    ]


def test_files_of_a_training_are_not_read(tmp_path: Path) -> None:
    touch(tmp_path, "optimizer.bin", "training_args.bin", "pytorch_model.bin")
    assert names_of(tmp_path) == ["pytorch_model.bin"]


def order(model: object, **changes: object) -> dict[str, object]:
    fields = {"revision": "", "hub": "", "patterns": AUTO, "network": False}
    return {"name": "a", "model": str(model), **fields, **changes}


def test_single_file_is_read_whatever_its_name(tmp_path: Path) -> None:
    path = f"{touch(tmp_path, 'model.gguf')}/model.gguf"
    assert find_files(order(path), make_tree(tmp_path / "root")) == ([path], "")


def test_revision_of_a_hub_is_found_by_its_reference_or_itself(tmp_path: Path) -> None:
    repository = tmp_path / "models--org--chat"
    for commit in ("abc", "def"):
        (repository / "snapshots" / commit).mkdir(parents=True)
        touch(repository / "snapshots" / commit, f"{commit}.safetensors")
    make_tree(repository, refs__main="abc", refs__old="def\n")
    for revision, name in (("", "abc"), ("main", "abc"), ("old", "def"), ("def", "def")):
        found, _ = find_files(order("org/chat", hub=str(tmp_path), revision=revision), "/nowhere")
        assert found == [f"{repository}/snapshots/{name}/{name}.safetensors"]


def test_model_that_is_not_there_is_said(tmp_path: Path) -> None:
    assert find_files(order("org/new", hub="/hub")) == (
        [], "'org/new' is no folder, and not in '/hub'",
    )  # fmt: skip
    assert find_files(order("org/new")) == ([], "'org/new' is no folder")
    assert find_files(order(tmp_path)) == ([], f"'{tmp_path}' has none")


# File systems.


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/data/m", "ext4"),
        ("/models/m", "nfs4"),
        ("/models", "nfs4"),
        ("/models/local/m", "xfs"),
        ("/modelsX/m", "9p"),
        ("/models-2/m", "ext4"),
        ("/mnt/two words/m", "fuse.sshfs"),
        ("/ram/m", "tmpfs"),
    ],
)
def test_file_system_is_that_of_the_nearest_mount(path: str, kind: str) -> None:
    assert find_kind(path, MOUNTS) == kind


def test_file_system_of_a_text_without_mounts_is_unknown() -> None:
    assert find_kind("/a", "") == ""


@pytest.mark.parametrize("kind", ["nfs", "cifs", "fuse", "fuse.juicefs", "lustre", "virtiofs"])
def test_file_system_of_another_machine_is_told(kind: str) -> None:
    assert is_network(kind)


@pytest.mark.parametrize("kind", ["", "ext4", "overlay", "fuseblk", "btrfs", "zfs", "tmpfs"])
def test_file_system_of_this_machine_is_told(kind: str) -> None:
    assert not is_network(kind)


def mounted(tmp_path: Path, kind: str) -> str:
    root = tmp_path / "root"
    return make_tree(root, proc__self__mountinfo=f"1 1 0:1 / / rw - {kind} none rw\n")


def test_network_file_system_is_read_only_if_that_is_asked_for(tmp_path: Path) -> None:
    root = mounted(tmp_path, "nfs4")
    path = f"{touch(tmp_path, 'model.gguf')}/model.gguf"
    reason = 'they are on a network file system (nfs4), and prefetch is not "always"'
    assert find_files(order(path), root) == ([], reason)
    assert find_files(order(path, network=True), root) == ([path], "")


def test_what_is_in_memory_is_not_read_even_if_asked_for(tmp_path: Path) -> None:
    root = mounted(tmp_path, "tmpfs")
    path = f"{touch(tmp_path, 'model.gguf')}/model.gguf"
    assert find_files(order(path, network=True), root) == ([], "they are in memory (tmpfs)")


# Memory.


def meminfo(available: int) -> str:
    return f"MemTotal:       99999999 kB\nMemAvailable:   {available // 1024} kB\n"


def second(root: Path, folder: str, limit: str, used: int, cached: int = 0) -> None:
    path = root / "sys/fs/cgroup" / folder
    path.mkdir(parents=True, exist_ok=True)
    (path / "memory.max").write_text(f"{limit}\n")
    (path / "memory.current").write_text(f"{used}\n")
    (path / "memory.stat").write_text(
        f"anon 5\nfile 9\ninactive_file {cached}\nactive_file 0\nshmem 7\n"
    )


SECOND = "30 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"


def test_memory_of_a_machine_without_limits_is_what_is_available(tmp_path: Path) -> None:
    assert available_memory(make_tree(tmp_path, proc__meminfo=meminfo(3 * GIB))) == 3 * GIB


def test_memory_that_nobody_can_tell_is_none(tmp_path: Path) -> None:
    assert available_memory(str(tmp_path)) == 0


def test_limit_of_a_group_counts_with_its_cached_files_as_free(tmp_path: Path) -> None:
    files = {"proc__self__cgroup": "0::/a/b\n", "proc__self__mountinfo": SECOND}
    root = make_tree(tmp_path, proc__meminfo=meminfo(9 * GIB), **files)
    second(tmp_path, "a/b", str(4 * GIB), 3 * GIB, GIB)
    second(tmp_path, "a", "max", 3 * GIB)
    assert available_memory(root) == 2 * GIB


def test_tightest_group_above_counts(tmp_path: Path) -> None:
    files = {"proc__self__cgroup": "0::/a/b\n", "proc__self__mountinfo": SECOND}
    root = make_tree(tmp_path, proc__meminfo=meminfo(9 * GIB), **files)
    second(tmp_path, "a/b", str(8 * GIB), GIB)
    second(tmp_path, "a", str(2 * GIB), GIB + GIB // 2)
    assert available_memory(root) == GIB // 2
    (tmp_path / "sys/fs/cgroup/a/memory.high").write_text(f"{GIB + GIB // 2}\n")
    assert available_memory(root) == 0


def test_group_of_a_container_is_at_the_mount(tmp_path: Path) -> None:
    files = {"proc__self__cgroup": "0::/\n", "proc__self__mountinfo": SECOND}
    root = make_tree(tmp_path, proc__meminfo=meminfo(9 * GIB), **files)
    second(tmp_path, "", str(GIB), 0)
    assert available_memory(root) == GIB


@pytest.mark.parametrize(
    ("shown", "folder"), [("/", "docker/abc"), ("/docker/abc", ""), ("/docker", "abc")]
)
def test_limit_of_version_one_is_found_however_it_is_mounted(
    tmp_path: Path, shown: str, folder: str
) -> None:
    mount = f"31 22 0:27 {shown} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    other = "32 22 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
    groups = "12:cpu,cpuacct:/\n4:memory:/docker/abc\n0::/\n"
    root = make_tree(
        tmp_path, proc__meminfo=meminfo(9 * GIB), proc__self__cgroup=groups,
        proc__self__mountinfo=other + mount,
    )  # fmt: skip
    path = tmp_path / "sys/fs/cgroup/memory" / folder
    path.mkdir(parents=True)
    (path / "memory.limit_in_bytes").write_text(f"{2 * GIB}\n")
    (path / "memory.usage_in_bytes").write_text(f"{GIB}\n")
    (path / "memory.stat").write_text("cache 1\ninactive_file 1\ntotal_inactive_file 100\n")
    assert available_memory(root) == GIB + 100


def test_limit_that_nobody_set_in_version_one_is_none(tmp_path: Path) -> None:
    mount = "31 22 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    root = make_tree(tmp_path, proc__meminfo=meminfo(GIB), proc__self__mountinfo=mount)
    path = tmp_path / "sys/fs/cgroup/memory"
    path.mkdir(parents=True)
    (path / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    (path / "memory.usage_in_bytes").write_text("1\n")
    assert available_memory(root) == GIB


# Reading.


def read(root: str, *orders: dict[str, object], over: tuple[str, ...] = ()) -> list[str]:
    """Read in this process; return what was said."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        for each in orders:
            ours.send(json.dumps({"order": each}).encode())
        for name in over:
            ours.send(json.dumps({"over": name}).encode())
        theirs.settimeout(0)
        ours.settimeout(0)
        Reader(theirs, root).read_all()
        said: list[str] = []
        while True:
            try:
                message = json.loads(ours.recv(1 << 16))
            except BlockingIOError:
                return said
            said.append(f"{message['name']}: {message['text']}")


def test_half_of_the_free_memory_is_left_to_the_servers(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for number in range(4):
        (model / f"{number}.safetensors").write_bytes(bytes(8 << 20))
    root = make_tree(tmp_path / "root", proc__meminfo=meminfo(40 << 20))
    said = read(root, order(model), order(model, name="b"), order(tmp_path, name="c"))
    assert said[0] == f"a: reading weights ahead: 33.6 MB in 4 files of {model}"
    assert said[1].startswith("a: read 21.0 MB of 33.6 MB of weights ahead in ")
    assert said[1].endswith(": more would be over half of the free memory")
    assert said[2:] == [f"c: no weights are read ahead: '{tmp_path}' has none"]


def test_weights_of_a_server_that_is_healthy_are_not_read(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "root", proc__meminfo=meminfo(GIB))
    touch(tmp_path, "model.safetensors")
    assert read(root, order(tmp_path), over=("a",)) == []


def test_disk_reads_are_the_kernels_count(tmp_path: Path) -> None:
    root = make_tree(tmp_path, proc__self__io="rchar: 9\nread_bytes: 4096\nwrite_bytes: 1\n")
    assert disk_reads(root) == 4096
    assert disk_reads("/nowhere") is None


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0.0 MB"), (12_345_678, "12.3 MB"), (1.4e9, "1.4 GB")]
)
def test_sizes_are_rendered_in_decimal_units(size: int, text: str) -> None:
    assert gigabytes(size) == text
