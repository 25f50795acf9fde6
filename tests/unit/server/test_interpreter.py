"""What comes before the flags: an interpreter or pixi, and what is said where there is none."""

from __future__ import annotations

import pytest

from launcher.config.problems import Problem, code_of
from launcher.errors import EX_CONFIG, EX_UNAVAILABLE
from launcher.record import replace
from launcher.server.facts import PixiFacts, PythonFacts
from tests.support.facts import MODEL, messages_of, plan_text, process_of

INSTANCE = f"[instance.a.server]\n{MODEL}"
PIXI = PixiFacts(
    program="/usr/bin/pixi",
    python="/app/.pixi/envs/cuda/bin/python",
    has_python=True,
    has_manifest=True,
)
PIXI_MASTER = '[master]\npixi_project_dir = "/app"\npixi_environment = "cuda"\n'


def test_python_that_was_found_runs_the_module() -> None:
    argv = process_of(plan_text(INSTANCE)).argv
    assert argv[:3] == ("/opt/vllm/bin/python3", "-m", "vllm.entrypoints.openai.api_server")


def test_python_of_the_configuration_that_is_missing_is_refused() -> None:
    toml = f'[master]\npython = "/no/python"\n{INSTANCE}'
    plan = plan_text(toml, python=PythonFacts(path=None))
    message = "'python': there is no program '/no/python'"
    assert messages_of(plan) == [("error", message, "correct the path, or install it there")]
    assert code_of(plan.problems) == EX_UNAVAILABLE


def test_python_of_the_configuration_without_vllm_is_told() -> None:
    toml = f'[master]\npython = "/usr/bin/python3"\n{INSTANCE}'
    plan = plan_text(toml, python=PythonFacts(path="/usr/bin/python3"))
    message = "'python': no vLLM was found beside '/usr/bin/python3'"
    hint = "install vLLM there, or name the Python that has it"
    assert messages_of(plan) == [("warning", message, hint)]
    assert plan.is_startable()


def test_python_with_vllm_that_is_nowhere_is_refused() -> None:
    looked = ("/usr/bin/python3", "/opt/python")
    plan = plan_text(INSTANCE, python=PythonFacts(path=None, looked_at=looked))
    message = "no Python with vLLM was found; looked at: /usr/bin/python3, /opt/python"
    hint = 'install vLLM, or set python = "/path/to/python" in [master]'
    assert messages_of(plan) == [("error", message, hint)]
    assert code_of(plan.problems) == EX_UNAVAILABLE


@pytest.mark.parametrize("key", ["python", "pixi_project_dir"])
def test_python_that_is_named_in_a_way_nobody_can_read_is_one_problem(key: str) -> None:
    plan = plan_text(f"[master]\n{key} = 3\n{INSTANCE}", python=PythonFacts(path=None))
    hint = 'put it in quotes, like "..."'
    assert messages_of(plan) == [("error", "expected a string, got an integer", hint)]
    assert code_of(plan.problems) == EX_CONFIG


def test_python_is_not_needed_for_nothing() -> None:
    plan = plan_text("[instance.a.control]\nenabled = false\n", python=PythonFacts(path=None))
    assert messages_of(plan) == []


def test_problem_of_the_text_beside_a_missing_program_is_the_configurations() -> None:
    plan = plan_text(f"{INSTANCE}port = 0\n", python=PythonFacts(path=None))
    assert code_of(plan.problems) == EX_CONFIG


def test_pixi_command_names_project_and_environment() -> None:
    argv = process_of(plan_text(f"{PIXI_MASTER}{INSTANCE}", pixi=PIXI)).argv
    assert argv[:10] == (
        "/usr/bin/pixi", "run", "--as-is",
        "--manifest-path", "/app",
        "--environment", "cuda",
        "python", "-m", "vllm.entrypoints.openai.api_server",
    )  # fmt: skip


def pixi_problems(pixi: PixiFacts) -> list[tuple[str, str, str]]:
    return messages_of(plan_text(f"{PIXI_MASTER}{INSTANCE}", pixi=pixi))


def test_pixi_that_is_not_on_path_is_refused() -> None:
    message = "'pixi_project_dir' is set, but there is no program 'pixi' on PATH"
    hint = (
        "install pixi from its own releases (the packages called pixi on PyPI and npm are other "
        'programs), or set pixi_launch = "hook", which needs none'
    )
    assert pixi_problems(replace(PIXI, program=None)) == [("error", message, hint)]


def test_pixi_project_without_a_manifest_is_refused() -> None:
    message = "'pixi_project_dir': there is no pixi.toml in '/app'"
    hint = "mount the pixi project there, or correct the path"
    lacking = replace(PIXI, has_manifest=False, has_python=False)
    assert pixi_problems(lacking) == [("error", message, hint)]


def test_pixi_environment_that_is_not_installed_is_refused() -> None:
    message = "the pixi environment 'cuda' is not installed: no '/app/.pixi/envs/cuda/bin/python'"
    hint = (
        "run 'pixi install --frozen --environment cuda' in '/app', or install a bundle: "
        "vllmd bundle install"
    )
    assert pixi_problems(replace(PIXI, has_python=False)) == [("error", message, hint)]


def test_pixi_hook_runs_the_python_of_the_environment_with_its_variables() -> None:
    facts = replace(PIXI, variables=(("CONDA_PREFIX", "/env"), ("CUDA_VISIBLE_DEVICES", "7")))
    toml = f'{PIXI_MASTER}pixi_launch = "hook"\n{INSTANCE}[instance.a.control]\ngpu_ids = "0"\n'
    process = process_of(plan_text(toml, pixi=facts))
    assert process.argv[:2] == ("/app/.pixi/envs/cuda/bin/python", "-m")
    env = {variable.name: variable.value for variable in process.env}
    assert (env["CONDA_PREFIX"], env["CUDA_VISIBLE_DEVICES"]) == ("/env", "0")


def test_variables_of_the_file_win_over_those_of_the_pixi_environment() -> None:
    facts = replace(PIXI, variables=(("HF_HOME", "/pixi"), ("PYTHONUNBUFFERED", "0")))
    toml = f'{PIXI_MASTER}pixi_launch = "hook"\n{INSTANCE}[instance.a.env]\nHF_HOME = "/mine"\n'
    env = {v.name: v.value for v in process_of(plan_text(toml, pixi=facts)).env}
    assert (env["HF_HOME"], env["PYTHONUNBUFFERED"]) == ("/mine", "0")


def test_variable_that_the_pixi_manifest_sets_too_is_warned_of() -> None:
    facts = replace(PIXI, overridden=frozenset({"HF_HOME", "PYTHONUNBUFFERED", "OTHER"}))
    toml = f'{PIXI_MASTER}{INSTANCE}[instance.a.env]\nHF_HOME = "/mine"\n'
    message = (
        "the pixi manifest sets 'HF_HOME' in [activation.env], and under 'pixi run' that wins "
        "over what 'a' is given"
    )
    hint = 'remove it there, or set pixi_launch = "hook" in [master]'
    assert messages_of(plan_text(toml, pixi=facts)) == [("warning", message, hint)]


def test_what_pixi_lacks_is_a_missing_program() -> None:
    problem = Problem(message="no", hint="do", path=("master", "pixi_launch"), missing=True)
    plan = plan_text(f"{PIXI_MASTER}{INSTANCE}", pixi=replace(PIXI, problems=(problem,)))
    assert messages_of(plan) == [("error", "no", "do")]
    assert code_of(plan.problems) == EX_UNAVAILABLE
