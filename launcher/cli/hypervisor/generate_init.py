"""`vllmd-hypervisor generate-init`: write the seed disk of each runtime."""

from __future__ import annotations

import os
import platform
from functools import partial

from launcher.cli.hypervisor.arguments import default_of, new_hypervisor_parser
from launcher.cli.hypervisor.reveal import reveal
from launcher.cli.hypervisor.telling import WARN, tell_warnings
from launcher.cli.launch import make_plan
from launcher.cli.sources import OVERRIDES_VARIABLE, load_documents
from launcher.config.found_secrets import list_secrets
from launcher.config.problems import WARNING, Origin, Problem, errors_of
from launcher.config.reader import Refusal
from launcher.config.suggest import render_hint
from launcher.errors import EX_OK, ConfigError, HostError, UsageError
from launcher.hypervisor.account import find_owner
from launcher.hypervisor.environment import expand_path
from launcher.hypervisor.guest.baseimage import (
    base_image_path,
    copy_image,
    is_path,
    own_image_path,
)
from launcher.hypervisor.guest.cloudinit import META_DATA, NETWORK_CONFIG, render_seed
from launcher.hypervisor.guest.riders import plan_riders
from launcher.hypervisor.guest.seed import find_seed_files, write_seed_image
from launcher.hypervisor.host.install import PlannedFolder, find_guest_files, make_folder
from launcher.hypervisor.host.loading import load_host, require_runtimes
from launcher.hypervisor.host.resolvers import find_nameservers
from launcher.hypervisor.host.seeds import KEY_VARIABLE, plan_identity, read_access
from launcher.output import print_problems
from launcher.server.model import CONFIG_VARIABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from launcher.cli.hypervisor.telling import Teller
    from launcher.config.document import Document
    from launcher.hypervisor.host.loading import Host
    from launcher.hypervisor.host.model import Runtime
    from launcher.hypervisor.host.seeds import Access

IMAGE_VARIABLE = "VLLMD_CLOUD_IMAGE"

