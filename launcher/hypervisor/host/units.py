"""systemd's units and their environment files, as texts. Pure.

A unit is made from a template in which `@NAME@` and the other words of `PLACEHOLDERS` are filled
in; systemd's own specifiers (`%i`, `%h`) stay, and mean the same as in any template unit: the
file of the runtime `chat` is `vllmd-runtime@chat.service`.
"""

from __future__ import annotations

import re

from launcher.config.reader import Refusal
from launcher.config.suggest import render_hint
from launcher.hypervisor.memory import GIB, parse_memory
from launcher.hypervisor.network import derive_mac
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from launcher.hypervisor.host.model import HostConfig, Runtime

# The first line of what we write: only files that have it are ever replaced or removed.
MARK = "# Written by 'vllmd-hypervisor install-systemd'; it is written again by the next one."
INITIALIZE_UNIT = "vllmd-hypervisor-initialize.service"
# In templates of runtimes, ours and the user's own.
PLACEHOLDERS = (
    "NAME",
    "INDEX",
    "USER",
    "KVM_GROUP",
    "PROGRAM",
    "ENVIRONMENT_FILE",
    "LOG_FILE",
    "STATE_DIR",
    "WRITABLE",
    "MEMLOCK",
)


@record
class GuestFiles:
    """What a runtime boots from; `initramfs` and `cmdline` may be empty."""

    kernel: str
    image: str
    initramfs: str = ""
    cmdline: str = ""
    readonly: bool = False


@record
class Installation:
    """What all units share. `user_units` are those of a user's own manager.

    `environment` is what `initialize` has to see at boot as the installer does now.
    """

    program: tuple[str, ...]
    home: str  # of the user that runs the guests
    kvm_group: str
    hugepages_size: str
    template: str
    user_units: bool = False
    with_network: bool = True
    environment: Mapping[str, str]


def unit_name(runtime: Runtime) -> str:
    """Return the name of a runtime's unit file."""
    return f"vllmd-runtime@{runtime.name}.service"


def environment_path(config: HostConfig, runtime: Runtime) -> str:
    """Return where a runtime's environment file is."""
    return f"{config.common.config_dir}/hypervisor-{runtime.name}.env"


def log_path(installation: Installation, runtime: Runtime) -> str:
    """Return where a guest's log is."""
    return f"{installation.home}/.local/log/vllmd/{runtime.name}.log"


def memory_text(runtime: Runtime, hugepages_size: str) -> str:
    """Return a guest's memory: on the huge pages that `initialize` sets aside, unless it says."""
    if runtime.guest.memory:
        return runtime.guest.memory
    # Set aside at the start: a guest that runs out of huge pages later dies of it.
    pages = f"hugepages=on,hugepage_size={hugepages_size},prefault=on"
    return f"size={runtime.memory_gb}G,shared=on,{pages}"


def memory_bytes(runtime: Runtime) -> int:
    """Return the size of a guest's memory."""
    return parse_memory(memory_text(runtime, "2M"))[0].size


