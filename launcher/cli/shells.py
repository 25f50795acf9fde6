"""Completion scripts for bash, zsh and fish, from the description of the programs."""

from __future__ import annotations

from launcher.cli.describe import FILE, FOLDER, INSTANCE, WORD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from launcher.cli.describe import Command, Option, Value

# Instances of the launcher that runs now; nothing where none does.
INSTANCES = (
    """vllmd status --json 2>/dev/null | sed -n 's/^ *"name": "\\(.*\\)",\\{0,1\\}$/\\1/p'"""
)


def _walk(command: Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Command]]:
    """Return a program's commands with their paths: `vllmd`, `vllmd run`, `vllmd kvbm show`."""
    here = (*path, command.name)
    yield " ".join(here), command
    for inner in command.commands:
        yield from _walk(inner, here)


def _quote(text: str) -> str:
    """Write one word for a POSIX shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def _offered(command: Command) -> list[tuple[str, str]]:
    """Return what a command offers by name: commands, choices and options, with their help."""
    found = [(inner.name, inner.help) for inner in command.commands]
    found += [(choice, "") for word in command.words for choice in word.choices]
    found += [(name, option.help) for option in command.options for name in option.names]
    return found


def _kinds(command: Command) -> list[str]:
    return [word.kind for word in command.words if not word.choices and word.kind != WORD]


def _with_value(command: Command) -> Iterator[tuple[Option, Value]]:
    for option in command.options:
        if option.value is not None:
            yield option, option.value


BASH_KINDS = {
    FILE: 'compopt -o default; COMPREPLY+=($(compgen -f -- "$current"))',
    FOLDER: 'compopt -o filenames; COMPREPLY+=($(compgen -d -- "$current"))',
    INSTANCE: f'COMPREPLY+=($(compgen -W "$({INSTANCES})" -- "$current"))',
    WORD: ":",
}


def render_bash(programs: tuple[Command, ...]) -> str:
    """Return the script for bash."""
    heading = "# Completion of vllmd for bash: vllmd completion bash\n"
    return heading + BASH_AMONG + "".join(map(_bash_program, programs))


def _bash_program(program: Command) -> str:
    function = "_" + program.name.replace("-", "_")
    paths = list(_walk(program))
    known = " ".join(_quote(path) for path, _ in paths)
    lines = [
        f"{function}() {{",
        "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}",
        f"    local path={_quote(program.name)} word",
        '    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
        f'        if _vllmd_among "$path $word" {known}; then path="$path $word"; fi',
        "    done",
    ]
    lines += ["    COMPREPLY=()", '    case "$path $previous" in']
    for path, command in paths:
        for option, value in _with_value(command):
            patterns = "|".join(_quote(f"{path} {name}") for name in option.names)
            lines.append(f"        {patterns}) {_bash_value(value)}; return ;;")
    lines += ["    esac", '    case "$path" in']
    for path, command in paths:
        words = " ".join(name for name, _ in _offered(command))
        acts = [f'COMPREPLY=($(compgen -W {_quote(words)} -- "$current"))']
        acts += [BASH_KINDS[kind] for kind in _kinds(command)]
        lines.append(f"        {_quote(path)}) {'; '.join(acts)} ;;")
    lines += ["    esac", "}", f"complete -F {function} {program.name}", ""]
    return "\n".join(lines)


BASH_AMONG = """\
_vllmd_among() {
    local wanted=$1 each
    shift
    for each in "$@"; do [ "$each" = "$wanted" ] && return 0; done
    return 1
}
"""


def _bash_value(value: Value) -> str:
    if value.choices:
        words = _quote(" ".join(value.choices))
        return f'COMPREPLY=($(compgen -W {words} -- "$current"))'
    return BASH_KINDS[value.kind]


ZSH_KINDS = {
    FILE: "_files",
    FOLDER: "_files -/",
    INSTANCE: f'compadd -- ${{(f)"$({INSTANCES})"}}',
    WORD: ":",
}


def render_zsh(programs: tuple[Command, ...]) -> str:
    """Return the script for zsh."""
    names = " ".join(program.name for program in programs)
    calls = "".join(
        f"    {program.name}) _{program.name.replace('-', '_')}_words ;;\n" for program in programs
    )
    return (
        f"#compdef {names}\n# Completion of vllmd for zsh: vllmd completion zsh\n"
        + "".join(_zsh_program(program) for program in programs)
        + f'case "$service" in\n{calls}esac\n'
    )


def _zsh_program(program: Command) -> str:
    paths = list(_walk(program))
    known = " ".join(_quote(path) for path, _ in paths)
    lines = [
        f"_{program.name.replace('-', '_')}_words() {{",
        f"    local path_={_quote(program.name)} word previous=${{words[CURRENT-1]}}",
        f"    local -a known=({known}) offered",
        '    for word in "${(@)words[2,CURRENT-1]}"; do',
        '        if (( ${known[(Ie)$path_ $word]} )); then path_="$path_ $word"; fi',
        "    done",
        '    case "$path_ $previous" in',
    ]
    for path, command in paths:
        for option, value in _with_value(command):
            patterns = "|".join(_quote(f"{path} {name}") for name in option.names)
            act = (
                f"compadd -- {' '.join(map(_quote, value.choices))}"
                if value.choices
                else ZSH_KINDS[value.kind]
            )
            lines.append(f"        {patterns}) {act}; return ;;")
    lines += ["    esac", '    case "$path_" in']
    for path, command in paths:
        described = " ".join(
            _quote(name.replace(":", "\\:") + (f":{text}" if text else ""))
            for name, text in _offered(command)
        )
        acts = [f"offered=({described})", "_describe -t words word offered"]
        acts += [ZSH_KINDS[kind] for kind in _kinds(command)]
        lines.append(f"        {_quote(path)}) {'; '.join(acts)} ;;")
    return "\n".join([*lines, "    esac", "}", ""])


def render_fish(programs: tuple[Command, ...]) -> str:
    """Return the script for fish."""
    lines = ["# Completion of vllmd for fish: vllmd completion fish"]
    for program in programs:
        lines.append(f"complete -c {program.name} -f")
        for path, command in _walk(program):
            lines += _fish_command(program.name, path.split(" ")[1:], command)
    return "\n".join(lines) + "\n"


def _fish_command(program: str, above: list[str], command: Command) -> Iterator[str]:
    below = " ".join(inner.name for inner in command.commands)
    conditions = [f"__fish_seen_subcommand_from {word}" for word in above]
    if below:
        conditions.append(f"not __fish_seen_subcommand_from {below}")
    start = f"complete -c {program} -n {_quote('; and '.join(conditions))}"
    for inner in command.commands:
        yield f"{start} -a {_quote(inner.name)} -d {_quote(inner.help)}"
    for word in command.words:
        if word.choices:
            yield f"{start} -a {_quote(' '.join(word.choices))}"
        elif word.kind != WORD:
            yield f"{start} {_fish_value(word)}"
    for option in command.options:
        names = " ".join(
            f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names
        )
        value = "" if option.value is None else f" {_fish_argument(option.value)}"
        yield f"{start} {names}{value} -d {_quote(option.help)}"


def _fish_argument(value: Value) -> str:
    files = not value.choices and value.kind == FILE
    return f"{'-r' if files else '-x'} {_fish_value(value)}".rstrip()


def _fish_value(value: Value) -> str:
    if value.choices:
        return f"-a {_quote(' '.join(value.choices))}"
    if value.kind == FILE:
        return "-F"
    if value.kind == FOLDER:
        return "-a '(__fish_complete_directories)'"
    return f"-a {_quote(f'({INSTANCES})')}" if value.kind == INSTANCE else ""


SHELLS: dict[str, Callable[[tuple[Command, ...]], str]] = {
    "bash": render_bash,
    "zsh": render_zsh,
    "fish": render_fish,
}