DESCRIPTION = f"""\
Write the seed disk of each runtime, <state_dir>/<name>/seed.img: an ISO9660 image labelled CIDATA
from which cloud-init in the guest learns its host name, user, SSH key and address, and with it
the launcher's file: the runtime's guest.config, else {CONFIG_VARIABLE}, and the overrides in
{OVERRIDES_VARIABLE}. A seed that says the same already is left as it is.

Secrets stay here: one that stands in these files is refused, one that they refer to ("env:NAME",
"file:/path") has to be in the guest; unless --with-secret asks for it by its name."""
EXAMPLES = """\
examples:
  vllmd-hypervisor generate-init
  vllmd-hypervisor generate-init --dry-run
  vllmd-hypervisor generate-init --with-secret instance.chat.server.api_key

exit codes: 0 written; 64 wrong usage; 69 not possible here; 78 the configuration is wrong
"""


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Write the seeds, and return the exit code.

    Raises:
        UsageError: wrong command line.
        ConfigError: the host's file, a launcher's file or a variable is wrong.
        HostError: something cannot be written.
    """
    arguments = parse(argv)
    host = load_host(environ)
    tell = tell_warnings(host)
    require_runtimes(host)
    asked = frozenset(arguments.with_secret)
    access = read_access(host)
    _tell_access(host, access, tell)
    base = _base_image(host)
    riders = _riders(host, asked, tell)
    nameservers = find_nameservers()
    dry_run = arguments.dry_run or host.settings.dry_run
    for runtime in host.config.runtimes:
        identity = plan_identity(host, runtime, access, nameservers)
        _write(host, runtime, render_seed(identity, riders[runtime.name]), tell, dry_run=dry_run)
    _provide_images(host, base, tell, dry_run=dry_run)
    return EX_OK


def _tell_access(host: Host, access: Access, tell: Teller) -> None:
    if not access.ssh_keys:
        hint = f"make one by 'ssh-keygen -t ed25519'; {default_of(KEY_VARIABLE)}"
        _warn(tell, "there is no SSH key: nobody will be able to log in to the guests", hint)
    elif access.key_path != host.settings.ssh_key_path:
        tell.step(f"note: the SSH key is that of '{access.key_path}'")


def _warn(tell: Teller, message: str, hint: str) -> None:
    if tell.tells(WARN):
        print_problems((Problem(message=message, hint=hint, severity=WARNING),), ())


def parse(words: list[str]) -> argparse.Namespace:
    """Parse the words of the command.

    Raises:
        UsageError: words that mean nothing.
    """
    parser = new_hypervisor_parser("generate-init", DESCRIPTION, EXAMPLES)
    parser.add_argument(
        "--with-secret",
        metavar="NAME",
        action="append",
        default=[],
        help="write this secret to the seeds, like instance.chat.server.api_key; may be repeated "
        "(default: none)",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="show each step and change nothing (default: VLLMD_HYPERVISOR_DRY_RUN)",
    )
    return parser.parse_args(words)


def _riders(host: Host, asked: frozenset[str], tell: Teller) -> dict[str, dict[str, bytes]]:
    """Return what rides along, by runtimes; every file is checked as `vllmd check` does it."""
    found: dict[str, tuple[Document, ...]] = {}
    loaded: dict[str, tuple[Document, ...]] = {"": ()}
    for runtime in host.config.runtimes:
        path = runtime.guest.config or host.environ.get(CONFIG_VARIABLE, "")
        if path not in loaded:
            loaded[path] = _load(path, host.environ, tell)
        found[runtime.name] = loaded[path]
    known = {secret.name for documents in found.values() for secret in list_secrets(documents)}
    for name in sorted(asked - known):
        hint = render_hint(name, known) if known else "leave it out"
        raise UsageError(f"no launcher's file has the secret '{name}'", hint)
    bare = [name for name, documents in found.items() if not documents]
    if bare and host.environ.get(OVERRIDES_VARIABLE, "").strip():
        names = ", ".join(f"'{name}'" for name in bare)
        message = f"{OVERRIDES_VARIABLE} is set, and there is no launcher's file for {names}"
        _warn(tell, message, f"set guest.config of the runtime, or export {CONFIG_VARIABLE}")
    riders: dict[str, dict[str, bytes]] = {name: {} for name in found}
    told: dict[Problem, Document] = {}
    for name, documents in found.items():
        if documents:
            overrides = documents[1] if len(documents) > 1 else None
            resolve = partial(reveal, environ=host.environ)
            files, warnings = plan_riders(documents[0], overrides, asked, resolve)
            riders[name] = files
            told |= dict.fromkeys(warnings, documents[0])
    if tell.tells(WARN):
        print_problems(told, told.values())
    return riders


def _load(path: str, environ: Mapping[str, str], tell: Teller) -> tuple[Document, ...]:
    documents = load_documents(path, (), environ)
    plan = make_plan(path, (), environ, elsewhere=True)
    if errors_of(plan.problems):
        raise ConfigError(plan.problems, plan.config.tree.documents)
    if tell.tells(WARN):
        print_problems(plan.problems, plan.config.tree.documents)
    return documents


def _write(
    host: Host, runtime: Runtime, files: dict[str, bytes], tell: Teller, *, dry_run: bool
) -> None:
    path = runtime.seed_path(host.config.common.state_dir)
    if find_seed_files(path) == files:
        tell.step(f"unchanged: {path}")
        return
    sizes = ", ".join(f"{name} {len(content)} bytes" for name, content in files.items())
    if dry_run:
        print(f"would write: {path} ({sizes})")
        for name in (META_DATA, NETWORK_CONFIG):
            print("".join(f"    {line}\n" for line in files[name].decode().splitlines()), end="")
        return
    owner = _owner(host)
    folder = os.path.dirname(path)
    if owner is not None and os.path.islink(folder):
        # The guests' user may have put it there, and we can write more than that user.
        raise HostError(f"'{folder}' is a link", "replace it by a folder; a link is not followed")
    make_folder(PlannedFolder(path=folder, owner=owner))
    try:
        write_seed_image(path, files, owner)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise HostError(f"the seed '{path}' cannot be written: {reason}") from None
    tell.step(f"write: {path} ({sizes})")


def _owner(host: Host) -> tuple[int, int] | None:
    """Return whose the files are to be; None where they are ours anyway.

    Raises:
        HostError: the guests' user is not on this host.
    """
    if host.account.uid != 0 or host.config.common.user == host.account.user:
        return None
    return find_owner(host.config.common.user)[0]


def _base_image(host: Host) -> str:
    text = host.settings.cloud_image
    try:
        text = expand_path(text, host.environ) if is_path(text) else text
        return base_image_path(text, host.config.common.state_dir, platform.machine())
    except Refusal as refusal:
        origin = Origin(kind="environment", name=IMAGE_VARIABLE)
        problem = Problem(message=refusal.message, hint=refusal.hint, origin=origin)
        raise ConfigError((problem,)) from None


def _provide_images(host: Host, base: str, tell: Teller, *, dry_run: bool) -> None:
    """Give each runtime without a system image its own copy of the base image."""
    state = host.config.common.state_dir
    bare = [runtime for runtime in host.config.runtimes if not _has_image(host, runtime)]
    if bare and not os.path.exists(base):
        text = host.settings.cloud_image
        what = f"'{base}' is not there" if is_path(text) else f"'{text}' is expected at '{base}'"
        names = ", ".join(f"'{runtime.name}'" for runtime in bare)
        hint = f"put it there, or: vllmd-hypervisor image build --output {state}/guest"
        _warn(tell, f"there is no system image for {names}: {what}", hint)
        return
    for runtime in bare:
        target = own_image_path(base, f"{state}/{runtime.name}")
        if dry_run:
            print(f"would copy: {base} to {target}")
            continue
        tell.step(f"copy: {base} to {target}")
        copy_image(base, target, _owner(host))


def _has_image(host: Host, runtime: Runtime) -> bool:
    image = find_guest_files(host.config, runtime).image
    return bool(runtime.guest.image) or os.path.exists(image)
