"""Reads the weights of models into the page cache while their servers import vLLM.

It runs under the launcher's own python, as a child with the lowest priority for processor and disk,
and nothing depends on it. The launcher sends the text of this file over the socket that is its
standard input (`launcher.process.readahead`), so it imports the standard library alone.

The socket keeps the bounds of messages (SOCK_SEQPACKET); each is a JSON object:

    launcher: {"order": {"name", "model", "revision", "hub", "patterns", "network"}}, all of them
              before it starts the reader
    launcher: {"over": name}: what is left of this one's weights is of no use any more
    reader:   {"name", "text"}: what there is to say; it ends when all has been read

Which files vLLM reads, and in which order: vllm/model_executor/model_loader/default_loader.py and
weight_utils.py (0.32). Where a hub's files are: huggingface_hub, "manage your cache".
"""

from __future__ import annotations

import contextlib
import ctypes
import fnmatch
import json
import os
import re
import socket
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

LARGEST = 1 << 18  # bytes of a message
PIECE = 4 << 20  # bytes that are read before a look at the socket
LOOK = 64 << 20  # and before a look at the memory
SHARE = 2  # one part in so many of the free memory is read into; the rest is the servers'
TELL_S = 30.0  # between two words about the same weights
SMALL = 5_000_000  # bytes that are read in a moment: not worth a word
FULL = ": more would be over half of the free memory"
UNLIMITED = 1 << 60  # what cgroup v1 shows of a limit that nobody has set is beyond

# ioprio_set(2): its number, by the machine's name, and the class that comes last at the disk.
IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "ppc64le": 273, "s390x": 282}
IDLE = 3 << 13
LAST = 19  # nice(2)

# Where another machine reads, most often one that others wait for as well; `fuse` has more names.
NETWORK = frozenset((
    "9p", "afs", "beegfs", "ceph", "cifs", "fhgfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs",
    "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "smb3", "smbfs", "virtiofs", "wekafs",
))  # fmt: skip
IN_MEMORY = frozenset(("devtmpfs", "hugetlbfs", "ramfs", "tmpfs"))
# filter_files_not_needed_for_inference
TRAINING = frozenset((
    "training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.pt", "scaler.pt",
))  # fmt: skip


def main() -> None:
    """Take the orders and read what they ask for."""
    channel = socket.socket(fileno=os.dup(0))

    def confess(kind: type, error: BaseException, _: TracebackType | None) -> None:
        _tell(channel, "prefetch", f"ended by {kind.__name__}: {error}")

    sys.excepthook = confess
    _come_last()
    channel.settimeout(0)
    Reader(channel).read_all()


def _come_last() -> None:
    """Have the disk and the processor only when nobody else wants them."""
    os.setpriority(os.PRIO_PROCESS, 0, LAST)
    if os.getsid(0) == os.getpid():  # ours alone
        _come_last_of_sessions()
    number = IOPRIO_SET.get(os.uname().machine)
    if number is not None:
        ctypes.CDLL(None).syscall(number, 1, 0, IDLE)


def _come_last_of_sessions() -> None:
    """Have the session come last: each has its share, however nice its processes (sched(7))."""
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w", encoding="ascii") as file:
        file.write(str(LAST))


def _tell(channel: socket.socket, name: str, text: str) -> None:
    try:
        channel.send(json.dumps({"name": name, "text": text}).encode())
    except BlockingIOError:
        return  # the launcher has other things to do than to hear of us
    except OSError:
        os._exit(0)  # it is gone


