"""A mirror of pixi's releases: a folder, or an HTTP server before it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import platform
import tarfile
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSION = "9.9.9"
PROGRAM = b"#!/bin/sh\necho pixi 9.9.9\n"


def archive_of(program: bytes) -> bytes:
    """Return an archive as releases are: one file, `pixi`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("pixi")
        entry.size = len(program)
        archive.addfile(entry, io.BytesIO(program))
    return buffer.getvalue()


class Mirror:
    """A folder with one release, named by `url`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"file://{folder}"
        name = f"pixi-{platform.machine()}-unknown-linux-musl.tar.gz"
        self.release = folder / f"v{VERSION}" / name
        self.release.parent.mkdir()
        self.release.write_bytes(archive_of(PROGRAM))
        self.sha256 = hashlib.sha256(self.release.read_bytes()).hexdigest()

    @contextlib.contextmanager
    def served(self) -> Iterator[Mirror]:
        """Serve the folder over HTTP; `url` names the server from then on."""
        handler = partial(SimpleHTTPRequestHandler, directory=str(self.folder))
        with HTTPServer(("127.0.0.1", 0), handler) as server:
            Thread(target=server.serve_forever, daemon=True).start()
            self.url = f"http://127.0.0.1:{server.server_port}"
            yield self
            server.shutdown()
