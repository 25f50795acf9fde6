"""Images for the suite with a real engine, made here: none can be counted on to be pulled."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import os
import subprocess
import warnings
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, BuildError, DockerException, ImageNotFound

from tests.support.launching import ROOT
from tests.support.require import require_program, skip_or_fail

SUITE = "docker"
LABEL = "vllmd.test"  # on everything that the suite makes in the engine
REPOSITORY = "vllmd-test"
# Debian as its own slim image is, with Python: no compiler, no curl, no pip.
RECIPE = (
    "--variant=minbase",
    "--include=python3,libnuma1",  # libnuma1: vLLM's CPU build loads it
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "bookworm",
)
CHANGES = [
    'CMD ["python3"]',
    "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
]
MAKING_S = 900
RETRIES = '--aptopt=Acquire::Retries "5"'  # no part of what comes out
PATIENCE_S = 600  # of a request to the engine
DOCKERFILE = "dockers/infer-dev/Dockerfile"


def connect() -> Any:
    """Return a client of the engine; where none answers, the test ends with the reason."""
    client, reason = _try_engine()
    if client is None:
        skip_or_fail(SUITE, f"no Docker engine answers ('.ci/run' starts one): {reason}")
    return client


def _try_engine() -> tuple[Any, str]:
    with warnings.catch_warnings():
        # The SDK forgets its socket where nobody listens.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            return docker.from_env(timeout=PATIENCE_S), ""
        except DockerException as error:
            reason = str(error)
        gc.collect()
    return None, reason


def prune(client: Any) -> None:
    """Remove what builds of former days have left; today's are the cache of the next build."""
    label = f"{LABEL}=1"
    with contextlib.suppress(APIError):  # somebody else does it at this moment
        client.images.prune(filters={"dangling": True, "label": [label], "until": ["24h"]})


def base_image(client: Any) -> str:
    """Return the name of the base image; it is made once, and kept by engine and cache folder."""
    words = "\n".join((*RECIPE, *CHANGES))
    tag = f"base-{hashlib.sha256(words.encode()).hexdigest()[:12]}"
    name = f"{REPOSITORY}:{tag}"
    try:
        client.images.get(name)
    except ImageNotFound:
        archive = _root_file_system(f"{tag}.tar")
        changes = [*CHANGES, f"LABEL {LABEL}=1"]
        client.api.import_image_from_file(str(archive), REPOSITORY, tag, changes)
    return name


def _root_file_system(name: str) -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    archive = Path(cache) / "vllmd-test" / name
    if not archive.is_file():
        program = require_program(SUITE, "mmdebstrap")
        archive.parent.mkdir(parents=True, exist_ok=True)
        partial = archive.with_suffix(f".{os.getpid()}.tar")
        words = [program, "--quiet", RETRIES, *RECIPE, str(partial)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=MAKING_S)
        if done.returncode:
            partial.unlink(missing_ok=True)
            skip_or_fail(SUITE, f"mmdebstrap cannot make a base image: {done.stderr[-400:]}")
        partial.replace(archive)
    return archive


def build_image(client: Any, base: str, tag: str = "latest", **arguments: str) -> str:
    """Build the project's Dockerfile on a base image; return the image's id.

    The tag is for people: another run of the suite may give it to another image meanwhile. The
    build has the network of this machine: a test may serve what it fetches.

    Raises:
        AssertionError: it cannot be built; the build's output is shown.
    """
    try:
        image, _ = client.images.build(
            path=ROOT, dockerfile=DOCKERFILE, tag=f"{REPOSITORY}:{tag}", rm=True, forcerm=True,
            network_mode="host", buildargs={"BASE": base, **arguments}, labels={LABEL: "1"},
        )  # fmt: skip
    except BuildError as error:
        lines = "".join(str(line.get("stream", "")) for line in error.build_log)
        raise AssertionError(f"{error}\n{lines}") from None
    return str(image.id)
