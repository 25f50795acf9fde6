"""The door of every command about the host: find the file, read it and the environment."""

from __future__ import annotations

import os

from launcher.config.document import decode_toml
from launcher.config.limits import LARGEST_FILE, require_small
from launcher.config.problems import ERROR, WARNING, Origin, Problem, errors_of
from launcher.errors import ConfigError, HostError
from launcher.hypervisor.account import gather_account, home_of_caller, with_home
from launcher.hypervisor.environment import EnvironmentReader
from launcher.hypervisor.host.model import HostSettings
from launcher.hypervisor.host.read import read_host
from launcher.hypervisor.host.values import group_name
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.config.document import Document
    from launcher.hypervisor.account import Account
    from launcher.hypervisor.host.model import HostConfig

CONFIG_VARIABLE = "VLLMD_HYPERVISOR_CONFIG"
DEFAULT_PLACE = ".config/vllmd/config.toml"  # in a home


@record
class Host:
    """What the user wants of this host, and who the user is.

    `environ` has HOME; `documents` are what `warnings` are about.
    """

    config: HostConfig
    settings: HostSettings
    account: Account
    environ: Mapping[str, str]
    documents: tuple[Document, ...]
    warnings: tuple[Problem, ...]


def load_host(environ: Mapping[str, str]) -> Host:
    """Read the host's file and the environment.

    A file that nobody named may be missing: all defaults hold then, and there are no runtimes.

    Raises:
        ConfigError: with every problem of both.
    """
    environ = with_home(environ)
    account = gather_account()
    reader = EnvironmentReader(environ)
    settings = read_settings(reader, account.user)
    known = len(reader.problems)
    path = reader.path(CONFIG_VARIABLE)
    refused = len(reader.problems) > known  # then the path is that of the default
    named = reader.given(CONFIG_VARIABLE) and path != reader.default_path(CONFIG_VARIABLE)
    try:
        file = load_file(path, named=named) if not refused else None
    except ConfigError as error:
        others = read_host(None, environ, account.user).problems
        found = (*error.problems, *others, *reader.problems)
        raise ConfigError(found, error.documents) from None
    reading = read_host(file, environ, account.user)
    overlooked = find_overlooked(path, home_of_caller(environ)) if file is None else ()
    problems = (*overlooked, *reading.problems, *reader.problems)
    documents = reading.tree.documents
    if errors_of(problems):
        raise ConfigError(problems, documents)
    return Host(
        config=reading.config,
        settings=settings,
        account=account,
        environ=environ,
        documents=documents,
        warnings=problems,
    )


def find_overlooked(path: str, home: str) -> tuple[Problem, ...]:
    """Warn where sudo has changed HOME, and so hides the file below the home of its caller."""
    theirs = f"{home}/{DEFAULT_PLACE}"
    if not home or theirs == path or not os.path.exists(theirs):
        return ()
    message = f"'{theirs}' is not read: by sudo, '{path}' is the file, and it is not there"
    hint = f"name it behind sudo: sudo {CONFIG_VARIABLE}={theirs} vllmd-hypervisor ..."
    origin = Origin(kind="environment", name=CONFIG_VARIABLE)
    return (Problem(message=message, hint=hint, severity=WARNING, origin=origin),)


def require_runtimes(host: Host) -> None:
    """Need runtimes.

    Raises:
        HostError: the host's file has none, or there is no such file.
    """
    if host.config.path and not host.config.runtimes:
        raise HostError(
            f"'{host.config.path}' has no runtime", "add a [[runtimes]] table with index and name"
        )
    if not host.config.runtimes:
        raise HostError(
            "there is no configuration of this host, and so no runtime",
            f"write $HOME/.config/vllmd/config.toml, or export {CONFIG_VARIABLE}",
        )


def read_settings(reader: EnvironmentReader, user: str) -> HostSettings:
    """Read what the environment alone says. Problems stay in the reader."""
    return HostSettings(
        log_level=reader.choice("VLLMD_HYPERVISOR_LOG_LEVEL"),
        dry_run=reader.boolean("VLLMD_HYPERVISOR_DRY_RUN"),
        kvm_group=reader.read("VLLMD_KVM_GROUP", group_name),
        hugepages_size=reader.choice("VLLMD_HUGEPAGES_SIZE"),
        skip_nested=reader.boolean("VLLMD_DISABLE_NESTED_VIRT"),
        skip_network=reader.boolean("VLLMD_DISABLE_NETWORK"),
        systemd_dir=reader.path("VLLMD_SYSTEMD_DIR"),
        runtime_template=reader.path("VLLMD_RUNTIME_TEMPLATE"),
        cloud_init_user=reader.text("VLLMD_CLOUD_INIT_USER") or user,
        ssh_key_path=reader.path("VLLMD_SSH_KEY_PATH"),
        cloud_image=reader.text("VLLMD_CLOUD_IMAGE"),
    )


def load_file(path: str, *, named: bool) -> Document | None:
    """Read and parse the host's file; None where there is none and nobody `named` it.

    Raises:
        ConfigError: it cannot be read, or is not TOML.
    """
    origin = Origin(kind="file", name=path)
    try:
        with open(path, "rb") as file:
            raw = file.read(LARGEST_FILE + 1)
            require_small(raw, origin)
            return decode_toml(raw, origin)
    except FileNotFoundError:
        if not named:
            return None
        hint = f"write the file, or unset {CONFIG_VARIABLE}"
        raise ConfigError((_unreadable(path, "there is no such file", hint),)) from None
    except OSError as error:
        reason = f"it cannot be read: {os.strerror(error.errno or 0).lower()}"
        raise ConfigError((_unreadable(path, reason, "make it readable"),)) from None


def _unreadable(path: str, message: str, hint: str) -> Problem:
    origin = Origin(kind="file", name=path)
    return Problem(message=message, hint=hint, severity=ERROR, origin=origin)
