"""Folders of this machine that a configuration names, which every home has to show its servers.

What is read (models, adapters, templates, keys) is mounted for reading; where vLLM is told to write
(downloads, caches, KVBM's disk tier), for writing: all else of a home's root is read-only.
"""

from __future__ import annotations

import json
import posixpath
import re

from launcher.render.model import CACHE_DIR, CONFIG_DIR, LOG_DIR
from launcher.server.address import effective, server_address
from launcher.server.facts import log_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.config.problems import Path, TomlValue
    from launcher.config.reader import Problems
    from launcher.server.model import Instance, LauncherConfig

# Options that may name a file or folder of this machine, to be read.
READ = (
    "model",
    "tokenizer",
    "hf_config_path",
    "generation_config",
    "chat_template",
    "config",
    "log_config_file",
    "reasoning_parser_plugin",
    "tool_parser_plugin",
    "ssl_keyfile",
    "ssl_certfile",
    "ssl_ca_certs",
)
WHOLE = ("allowed_local_media_path",)  # a folder all of which is read
WRITTEN = ("download_dir",)
# Variables that say where vLLM, or what it uses, writes.
WRITTEN_VARIABLES = (
    "FLASHINFER_WORKSPACE_BASE",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "KVBM_CACHE_DISK_STORAGE_PATH",
    "MODELSCOPE_CACHE",
    "TMPDIR",
    "TORCHINDUCTOR_CACHE_DIR",
    "TORCH_HOME",
    "TRITON_CACHE_DIR",
    "VLLM_ASSETS_CACHE",
    "VLLM_CACHE_ROOT",
    "VLLM_CONFIG_ROOT",
    "VLLM_RPC_BASE_PATH",
    "VLLM_TORCH_PROFILER_DIR",
    "VLLM_XLA_CACHE_PATH",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
)
TEMPORARY = "/tmp"  # noqa: S108  (a home's own: every one has it)
# What is in these is an image's own, or the home's: they are never mounted as a whole.
OF_THE_IMAGE = {
    "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/media", "/mnt", "/opt",
    "/proc", "/root", "/run", "/sbin", "/srv", "/sys", "/usr", "/usr/local", "/usr/share", "/var",
    "/var/lib", "/var/opt", TEMPORARY, CACHE_DIR, CONFIG_DIR, LOG_DIR,
}  # fmt: skip


def list_read(instances: tuple[Instance, ...], written: tuple[str, ...]) -> tuple[str, ...]:
    """Return what servers read: folders above models, adapters and the like, none twice."""
    found = {place for path, _ in _read_paths(instances) if (place := _around(path))}
    for instance in instances:
        found.update(str(path) for name in WHOLE if _is_path(path := effective(instance, name)))
    there = (CACHE_DIR, *written)
    return _outermost({path for path in found if not _is_any_within(path, there)})


def list_written(config: LauncherConfig, instances: tuple[Instance, ...]) -> tuple[str, ...]:
    """Return the folders that servers are told to write to, none inside another."""
    found = {str(value) for i in instances for n in WRITTEN if _is_path(value := effective(i, n))}
    for settings in (config.master.env, *(instance.env for instance in instances)):
        found.update(
            setting.value
            for setting in settings
            if setting.name in WRITTEN_VARIABLES and _is_path(setting.value)
        )
    for instance in instances:
        found.update(
            {posixpath.dirname(server_address(instance).socket_path)} - OF_THE_IMAGE - {""}
        )
    found.update(_disk_tiers(dict(config.tree.data)))
    own = (TEMPORARY, "/run", "/dev/shm")  # noqa: S108  (every home has them)
    return _outermost({path.rstrip("/") for path in found if not _is_any_within(path, own)})


def list_logs(instances: tuple[Instance, ...]) -> tuple[str, ...]:
    """Return the folders of logs that are to be kept."""
    found = {posixpath.dirname(log_path(instance)) for instance in instances}
    return tuple(path for path in _outermost(found) if path != TEMPORARY)


def check_paths(
    instances: tuple[Instance, ...], mounted: tuple[str, ...], problems: Problems
) -> None:
    """Note paths that no home can mount, and those that are other ones elsewhere."""
    for path in mounted:
        if re.search(r"[\x00-\x1f\x7f:]", path):
            message = f"{path!r} cannot be mounted: a colon or a control character is in it"
            problems.add((), message, "rename the folder")
    for path, place in _read_paths(instances):
        if path.startswith(("./", "../")):
            message = f"'{path}' is relative to where the launcher runs, which is elsewhere there"
            problems.add(place, message, "write the whole path")


def _read_paths(instances: tuple[Instance, ...]) -> Iterator[tuple[str, Path]]:
    """Return each value that may be a path, and where it is written."""
    for instance in instances:
        for name in READ:
            option = instance.option(name)
            yield str(effective(instance, name)), option.path if option else instance.path()
        for name, value in (
            *(("lora_modules", each) for each in _items(effective(instance, "lora_modules"))),
            ("speculative_config", effective(instance, "speculative_config")),
        ):
            option = instance.option(name)
            yield _path_in(value), option.path if option else instance.path()


def _path_in(value: TomlValue) -> str:
    """Return the path in `name=path`, or in a table, or in a table's JSON; it may be empty."""
    table = value
    if isinstance(value, str):
        try:
            table = json.loads(value)
        except ValueError:
            return value.partition("=")[2]
    if not isinstance(table, dict):
        return ""
    return str(table.get("path") or table.get("model") or "")


def _around(path: str) -> str:
    """Return the folder that a path is in; itself where that folder is the image's own."""
    if not path.startswith("/") or path.strip("/") == "":
        return ""
    whole = posixpath.normpath(path)
    above = posixpath.dirname(whole)
    return whole if above in OF_THE_IMAGE else above


def _disk_tiers(table: TomlValue) -> Iterator[str]:
    """Return the folders of KVBM's disk tiers, in whatever profile they are."""
    if not isinstance(table, dict):
        return
    for key, value in table.items():
        if key == "storage_path" and _is_path(value):
            yield str(value)
        yield from _disk_tiers(value)


def _is_path(value: TomlValue) -> bool:
    return isinstance(value, str) and value.startswith("/") and value.strip("/") != ""


def _items(value: TomlValue) -> list[TomlValue]:
    return value if isinstance(value, list) else [value]


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _is_any_within(path: str, folders: tuple[str, ...]) -> bool:
    return any(_is_within(path, folder) for folder in folders)


def _outermost(paths: set[str]) -> tuple[str, ...]:
    return tuple(
        path
        for path in sorted(paths)
        if not any(path != other and _is_within(path, other) for other in paths)
    )
