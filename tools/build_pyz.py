#!/usr/bin/env python3
"""Build `vllmd` as one file: dist/vllmd.pyz, which any Python from 3.11 on executes.

python tools/build_pyz.py [--wheels DIR] [--output FILE]

The dependencies are inside, from wheels of pinned versions and checksums; those that are not in
DIR are fetched by pip first. The same sources, built by the same Python, give the same bytes.

Beside each module lies its bytecode for the Python that builds, "unchecked": it is taken without a
look at the source. Another Python compiles the source at each start (PYTHONPYCACHEPREFIX and the
like do not reach into an archive), so build with the Python of the image. Bytecode is stored, not
compressed, so that a start need not inflate it.

A link to the file that is named vllmd-hypervisor is that program.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import io
import marshal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "dist" / "vllmd.pyz"
WHEELS = ROOT / "build" / "wheels"
# Pure Python: a compiled module cannot be imported from an archive. The checksums are SHA-256.
PINNED = {
    "deepmerge-4.0.0-py3-none-any.whl": (
        "a36dd5810fc3b90bd3e0b681158221361d6a31a6109411b27b211b371fed6d5b"
    ),
    "tomli-2.5.0-py3-none-any.whl": (
        "32a7b79ac57a2e83670ce329ccf675798bc5a2094783a63676866b70503f2e2b"
    ),
}
SHEBANG = b"#!/usr/bin/env python3\n"
# As busybox does it: by another name, a link to the file, it is another program.
MAIN = b"""\
import os
import sys

if os.path.basename(sys.argv[0]).startswith("vllmd-hypervisor"):
    from launcher.cli.hypervisor.main import main
else:
    from launcher.cli.main import main

raise SystemExit(main())
"""
EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that an archive can name
READABLE = 0o100644 << 16
EXECUTABLE = 0o755
UNCHECKED = (1).to_bytes(4, "little")  # PEP 552: by hash, and the hash is not compared
LEFT_OUT = ("tests",)  # packages that wheels bring and nobody imports


def find_wheels(folder: Path) -> list[Path]:
    """Return the wheels of the dependencies, fetched where they are missing.

    Raises:
        SystemExit: they cannot be fetched, or are not what was pinned.
    """
    paths = [folder / name for name in PINNED]
    missing = [path.name.split("-")[:2] for path in paths if not path.is_file()]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        options = ("--only-binary=:all:", "--no-deps", "--implementation=py", "--abi=none",
                   "--platform=any", "--python-version=3.11", f"--dest={folder}")  # fmt: skip
        wanted = [f"{name}=={version}" for name, version in missing]
        words = [sys.executable, "-m", "pip", "download", "--quiet", *options, *wanted]
        if subprocess.run(words, check=False).returncode:
            raise SystemExit(f"error: cannot fetch {', '.join(wanted)}")
    for path in paths:
        if hashlib.sha256(path.read_bytes()).hexdigest() != PINNED[path.name]:
            raise SystemExit(f"error: '{path}' is not the wheel whose checksum is pinned")
    return paths


def own_files() -> Iterator[tuple[str, bytes]]:
    """Yield the launcher's modules and data, and its license."""
    for path in (ROOT / "launcher").rglob("*"):
        if path.suffix in {".py", ".tsv"}:
            yield path.relative_to(ROOT).as_posix(), path.read_bytes()
    yield "LICENSE", (ROOT / "LICENSE").read_bytes()
    yield "__main__.py", MAIN


def files_of(wheel: Path) -> Iterator[tuple[str, bytes]]:
    """Yield a wheel's modules, and its license, without its tests."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            parts = name.split("/")
            is_module = name.endswith(".py") and parts[1] not in LEFT_OUT
            if is_module or "licenses" in parts:
                yield name, archive.read(name)


def compile_module(name: str, source: bytes, archive: str) -> bytes:
    """Return a module's bytecode file, which is taken without a look at the source."""
    code = compile(source, f"{archive}/{name}", "exec", dont_inherit=True, optimize=0)
    # Once through marshal: which objects it writes as references depends on who else held them.
    data = marshal.dumps(marshal.loads(marshal.dumps(code)))  # noqa: S302  (our own)
    return importlib.util.MAGIC_NUMBER + UNCHECKED + importlib.util.source_hash(source) + data


def pack(files: dict[str, bytes], archive: str) -> bytes:
    """Return the archive: sorted, with one date, bytecode first, where it is found sooner."""
    bytecode = {
        f"{name}c": compile_module(name, content, archive)
        for name, content in files.items()
        if name.endswith(".py")
    }
    buffer = io.BytesIO(SHEBANG)
    with zipfile.ZipFile(buffer, "a") as target:
        for name, content in sorted((files | bytecode).items()):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = READABLE
            entry.create_system = 3  # Unix, whatever builds it
            if name not in bytecode:
                entry.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(entry, content)
    return buffer.getvalue()


def main(argv: list[str] | None = None) -> int:
    """Build the file."""
    parser = argparse.ArgumentParser(description="Build vllmd as one file.")
    parser.add_argument("--wheels", type=Path, default=WHEELS)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args(argv)
    files = dict(own_files())
    for wheel in find_wheels(options.wheels):
        files.update(files_of(wheel))
    data = pack(files, OUTPUT.name)
    output: Path = options.output
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f"{output.name}.partial")
    partial.write_bytes(data)
    partial.chmod(EXECUTABLE)
    partial.replace(output)
    print(f"{output}: {len(data):,} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
