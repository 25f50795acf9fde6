"""`start --config FILE`: from the launcher's file to the variables of `start` and a seed disk."""

from __future__ import annotations

import json
import os
from functools import partial
from typing import TYPE_CHECKING

from launcher.cli.guest_table import read_guest
from launcher.cli.hypervisor.guest_gpus import count_gpus, plan_gpu_ids
from launcher.cli.hypervisor.reveal import reveal
from launcher.cli.launch import make_plan
from launcher.cli.sources import load_documents
from launcher.config.document import Document
from launcher.config.problems import Origin, errors_of
from launcher.config.reader import Problems, Refusal
from launcher.errors import ConfigError, HostError, UsageError
from launcher.hypervisor import read
from launcher.hypervisor.account import gather_account, with_home
from launcher.hypervisor.environment import EnvironmentReader, expand_path
from launcher.hypervisor.guest.cloudinit import NETWORK_CONFIG, render_seed
from launcher.hypervisor.guest.identity import Identity, parse_user_name
from launcher.hypervisor.guest.manifest import find_manifest, require_manifest
from launcher.hypervisor.guest.riders import plan_riders
from launcher.hypervisor.guest.seed import write_seed_image
from launcher.hypervisor.model import Addressing
from launcher.hypervisor.network import parse_network
from launcher.hypervisor.starting import require_stopped
from launcher.hypervisor.variables import VARIABLES
from launcher.output import print_problems
from launcher.render.overrides import merge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from launcher.config.problems import TomlValue
    from launcher.hypervisor.host.model import GuestConfig

STATE_DIR = f"{read.P}STATE_DIR"
SEED_NAME = "config.img"
FALLBACK_USER = "vllmd"
ADD_TABLE = "add [guest], with image = the folder that 'vllmd-hypervisor image build' has made"


def prepare_guest(
    path: str, assignments: tuple[str, ...], asked: tuple[str, ...], environ: Mapping[str, str]
) -> dict[str, str]:
    """Write the seed disk of a launcher's file; return the environment for `start`.

    What the environment says already wins over the table `[guest]`. `asked` are the secrets that
    may be on the seed disk.

    Raises:
        LauncherError: the file or the environment is wrong; nothing was written.
    """
    environ = with_home(environ)
    plan = make_plan(path, assignments, environ, elsewhere=True)
    documents = load_documents(path, assignments, environ)
    problems = Problems(plan.config.tree)
    if "guest" not in plan.config.tree.data and not environ.get(read.SYSTEM):
        problems.add((), "there is no table [guest] in this file", ADD_TABLE)
    # What is wrong with the table is among the plan's problems already.
    guest = read_guest(plan.config.tree, Problems(plan.config.tree))
    variables = dict(_variables(guest, os.path.dirname(os.path.abspath(path)), environ))
    # A folder that stands for an image has become the image.
    resolved = {read.SYSTEM} if os.path.isdir(environ.get(read.SYSTEM, "")) else set()
    given = {name: text for name, text in environ.items() if text and name not in resolved}
    whole = {**variables, **given}
    gpus = plan_gpu_ids(plan.config.instances, count_gpus(whole.get(read.DEVICES, "")), problems)
    found = (*plan.problems, *problems.found)
    if errors_of(found):
        raise ConfigError(found, plan.config.tree.documents)
    print_problems(found, plan.config.tree.documents)
    overrides: dict[str, TomlValue] = {}
    for tree in (*(each.data for each in documents[1:]), gpus):
        overrides = merge(overrides, tree)
    files = _render(whole, documents[0], overrides, asked, environ)
    whole[read.CONFIG] = _write(whole, files, environ)
    return whole


def _variables(
    guest: GuestConfig, folder: str, environ: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield the variables that the table sets; paths are relative to the file's folder.

    Raises:
        HostError: the image is a folder without an image.
    """
    paths = {
        read.KERNEL: _path(guest.kernel, folder, environ),
        read.SYSTEM: _path(guest.image, folder, environ),
        read.INITRAMFS: _path(guest.initramfs, folder, environ),
    }
    image = environ.get(read.SYSTEM, "") or paths[read.SYSTEM]
    manifest = require_manifest(image) if os.path.isdir(image) else find_manifest(image)
    if manifest is not None:
        paths[read.SYSTEM] = manifest.image
        paths[read.KERNEL] = paths[read.KERNEL] or manifest.kernel
    texts = {
        **paths,
        read.CMDLINE: guest.cmdline,
        read.CPUS: str(guest.cpus or ""),
        read.MEMORY: guest.memory,
        read.DEVICES: ",".join(guest.devices),
        read.NET: guest.net,
        read.PUBLISH: ",".join(guest.publish),
    }
    yield from ((name, text) for name, text in texts.items() if text)


def _path(text: str, folder: str, environ: Mapping[str, str]) -> str:
    if not text:
        return ""
    try:
        return os.path.normpath(os.path.join(folder, expand_path(text, environ)))
    except Refusal as refusal:
        raise UsageError(f"[guest]: '{text}': {refusal.message}", refusal.hint) from None


def _render(
    variables: Mapping[str, str],
    config: Document,
    overrides: dict[str, TomlValue],
    asked: tuple[str, ...],
    environ: Mapping[str, str],
) -> dict[str, bytes]:
    """Render the files of the seed disk."""
    document = Document(
        origin=Origin(kind="override", name="the overrides"),
        text=json.dumps(overrides, default=str),
        data=overrides,
    )
    riders, warnings = plan_riders(
        config,
        document if overrides else None,
        frozenset(asked),
        partial(reveal, environ=environ),
    )
    print_problems(warnings, (config,))
    name = variables.get(read.NAME, "default")
    network, _ = parse_network(variables.get(read.NET, ""), name)
    has_tap = network.kind == "tap"
    identity = Identity(
        name=name,
        user=_user(),
        mac=network.mac,
        addressing=Addressing() if has_tap else None,
    )
    files = render_seed(identity, riders)
    if not has_tap:
        # Without it the guest takes what QEMU's user network gives, which needs no question.
        del files[NETWORK_CONFIG]
    return files


def _user() -> str:
    try:
        return parse_user_name(gather_account().user)
    except Refusal:
        return FALLBACK_USER


def _write(
    variables: Mapping[str, str], files: dict[str, bytes], environ: Mapping[str, str]
) -> str:
    """Write the seed disk into the state directory; return its path.

    Raises:
        ConfigError: the guest's name is none.
        HostError: it cannot be written, or the guest runs.
    """
    reader = EnvironmentReader(variables)
    name = read.read_name(reader)
    reader.finish()
    require_stopped(name, variables)  # a guest that reboots reads its disk again
    given = environ.get(STATE_DIR, "") or VARIABLES[STATE_DIR].default
    try:
        folder = os.path.join(expand_path(given, environ), name)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        path = os.path.join(folder, SEED_NAME)
        write_seed_image(path, files)
    except Refusal as refusal:
        raise UsageError(f"{STATE_DIR}: {refusal.message}", refusal.hint) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise HostError(
            f"the config image cannot be written to '{given}': {reason}",
            f"set {STATE_DIR} to a folder of yours",
        ) from None
    return path
