"""Whatever a bundle holds, it is taken or refused; nothing else comes out of the code."""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import tomli
from hypothesis import given
from hypothesis import strategies as st

from launcher.bundle.archive import read_bundle
from launcher.bundle.errors import BundleError
from launcher.bundle.lockfile import LockError, parse_lock, quoted, relocate_lock, unquoted
from launcher.bundle.manifest import ManifestError, set_channels
from launcher.bundle.members import FILE, FOLDER, Member, plan_members
from launcher.bundle.repodata import RepodataError, parse_repodata
from launcher.bundle.tarball import open_tarball
from launcher.errors import HostError

LINES = (
    "version: 6", "environments:", "  default:", "    packages:", "      linux-64:",
    "      - conda: https://a/linux-64/b-1-0.conda", "      - pypi: ./c-1-py3-none-any.whl",
    "    channels:", "    - url: https://a/", "packages:", "- conda: https://a/linux-64/b-1-0.conda",
    "- pypi: ./c-1-py3-none-any.whl", "  sha256: aa", "  name: 'b'", "  depends:", "  - conda: x",
    "      - pypi: ./", "- pypi: ./", "  'odd': \"", "#", "",
)  # fmt: skip
PARTS = st.sampled_from(("..", ".", "", "a", "b", ".pixi", "channel", "\udcff", "\n", "x" * 300))
PIECES = st.sampled_from(
    ("[workspace]", "[project]", "[feature.a]", "channels", "=", '["a"]', "[", "]", "{", "}", '"',
     "'", "#", ",", "\n", "workspace", ".", "x", "1", '"""', "priority")
)  # fmt: skip


@given(st.lists(st.sampled_from(LINES), max_size=30))
def test_lines_of_a_lock_are_read_or_refused(lines: list[str]) -> None:
    text = "\n".join(lines)
    try:
        lock = parse_lock(text)
    except LockError:
        return
    moved = relocate_lock(text, lock, "/app")
    assert relocate_lock(moved, parse_lock(moved), "/app") == moved


@given(st.text(st.characters(exclude_characters="\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")))
def test_scalars_survive(text: str) -> None:
    assert unquoted(quoted(text)) == text


@given(st.lists(PIECES, max_size=30))
def test_manifest_gets_its_channels_or_is_refused(pieces: list[str]) -> None:
    text = " ".join(pieces).replace("\n ", "\n")
    with contextlib.suppress(ManifestError):
        changed = tomli.loads(set_channels(text, "pixi.toml"))
        table = changed.get("workspace") or changed["project"]
        assert table["channels"] == ["./channel"]


@given(st.lists(st.tuples(st.lists(PARTS, max_size=4), st.sampled_from((FILE, FOLDER, "a link")))))
def test_no_target_leaves_the_folder(entries: list[tuple[list[str], str]]) -> None:
    members = [Member(name="/".join(parts), kind=kind) for parts, kind in entries]
    with contextlib.suppress(BundleError):
        for target in plan_members(members).values():
            assert not target.startswith("/")
            assert not {"", ".", ".."} & set(target.split("/"))


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=3),
        lambda inner: st.dictionaries(
            st.sampled_from(("packages", "packages.conda", "name", "a/b", "x-1-0.conda")), inner
        ),
    )
)
def test_index_is_read_or_refused(data: object) -> None:
    with contextlib.suppress(RepodataError):
        parse_repodata(json.dumps(data), "noarch")


def small_tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("channel/noarch/a-1-0.conda", "pixi.toml", "x" * 120):
            info = tarfile.TarInfo(name)
            info.size = 600
            tar.addfile(info, io.BytesIO(bytes(600)))
    return buffer.getvalue()


TAR = small_tar()


@given(
    st.lists(st.tuples(st.integers(0, 4000), st.binary(min_size=1, max_size=20)), max_size=4),
    st.integers(0, len(TAR)),
)
def test_broken_tar_is_refused_and_stays_in_its_folder(
    changes: list[tuple[int, bytes]], length: int
) -> None:
    raw = bytearray(TAR)
    for at, data in changes:
        raw[at : at + len(data)] = data
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "b.tar").write_bytes(raw[:length])
        (folder / "into").mkdir()
        with (
            contextlib.suppress(BundleError, HostError),
            open_tarball(str(folder / "b.tar")) as tarball,
        ):
            read_bundle(tarball, str(folder / "into"))
        assert {path.name for path in folder.iterdir()} == {"b.tar", "into"}
