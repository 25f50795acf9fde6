"""Install wheels into an environment, by PyPA's `installer`: no index, no build, no network."""

from __future__ import annotations

import glob
import json
import os
from pathlib import Path

from installer import install
from installer.destinations import SchemeDictionaryDestination
from installer.exceptions import InstallerError
from installer.sources import WheelFile
from installer.utils import parse_wheel_filename

from launcher.bundle.errors import BundleError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.bundle.model import Package


def install_wheels(root: str, prefix: str, wheels: Sequence[Package]) -> None:
    """Install wheels of the project in `root` into a prefix that has a Python.

    Raises:
        BundleError: there is no Python, or a wheel is broken.
    """
    if not wheels:
        return
    scheme = _scheme(prefix)
    for wheel in wheels:
        destination = SchemeDictionaryDestination(
            {**scheme, "headers": os.path.join(scheme["headers"], wheel.name)},
            interpreter=os.path.join(prefix, "bin", "python"),
            script_kind="posix",
        )
        try:
            parse_wheel_filename(os.path.basename(wheel.file))
            with WheelFile.open(Path(root, wheel.file)) as source:
                source.validate_record(validate_contents=True)
                install(source, destination, additional_metadata={"INSTALLER": b"vllmd"})
        except (InstallerError, ValueError, KeyError, FileExistsError) as error:
            raise BundleError(
                f"the wheel '{wheel.file}' cannot be installed: {error}", "make the bundle again"
            ) from None


def _scheme(prefix: str) -> dict[str, str]:
    version = _python_version(prefix)
    site = os.path.join(prefix, "lib", f"python{version}", "site-packages")
    return {
        "purelib": site,
        "platlib": site,
        "headers": os.path.join(prefix, "include", f"python{version}"),
        "scripts": os.path.join(prefix, "bin"),
        "data": prefix,
    }


def _python_version(prefix: str) -> str:
    for path in glob.glob(os.path.join(glob.escape(prefix), "conda-meta", "python-*.json")):
        with open(path, encoding="utf-8") as file:
            record = json.load(file)
        if record.get("name") == "python":
            return ".".join(str(record["version"]).split(".")[:2])
    raise BundleError(
        "its environment has wheels and no Python to put them in", "add 'python' to the project"
    )
