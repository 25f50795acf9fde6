"""`vllmd render`: the same file for another home."""

from __future__ import annotations

import argparse
import contextlib
import os
import stat
import sys
from enum import Enum, auto

from launcher.cli.arguments import add_config, add_version, new_parser
from launcher.cli.launch import make_plan
from launcher.config.problems import code_of, errors_of
from launcher.errors import EX_OK, HostError, UsageError
from launcher.output import print_problems
from launcher.render.compose import render_compose
from launcher.render.kubernetes import render_kubernetes
from launcher.render.model import Options, OutputFile
from launcher.render.quadlet import render_quadlet
from launcher.render.systemd import render_systemd
from launcher.render.workload import label, plan_workload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.render.model import Workload


class State(Enum):
    """What is there under the name of a file that is to be written."""

    MISSING = auto()
    SAME = auto()
    OTHER = auto()


KINDS = ("compose", "quadlet", "systemd", "kubernetes")

EXAMPLES = """\
kinds:
  compose      a compose project: one service with all instances
  quadlet      a Podman container as a systemd service
  systemd      a systemd unit that runs the launcher without a container
  kubernetes   for each instance a Deployment, a Service and a claim for its cache

examples:
  vllmd render compose vllm.toml                  to standard output
  vllmd render kubernetes vllm.toml -o deploy/    into a folder, with the TOML file beside it
  vllmd render kubernetes vllm.toml --namespace inference --service-monitor | kubectl apply -f -

The TOML file is mounted and stays the one source of truth. Secrets are rendered as references:
write them as "env:NAME" or "file:/path" in the configuration.

exit codes: 0 rendered; 64 wrong usage; 69 a file could not be written; 78 the configuration is
wrong, or holds a secret
"""


def parse_render(words: list[str]) -> argparse.Namespace:
    """Parse the words of `vllmd render`.

    Raises:
        UsageError: words that mean nothing.
    """
    parser = new_parser("render", "Render the configuration for another home.", EXAMPLES)
    parser.usage = "vllmd render KIND [CONFIG] [-o DIR] [options]"
    parser.add_argument("kind", metavar="KIND", choices=KINDS, help=", ".join(KINDS))
    add_config(parser)
    add_version(parser)
    parser.add_argument("-o", "--output", metavar="DIR", help="write files into this folder")
    parser.add_argument("--force", action="store_true", help="replace files that differ")
    defaults = Options()
    parser.add_argument(
        "--image",
        default=defaults.image,
        type=_image,
        help="container image, with vLLM and vllmd in it (default: %(default)s)",
    )
    parser.add_argument(
        "--name",
        default="",
        type=_name,
        help="name of the project (default: the file's, without its ending)",
    )
    parser.add_argument("--namespace", default="", type=_name, help="kubernetes: put objects there")
    parser.add_argument(
        "--service-monitor",
        action="store_true",
        help="kubernetes: add Prometheus ServiceMonitors",
    )
    parser.add_argument(
        "--program",
        metavar="PATH",
        default=defaults.program,
        type=_program,
        help="systemd: where vllmd is (default: %(default)s)",
    )
    arguments = parser.parse_args(words)
    if arguments.kind != "kubernetes" and (arguments.namespace or arguments.service_monitor):
        option = "--namespace" if arguments.namespace else "--service-monitor"
        raise UsageError(f"{option} is for kubernetes, not for {arguments.kind}", "leave it out")
    return arguments


def _name(text: str) -> str:
    if text and text != label(text):
        raise argparse.ArgumentTypeError(
            f"'{text}' is no name that DNS allows; write it like {label(text)}"
        )
    return text


def _image(text: str) -> str:
    if not text or not text.isprintable() or " " in text:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no container image; write it like registry.example.org/vllmd:latest"
        )
    return text


