from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from launcher.hypervisor.image.cpio import console, file, folder, render_archive

if TYPE_CHECKING:
    from pathlib import Path


def test_archive_is_whole_words_and_ends_with_its_trailer() -> None:
    archive = render_archive([folder("bin"), file("bin/sh", b"#!", executable=True)])
    assert archive.startswith(b"070701")
    assert len(archive) % 4 == 0
    assert archive.rstrip(b"\0").endswith(b"TRAILER!!!")


def test_archive_of_the_same_entries_has_the_same_bytes() -> None:
    entries = [folder("dev"), console(), file("init", b"x")]
    assert render_archive(entries) == render_archive(entries)


def test_header_holds_mode_and_size_as_hexadecimal() -> None:
    head = render_archive([file("a", b"12345", executable=True)])[:110]
    fields = [int(head[at : at + 8], 16) for at in range(6, 110, 8)]
    assert (fields[1], fields[6]) == (0o100755, 5)


def test_archive_with_an_absolute_name_is_refused() -> None:
    with pytest.raises(ValueError, match="'/etc' cannot be in an archive"):
        render_archive([folder("/etc")])


@pytest.mark.skipif(not shutil.which("busybox"), reason="needs busybox to unpack")
def test_archive_is_unpacked_by_another_program(tmp_path: Path) -> None:
    archive = render_archive([folder("d"), file("d/f", b"content")])
    words = ["busybox", "cpio", "-i"]
    subprocess.run(words, input=archive, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "d" / "f").read_bytes() == b"content"