class Reader:
    """Reads files for one order after another, each file once."""

    def __init__(self, channel: socket.socket, root: str = "") -> None:
        """`root` is a folder that has /proc and /sys; empty for the machine's own."""
        self._channel = channel
        self._root = root
        self._orders: list[dict[str, object]] = []
        self._over: set[str] = set()
        self._seen: set[str] = set()
        self._buffer = bytearray(PIECE)  # what is read is forgotten
        self._done = 0  # bytes, of all orders
        self._allowed = 0  # how many it may be before the next look at the memory
        # Of the order under way:
        self._name, self._total, self._before, self._told_at = "", 0, 0, 0.0

    def read_all(self) -> None:
        """Read what has been asked for, in this order."""
        self._hear()
        for order in self._orders:
            self._hear()
            if order["name"] not in self._over:
                self._read_order(order)

    def _read_order(self, order: dict[str, object]) -> None:
        self._name = str(order["name"])
        files, reason = find_files(order, self._root)
        if reason:
            self._say(f"no weights are read ahead: {reason}")
            return
        fresh = [path for path in files if path not in self._seen]
        if not fresh:
            return
        self._seen.update(fresh)
        self._total, self._before, self._told_at = total_size(fresh), self._done, time.monotonic()
        if self._total < SMALL:
            self._read_files(fresh)
            return
        self._say(f"reading weights ahead: {describe(order, fresh)}")
        began, fetched = time.monotonic(), disk_reads(self._root)
        ending = self._read_files(fresh)
        text = f"read {self._progress()} of weights ahead in {time.monotonic() - began:.1f} s"
        if fetched is not None and not order["network"]:
            text += f", {gigabytes((disk_reads(self._root) or 0) - fetched)} of it from disk"
        self._say(text + ending)

    def _read_files(self, files: list[str]) -> str:
        """Read files; say why not all."""
        for path in files:
            try:
                source = os.open(path, os.O_RDONLY)
                try:
                    ending = self._read_file(source)
                finally:
                    os.close(source)
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                self._say(f"'{path}' is not read ahead: {reason}")
                continue
            if ending is not None:
                return ending
        return ""

    def _read_file(self, source: int) -> str | None:
        """Read a file into the page cache; say why not all, None if it was all.

        By read(2): sendfile(2) takes a third of the processor's time, but it reads 16 pages at a
        time, and what comes into the cache in so small parts is slower to map and to load.
        """
        while self._may_read():
            size = os.readv(source, [self._buffer])
            if size == 0:
                return None
            self._done += size
            self._hear()
            if time.monotonic() - self._told_at > TELL_S:
                self._told_at = time.monotonic()
                self._say(f"read {self._progress()} of weights ahead")
        return "" if self._name in self._over else FULL

    def _may_read(self) -> bool:
        """Tell whether another piece is wanted, and fits."""
        if self._name in self._over:
            return False
        if self._done + PIECE > self._allowed:
            self._allowed = min(self._done + LOOK, available_memory(self._root) // SHARE)
        return self._done + PIECE <= self._allowed

    def _progress(self) -> str:
        done = self._done - self._before
        whole = gigabytes(self._total)
        return whole if done >= self._total else f"{gigabytes(done)} of {whole}"

    def _say(self, text: str) -> None:
        _tell(self._channel, self._name, text)

    def _hear(self) -> None:
        """Take what the launcher says; end with it."""
        while True:
            try:
                data = self._channel.recv(LARGEST)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                os._exit(0)
            said = json.loads(data)
            if "order" in said:
                self._orders.append(said["order"])
            else:
                self._over.add(said["over"])


# Which files.


def find_files(order: dict[str, object], root: str = "") -> tuple[list[str], str]:
    """Return the files of an order as vLLM reads them, or why there is nothing to read."""
    model = str(order["model"])
    if os.path.isfile(model):
        files = [os.path.realpath(model)]
    else:
        folder = find_folder(order)
        if folder is None:
            absent = f", and not in '{order['hub']}'" if order["hub"] else ""
            return [], f"'{model}' is no folder{absent}"
        files = find_weights(folder, order["patterns"])  # type: ignore[arg-type]
        if not files:
            return [], f"'{folder}' has none"
    kind = find_kind(files[0], _text(f"{root}/proc/self/mountinfo"))
    if kind in IN_MEMORY:
        return [], f"they are in memory ({kind})"
    if is_network(kind) and not order["network"]:
        return [], f'they are on a network file system ({kind}), and prefetch is not "always"'
    return files, ""


def find_folder(order: dict[str, object]) -> str | None:
    """Return the folder of a model: itself, or what a hub's cache has of its revision."""
    model, hub = str(order["model"]), str(order["hub"])
    if os.path.isdir(model):
        return model
    if not hub:
        return None
    repository = os.path.join(hub, f"models--{model.replace('/', '--')}")
    revision = str(order["revision"] or "main")
    commit = _text(os.path.join(repository, "refs", revision)).strip() or revision
    folder = os.path.join(repository, "snapshots", commit)
    return folder if os.path.isdir(folder) else None


def find_weights(folder: str, patterns: list[str]) -> list[str]:
    """Return the files of the first pattern that has any, without what an index leaves out."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    for pattern in patterns:
        found = [name for name in fnmatch.filter(names, pattern) if name not in TRAINING]
        if found:
            listed = _indexed(folder, pattern)
            chosen = [name for name in found if name in listed] if listed else found
            ordered = sorted(chosen, key=_natural)
            return [os.path.realpath(os.path.join(folder, name)) for name in ordered]
    return []


def _indexed(folder: str, pattern: str) -> set[str]:
    """Return the files that an index names; nothing where there is no index."""
    first = "consolidated" if pattern.startswith("consolidated") else "model"
    if not pattern.endswith(".safetensors"):
        return set()
    try:
        index = json.loads(_text(os.path.join(folder, f"{first}.safetensors.index.json")))
        return set(index["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError):
        return set()


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort numbers in names by their value (_natural_sort_key)."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def total_size(files: list[str]) -> int:
    """Return the size of files in bytes; one that cannot be looked at has none."""
    total = 0
    for path in files:
        with contextlib.suppress(OSError):
            total += os.stat(path).st_size
    return total


# What kind of file system.


def find_kind(path: str, mounts: str) -> str:
    """Return the type of the file system of a path, by the text of /proc/self/mountinfo."""
    best, kind = "", ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields, rest = before.split(" "), after.split(" ")
        if len(fields) < 5 or not rest[0]:  # noqa: PLR2004  (proc(5): the fifth is the place)
            continue
        place = _unescape(fields[4])
        inside = path == place or path.startswith(f"{place.rstrip('/')}/")
        if inside and len(place) >= len(best):  # the last of equals is on top
            best, kind = place, rest[0]
    return kind


def _unescape(place: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), place)


def is_network(kind: str) -> bool:
    """Tell whether files of this type of file system come from another machine."""
    return kind in NETWORK or kind == "fuse" or kind.startswith("fuse.")


# How much memory.


def available_memory(root: str = "") -> int:
    """Return the bytes that new pages may take: by the machine, and by each cgroup above us."""
    found = re.search(r"^MemAvailable: +(\d+) kB$", _text(f"{root}/proc/meminfo"), re.MULTILINE)
    rooms = [int(found[1]) * 1024] if found else []
    for folder, is_second in _groups(root):
        room = _room(folder, is_second=is_second)
        if room is not None:
            rooms.append(room)
    return max(0, min(rooms, default=0))


def _groups(root: str) -> Iterator[tuple[str, bool]]:
    """Yield our memory cgroup and those above it, as far as they are seen; tell the version."""
    paths: dict[str, str] = {}
    for line in _text(f"{root}/proc/self/cgroup").splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        paths.update(dict.fromkeys(controllers.split(","), path))
    for line in _text(f"{root}/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = (*after.split(" ", 2), "", "")[:3]
        is_second = kind == "cgroup2"
        if not is_second and not (kind == "cgroup" and "memory" in options.split(",")):
            continue
        path = paths.get("" if is_second else "memory", "/")
        fields = before.split(" ")
        shown, place = _unescape(fields[3]), f"{root}{_unescape(fields[4])}"
        # In a container, the mount may show our group alone; /proc has the whole path to it.
        inner = os.path.relpath(path, shown) if shown != "/" else path.strip("/")
        while inner not in {"", "."} and not inner.startswith(".."):
            yield os.path.join(place, inner), is_second
            inner = os.path.dirname(inner)
        yield place, is_second


def _room(folder: str, *, is_second: bool) -> int | None:
    """Return what a cgroup's limit leaves, pages of files counted as free; None: no limit."""
    names = ("memory.max", "memory.high") if is_second else ("memory.limit_in_bytes",)
    texts = [_text(os.path.join(folder, name)).strip() for name in names]
    limits = [int(text) for text in texts if text.isdigit() and int(text) < UNLIMITED]
    used = _text(os.path.join(folder, "memory.current" if is_second else "memory.usage_in_bytes"))
    if not limits or not used.strip().isdigit():
        return None
    prefix = "" if is_second else "total_"
    pattern = rf"^{prefix}(?:in)?active_file (\d+)$"
    cached = re.findall(pattern, _text(os.path.join(folder, "memory.stat")), re.MULTILINE)
    return min(limits) - int(used) + sum(map(int, cached))


def disk_reads(root: str = "") -> int | None:
    """Return how many bytes were fetched from a disk for us (proc(5), io); None: not known."""
    found = re.search(r"^read_bytes: (\d+)$", _text(f"{root}/proc/self/io"), re.MULTILINE)
    return int(found[1]) if found else None


def _text(path: str) -> str:
    """Return the content of a small file; nothing where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


# Words.


def gigabytes(size: int) -> str:
    """Render a size in bytes."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"  # noqa: PLR2004


def describe(order: dict[str, object], files: list[str]) -> str:
    """Say what there is to read for an order."""
    count = "1 file" if len(files) == 1 else f"{len(files)} files"
    return f"{gigabytes(total_size(files))} in {count} of {order['model']}"


if __name__ == "__main__":
    main()