def _program(text: str) -> str:
    if not text.startswith("/") or not text.isprintable():
        raise argparse.ArgumentTypeError(f"'{text}' is no absolute path, which a unit needs")
    return text


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Print the rendered files, or write them; 0, or 78 where the configuration is wrong.

    Raises:
        LauncherError: nothing could be rendered or written.
    """
    arguments = parse_render(argv)
    options = Options(
        kind=arguments.kind,
        image=arguments.image,
        project=arguments.name,
        namespace=arguments.namespace,
        service_monitor=arguments.service_monitor,
        program=arguments.program,
    )
    plan = make_plan(
        arguments.config,
        tuple(arguments.assignments),
        environ,
        arguments.vllm_version,
        elsewhere=True,
    )
    workload, more = plan_workload(plan, options)
    problems = (*plan.problems, *more)
    print_problems(problems, plan.config.tree.documents)
    if errors_of(problems):
        return code_of(problems)
    files = _render(arguments.kind, workload, options)
    if arguments.output is None:
        _print(files)
        return EX_OK
    beside = OutputFile(name=workload.file_name, text=workload.text)
    wanted = files if arguments.kind == "kubernetes" else (*files, beside)
    _write(wanted, arguments.output, force=arguments.force)
    print(_next_step(arguments.kind, arguments.output, workload), file=sys.stderr)
    return EX_OK


def _render(kind: str, workload: Workload, options: Options) -> tuple[OutputFile, ...]:
    if kind == "compose":
        return render_compose(workload)
    if kind == "quadlet":
        return render_quadlet(workload)
    if kind == "systemd":
        return render_systemd(workload, options)
    return render_kubernetes(workload, options)


def _print(files: tuple[OutputFile, ...]) -> None:
    for number, file in enumerate(files):
        if len(files) > 1:
            print(f"{chr(10) if number else ''}# --- {file.name}")
        print(file.text, end="")


def _write(files: tuple[OutputFile, ...], folder: str, *, force: bool) -> None:
    """Write all files, or none: a file that differs is somebody's work.

    Raises:
        UsageError: files are there and differ.
        HostError: one could not be written.
    """
    try:
        os.makedirs(folder, exist_ok=True)
        paths = {os.path.join(folder, file.name): file.text.encode() for file in files}
        found = {path: _look(path, content) for path, content in paths.items()}
        differing = [path for path, state in found.items() if state is State.OTHER]
        if differing and not force:
            raise UsageError(
                f"{', '.join(differing)}: there is another file of that name",
                "add --force to replace it, or choose another folder",
            )
        for path, content in paths.items():
            if found[path] is State.SAME:
                print(f"vllmd: {path} is as it was", file=sys.stderr)
                continue
            _replace(path, content)
            print(f"vllmd: wrote {path}", file=sys.stderr)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise HostError(
            f"'{error.filename2 or error.filename or folder}' could not be written: {reason}",
            "choose a folder that you may write to",
        ) from None


def _look(path: str, content: bytes) -> State:
    """Say what is at a path; what is no file (a pipe) is not opened."""
    try:
        kind = os.stat(path).st_mode
    except FileNotFoundError:
        return State.OTHER if os.path.islink(path) else State.MISSING
    if not stat.S_ISREG(kind):
        return State.OTHER
    with open(path, "rb") as file:
        return State.SAME if file.read() == content else State.OTHER


def _replace(path: str, content: bytes) -> None:
    """Put a file in the place of whatever is there: a link is replaced, and not followed."""
    hidden = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{os.getpid()}")
    try:
        with open(hidden, "xb") as file:
            file.write(content)
        os.rename(hidden, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(hidden)
        raise


def _next_step(kind: str, folder: str, workload: Workload) -> str:
    path = folder.rstrip("/")
    steps = {
        "compose": f"docker compose -f {path}/compose.yaml up -d",
        "quadlet": f"read the head of {path}/{workload.project}.container",
        "systemd": f"read the head of {path}/vllmd-{workload.project}.service",
        "kubernetes": f"kubectl apply -f {path}/kubernetes.yaml",
    }
    return f"next: {steps[kind]}"
