"""A stand-in for pixi: NOT pixi, but a program that behaves as pixi does towards a launcher.

It honours what matters there, by the version in STANDIN_PIXI_VERSION: which options exist
(`--as-is` from 0.53, `--executable` from 0.64), which Python is run, how an environment is
activated, that `run` stays the parent and passes signals on to its child (from 0.51), and how an
end by a signal is told (1, from 0.63 128+n, from 0.70 the signal itself). `install --frozen`
takes the locations in the lock, absolute ones only, whatever the manifest's channels are, and does
not compare checksums of local files; py-rattler does the rest. It never solves or touches the
network. STANDIN_PIXI_TRACE names a file that gets a line for each signal
passed on. It proves what `vllmd` says and does, nothing about pixi itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
import zipfile
from typing import Any, NoReturn

VERSION = os.environ.pop("STANDIN_PIXI_VERSION", "0.77.0")
TRACE = os.environ.pop("STANDIN_PIXI_TRACE", "")
NUMBERS = tuple(map(int, VERSION.split(".")))
VALUED = {"--manifest-path": "-m", "--environment": "-e"}
SWITCHES = {"--frozen": (0, 1), "--locked": (0, 1), "--no-install": (0, 1), "--as-is": (0, 53)}
OWN_FILES = (".gitignore", ".condapackageignore")
FORWARDED = ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGINT")
NOT_FOUND = 127
ACTIVATE = """\
set -- "$1"/etc/conda/activate.d/*.sh
env -0 >&3
printf '\\0=' >&3
printf '\\0' >&3
for script in "$@"; do if [ -f "$script" ]; then . "$script" >/dev/null; fi; done
env -0 >&3
"""


class Project:
    """A manifest, one of its environments, and that environment's prefix."""

    def __init__(self, path: str, environment: str) -> None:
        path = os.path.realpath(path)
        self.manifest = os.path.join(path, "pixi.toml") if os.path.isdir(path) else path
        if not os.path.isfile(self.manifest):
            fail(f"could not find {self.manifest}")
        with open(self.manifest, "rb") as file:
            self.data: dict[str, Any] = tomllib.load(file)
        if environment != "default" and environment not in self.data.get("environments", {}):
            fail(f"unknown environment '{environment}'")
        self.root = os.path.dirname(self.manifest)
        self.environment = environment
        self.prefix = os.path.join(self.root, ".pixi", "envs", environment)

    def prepare(self) -> None:
        """Make the files that pixi wants in `.pixi`."""
        for name in OWN_FILES:
            path = os.path.join(self.root, ".pixi", name)
            if not os.path.exists(path):
                try:
                    with open(path, "w", encoding="utf-8") as file:
                        file.write("*\n")
                except PermissionError:
                    fail(f"permission denied: {path}")

    def activate(self) -> dict[str, str]:
        """Return the environment that the command gets."""
        workspace = self.data.get("workspace", {})
        environ = {
            **os.environ,
            "PATH": f"{self.prefix}/bin:{os.environ.get('PATH', '')}",
            "CONDA_PREFIX": self.prefix,
            "CONDA_DEFAULT_ENV": workspace.get("name", "project"),
            "CONDA_SHLVL": "1",
            "PIXI_PROJECT_ROOT": self.root,
            "PIXI_PROJECT_NAME": workspace.get("name", "project"),
            "PIXI_PROJECT_MANIFEST": self.manifest,
            "PIXI_ENVIRONMENT_NAME": self.environment,
            "PIXI_ENVIRONMENT_PLATFORMS": "linux-64",
            "PIXI_PROMPT": "(project) ",
            "PIXI_IN_SHELL": "1",
            "PIXI_EXE": os.path.abspath(sys.argv[0]),
        }
        environ.update(changed_by_scripts(self.prefix, environ))
        own: dict[str, str] = self.data.get("activation", {}).get("env", {})
        return environ | own


def changed_by_scripts(prefix: str, environ: dict[str, str]) -> dict[str, str]:
    """Run the activation scripts in bash; return what they have changed."""
    read, write = os.pipe()
    words = ["bash", "-c", f"exec 3>&{write}\n{ACTIVATE}", "bash", prefix]
    with subprocess.Popen(words, env=environ, pass_fds=[write]) as shell, os.fdopen(read) as pipe:
        os.close(write)
        before, _, after = pipe.read().partition("\0=\0")
        shell.wait()
    old, new = (
        dict(each.split("=", 1) for each in text.split("\0") if "=" in each)
        for text in (before, after)
    )
    own = {"_", "SHLVL", "PWD", "OLDPWD"}
    return {k: v for k, v in new.items() if old.get(k) != v and k not in own}


def fail(message: str, code: int = 1) -> NoReturn:
    print(f"Error:   \u00d7 {message}", file=sys.stderr, flush=True)
    os._exit(code)  # py-rattler's threads may crash where the interpreter is taken down


def parse(words: list[str], known: dict[str, tuple[int, int]]) -> tuple[dict[str, str], list[str]]:
    """Split options from the command; the first word that is no option ends them."""
    options: dict[str, str] = {}
    rest = list(words)
    names = {short: long for long, short in VALUED.items()} | {"-x": "--executable"}
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        name = names.get(word, word)
        if word == "--":
            break
        if name in VALUED and rest:
            options[name] = rest.pop(0)
        elif name in known and known[name] <= NUMBERS[:2]:
            options[name] = "true"
        else:
            fail(f"unexpected argument '{word}' found", 2)
    return options, rest


def open_project(options: dict[str, str]) -> Project:
    """Open the project; refuse what would need a solve or an install."""
    environment = options.get("--environment") or os.environ.get("PIXI_ENVIRONMENT_NAME", "default")
    project = Project(options.get("--manifest-path", os.getcwd()), environment)
    project.prepare()
    frozen = {"--frozen", "--no-install"} <= options.keys() or "--as-is" in options
    if not frozen:
        fail("this stand-in never installs: --as-is is missing", 70)
    return project


def run(words: list[str]) -> int:
    """Run a command in an environment, as its parent."""
    options, command = parse(words, {**SWITCHES, "--executable": (0, 64)})
    project = open_project(options)
    if len(command) == 1:
        command = shlex.split(command[0])
    task = project.data.get("tasks", {}).get(command[0])
    if task is not None and "--executable" not in options:
        command = ["sh", "-c", str(task)]
    environ = project.activate() | {"INIT_CWD": os.getcwd()}
    program = shutil.which(command[0], path=environ["PATH"])
    if program is None:
        print(f"{command[0]}: command not found", file=sys.stderr)
        return NOT_FOUND
    children: list[subprocess.Popen[bytes]] = []
    if NUMBERS >= (0, 51, 0):
        forward_signals(children)
    children.append(subprocess.Popen([program, *command[1:]], env=environ))
    return tell_end(children[0].wait())


def forward_signals(children: list[subprocess.Popen[bytes]]) -> None:
    """Pass every signal on to the child itself, not to its group, from when there is one."""

    def forward(number: int, _: object) -> None:
        if TRACE:
            with open(TRACE, "a", encoding="utf-8") as file:
                file.write(f"{signal.Signals(number).name}\n")
        for child in children:
            child.send_signal(number)

    for name in FORWARDED:
        if name != "SIGINT" or not sys.stdin.isatty():
            signal.signal(getattr(signal, name), forward)


def tell_end(code: int) -> int:
    """Return the child's code; tell of its end by a signal as this version does."""
    number = -code if code < 0 else code - 128
    if NUMBERS >= (0, 70, 0) and (code < 0 or 129 <= code <= 192):
        if number not in {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    if code < 0:
        return 128 + number if NUMBERS >= (0, 63, 0) else 1
    return code


def shell_hook(words: list[str]) -> int:
    """Print the variables that an activation changes."""
    options, _ = parse(words, {**SWITCHES, "--json": (0, 1)})
    if "--json" not in options:
        fail("this stand-in knows shell-hook --json only", 70)
    project = open_project(options)
    environ = project.activate()
    changed = {name: value for name, value in environ.items() if os.environ.get(name) != value}
    answer: dict[str, object] = {"environment_variables": changed}
    if NUMBERS >= (0, 67, 0):
        answer["activation_scripts"] = []
    print(json.dumps(answer))
    return 0


def install(words: list[str]) -> NoReturn:
    """Install an environment as the lock says."""
    options, _ = parse(words, SWITCHES)
    if "--frozen" not in options:
        fail("this stand-in never solves: --frozen is missing", 70)
    path = options.get("--manifest-path", os.getcwd())
    project = Project(path, options.get("--environment", "default"))
    os.makedirs(os.path.join(project.root, ".pixi"), exist_ok=True)
    project.prepare()
    lock = os.path.join(project.root, "pixi.lock")
    if not os.path.isfile(lock):
        fail("no lock file available")
    asyncio.run(install_locked(project, lock))
    marker = {
        "manifest_path": project.manifest,
        "environment_name": project.environment,
        "pixi_version": VERSION,
        "environment_lock_file_hash": "0",
    }
    with open(os.path.join(project.prefix, "conda-meta", "pixi"), "w", encoding="utf-8") as file:
        json.dump(marker, file)
    os._exit(0)  # as in `fail`


async def install_locked(project: Project, path: str) -> None:
    """Install what a lock has for an environment."""
    import rattler.exceptions  # noqa: PLC0415  (for this command only)

    lock = rattler.LockFile.from_path(path)  # type: ignore[arg-type]
    environment = lock.environment(project.environment)
    if environment is None:
        fail(f"missing environment '{project.environment}' in the lock file")
    platform = environment.platforms()[0]
    for each in environment.packages(platform) or []:
        if "://" in each.location and not each.location.startswith("file://"):
            fail(f"failed to fetch {each.location}: dns error: no network")
        if each.location.endswith(".whl"):
            install_wheel(project, os.path.join(project.root, each.location))
    try:
        await rattler.install(
            records=environment.conda_repodata_records_for_platform(platform) or [],
            target_prefix=project.prefix,
            cache_dir=os.environ["PIXI_CACHE_DIR"],  # type: ignore[arg-type]
            installed_packages=[],
            show_progress=False,
            platform=platform.subdir,
        )
    except rattler.exceptions.InstallerError as error:
        fail(str(error))


def install_wheel(project: Project, path: str) -> None:
    """Unpack a wheel; its commands are left out."""
    site = os.path.join(project.prefix, "lib", "python3.11", "site-packages")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(site)


def main(words: list[str]) -> int:
    if words == ["--version"]:
        print(f"pixi {VERSION}")
        return 0
    for name, value in os.environb.items():
        try:
            (name + value).decode("utf-8")
        except UnicodeDecodeError:
            fail("panicked: called `Result::unwrap()` on an `Err` value", 101)
    if words[:1] == ["run"]:
        return run(words[1:])
    if words[:1] == ["install"]:
        install(words[1:])
    if words[:1] == ["shell-hook"]:
        return shell_hook(words[1:])
    fail(f"unrecognized subcommand '{' '.join(words[:1])}'", 2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