def memlock_bytes(memory: int) -> int:
    """Return the limit of locked memory for a guest: all of its own, and room for the VMM.

    libvirt allows 1 GiB more than the guest has, others a quarter more: the larger of the two.
    """
    return max(memory + GIB, memory + memory // 4)


def net_text(runtime: Runtime, *, with_network: bool) -> str:
    """Return a guest's network: its tap on the bridge, unless it says something else."""
    if runtime.guest.net or not with_network:
        return runtime.guest.net
    return f"tap={runtime.tap()},mac={derive_mac(runtime.name)}"


def guest_variables(
    config: HostConfig, runtime: Runtime, files: GuestFiles, installation: Installation
) -> dict[str, str]:
    """Return the variables of `vllmd-hypervisor start` for a runtime; none is empty."""
    devices = runtime.guest.devices or runtime.gpus
    variables = {
        "NAME": runtime.name,
        "KERNEL_FILEPATH": files.kernel,
        "SYSTEM_IMAGE_FILEPATH": files.image,
        "CONFIG_IMAGE_FILEPATH": runtime.seed_path(config.common.state_dir),
        "INITRAMFS_FILEPATH": files.initramfs,
        "CMDLINE": files.cmdline,
        "CPU_COUNT": str(runtime.guest.cpus or runtime.cpus),
        "MEMORY_CONFIG": memory_text(runtime, installation.hugepages_size),
        "DEVICE_FILEPATH_LIST": ",".join(devices),
        "NET": net_text(runtime, with_network=installation.with_network),
        "PUBLISH": ",".join(runtime.guest.publish),
        "STATE_DIR": config.common.state_dir,
    }
    return {f"VLLMD_HYPERVISOR_{name}": value for name, value in variables.items() if value}


def render_environment(variables: Mapping[str, str]) -> str:
    """Render an environment file, as systemd and shells read it."""
    lines = (f"{name}={quote_environment(value)}" for name, value in variables.items())
    return "\n".join((MARK, *lines)) + "\n"


def render_runtime_unit(
    config: HostConfig, runtime: Runtime, files: GuestFiles, installation: Installation
) -> str:
    """Render a runtime's unit.

    Raises:
        Refusal: the template has a placeholder that is none.
    """
    log = log_path(installation, runtime)
    state = config.common.state_dir
    written = [state, log.rpartition("/")[0]]
    if not files.readonly and not files.image.startswith(f"{state}/"):
        written.append(f"-{files.image}")
    template = installation.template
    if not installation.user_units:
        # There, %h is the home of root, whatever User= says.
        template = re.sub(
            "(?<!%)((?:%%)*)%h", rf"\g<1>{escape_specifiers(installation.home)}", template
        )
    return render_template(
        template,
        {
            "NAME": runtime.name,
            "INDEX": str(runtime.index),
            "USER": config.common.user,
            "KVM_GROUP": installation.kvm_group,
            "PROGRAM": quote_unit(installation.program),
            "ENVIRONMENT_FILE": escape_specifiers(environment_path(config, runtime)),
            "LOG_FILE": escape_specifiers(log),
            "STATE_DIR": escape_specifiers(state),
            "WRITABLE": quote_unit(dict.fromkeys(written)),
            "MEMLOCK": str(memlock_bytes(memory_bytes(runtime))),
        },
    )


def render_initialize_unit(config: HostConfig, installation: Installation, template: str) -> str:
    """Render the unit that prepares the host at boot, before any guest."""
    written = [config.common.state_dir, config.common.config_dir]
    return render_template(
        template,
        {
            "PROGRAM": quote_unit(installation.program),
            "ENVIRONMENT": _environment_lines(installation.environment),
            "WRITABLE": quote_unit(f"-{path}" for path in written),
        },
    )


def render_template(template: str, values: Mapping[str, str]) -> str:
    """Fill in a template, and mark it as ours.

    Raises:
        Refusal: it has a placeholder that is none.
    """

    def value_of(match: re.Match[str]) -> str:
        name = match[1]
        if name not in values:
            hint = render_hint(name, values)
            raise Refusal(f"'@{name}@' is no placeholder of a unit's template", hint)
        return values[name]

    return f"{MARK}\n{re.sub('@([A-Z][A-Z_]*)@', value_of, template)}"


def quote_environment(value: str) -> str:
    """Quote a value for systemd's EnvironmentFile= (systemd.exec(5)), and for shells as well."""
    if re.fullmatch(r"[A-Za-z0-9_./:=,+@%-]*", value):
        return value
    return '"' + re.sub(r'(["\\`$])', r"\\\1", value) + '"'


def quote_unit(words: Iterable[str]) -> str:
    """Quote words for a unit's line: specifiers are escaped, blanks kept (systemd.syntax(7))."""
    return " ".join(map(_quote_word, words))


def _quote_word(word: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_./:=,+@-]+", word):
        return word
    return '"' + re.sub(r'(["\\])', r"\\\1", escape_specifiers(word)) + '"'


def escape_specifiers(text: str) -> str:
    """Escape what systemd would fill in (systemd.unit(5), "Specifiers")."""
    return text.replace("%", "%%")


def _environment_lines(environment: Mapping[str, str]) -> str:
    return "\n".join(
        f"Environment={quote_unit((f'{name}={value}',))}" for name, value in environment.items()
    )
