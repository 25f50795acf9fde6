"""Locks are read line by line, and rewritten to where the bundle is."""

from __future__ import annotations

import pytest

from launcher.bundle.lockfile import (
    LockError,
    channel_url,
    parse_lock,
    quoted,
    relocate_lock,
    render_lock,
    split_conda_name,
    unquoted,
)
from launcher.bundle.model import CONDA, PYPI, SOURCE, Package

FORGE = "https://conda.example/forge"
V6 = f"""\
version: 6
environments:
  default:
    channels:
    - url: {FORGE}/
    - url: https://conda.example/nvidia/
    indexes:
    - https://index.invalid/simple
    options:
      pypi-prerelease-mode: if-necessary-or-explicit
    packages:
      linux-64:
      - conda: {FORGE}/linux-64/python-3.12.3-hab00c5b_0_cpython.conda
      - conda: {FORGE}/noarch/tzdata-2025a-h78e105d_0.conda
      - pypi: https://files.example/a/vllm-0.32.0-cp38-abi3-manylinux1_x86_64.whl#sha256=aa
      - pypi: ./
      osx-arm64: []
  'my-env':
    channels:
    - url: {FORGE}/
    packages:
      linux-64:
      - conda: {FORGE}/noarch/tzdata-2025a-h78e105d_0.conda
packages:
- conda: {FORGE}/linux-64/python-3.12.3-hab00c5b_0_cpython.conda
  build_number: 0
  sha256: AA11
  md5: bb22
  depends:
  - bzip2 >=1.0.8,<2.0a0
  - conda: a trap
  license: Python-2.0
  size: 31991381
- conda: {FORGE}/noarch/tzdata-2025a-h78e105d_0.conda
  md5: cc33
- pypi: https://files.example/a/vllm-0.32.0-cp38-abi3-manylinux1_x86_64.whl#sha256=aa
  name: vllm
  version: 0.32.0
  sha256: aa
  requires_dist:
  - torch==2.9 ; extra == 'x'
  requires_python: '>=3.9'
- pypi: ./
  name: mine
  version: '0.1'
  editable: true
"""


def test_packages_of_an_environment_are_read() -> None:
    lock = parse_lock(V6)
    python, tzdata, vllm, mine = (
        lock.packages[each] for each in lock.environments["default"]["linux-64"]
    )
    assert (python.name, python.version, python.build) == ("python", "3.12.3", "hab00c5b_0_cpython")
    assert python.file == "channel/linux-64/python-3.12.3-hab00c5b_0_cpython.conda"
    assert (python.sha256, python.md5) == ("aa11", "bb22")
    assert (tzdata.subdir, tzdata.md5, tzdata.sha256) == ("noarch", "cc33", "")
    assert (vllm.kind, vllm.version) == (PYPI, "0.32.0")
    assert vllm.file == "pypi/vllm-0.32.0-cp38-abi3-manylinux1_x86_64.whl"
    assert (mine.kind, mine.name, mine.file) == (SOURCE, "mine", "")


def test_environments_and_platforms_are_told_apart() -> None:
    lock = parse_lock(V6)
    assert lock.version == 6
    assert set(lock.environments) == {"default", "my-env"}
    assert lock.environments["default"]["osx-arm64"] == ()
    assert len(lock.environments["my-env"]["linux-64"]) == 1


def test_relocated_lock_has_every_package_where_the_bundle_is() -> None:
    text = relocate_lock(V6, parse_lock(V6), "/app/.vllmd/1")
    assert "https://conda.example" not in text
    assert "https://files.example" not in text
    lock = parse_lock(text)
    assert lock.environments["default"]["linux-64"] == (
        "/app/.vllmd/1/channel/linux-64/python-3.12.3-hab00c5b_0_cpython.conda",
        "/app/.vllmd/1/channel/noarch/tzdata-2025a-h78e105d_0.conda",
        "./pypi/vllm-0.32.0-cp38-abi3-manylinux1_x86_64.whl",
        "./",
    )
    assert text.count(f"- url: {channel_url('/app/.vllmd/1')}") == 2  # two environments


def test_relocated_lock_keeps_all_other_lines() -> None:
    text = relocate_lock(V6, parse_lock(V6), "/app")
    kept = [line for line in V6.splitlines() if "example" not in line]
    assert [line for line in text.splitlines() if "/app/" not in line and "./pypi" not in line] == (
        kept
    )


def test_relocation_twice_is_that_of_the_second_time() -> None:
    once = relocate_lock(V6, parse_lock(V6), "/app")
    twice = relocate_lock(once, parse_lock(once), "/elsewhere")
    assert twice == relocate_lock(V6, parse_lock(V6), "/elsewhere")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "its version is '', and 6 or 7 are understood"),
        ("version: 5\n", "its version is '5', and 6 or 7 are understood"),
        ("hello\n", "its version is '', and 6 or 7 are understood"),
        (
            V6.partition("\npackages:\n")[0],
            "it does not describe the package 'https://conda.example",
        ),
    ],
)
def test_text_that_is_no_lock_is_refused(text: str, reason: str) -> None:
    with pytest.raises(LockError, match=reason):
        parse_lock(text)


def test_rendered_lock_is_read_again() -> None:
    python = Package(
        kind=CONDA,
        name="python",
        version="3.12.3",
        build="h_0",
        subdir="linux-64",
        file="channel/linux-64/python-3.12.3-h_0.conda",
        sha256="aa",
        extra=(("depends", ["a >=1,<2"]), ("noarch", "")),
    )
    wheel = Package(kind=PYPI, name="vllm", version="1", file="pypi/vllm-1-py3-none-any.whl")
    text = render_lock((wheel, python), "default", "linux-64", "/with space")
    lock = parse_lock(text)
    locations = lock.environments["default"]["linux-64"]
    assert locations == (
        "/with space/channel/linux-64/python-3.12.3-h_0.conda",
        "./pypi/vllm-1-py3-none-any.whl",
    )
    assert lock.packages[locations[0]].sha256 == "aa"
    assert '  depends: ["a >=1,<2"]\n' in text
    assert "file:///with%20space/channel/" in text


def test_rendered_lock_without_packages_is_read_again() -> None:
    lock = parse_lock(render_lock((), "default", "linux-64", "/app"))
    assert lock.environments == {"default": {"linux-64": ()}}


@pytest.mark.parametrize(
    ("file", "parts"),
    [
        ("python-3.12.3-h_0.conda", ("python", "3.12.3", "h_0")),
        ("a-b_c-1.0-0.tar.bz2", ("a-b_c", "1.0", "0")),
        ("odd.conda", ("odd", "", "")),
    ],
)
def test_conda_names_are_split(file: str, parts: tuple[str, str, str]) -> None:
    assert split_conda_name(file) == parts


@pytest.mark.parametrize("text", ["/a/b-1.conda", "/with space", "a: b", "it's", "#x", "ü", "@x"])
def test_quoted_text_is_unquoted_again(text: str) -> None:
    assert unquoted(quoted(text)) == text


@pytest.mark.parametrize(
    ("scalar", "text"), [("'it''s'", "it's"), ('"a\\"b"', 'a"b'), (" x ", "x"), ("'", "'")]
)
def test_scalars_are_unquoted(scalar: str, text: str) -> None:
    assert unquoted(scalar) == text
