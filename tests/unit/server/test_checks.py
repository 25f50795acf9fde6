"""What is known to be wrong before anything starts: every message, whole."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.server.catalogue.data import load_catalogue, load_environment
from launcher.server.catalogue.texts import environment_names
from tests.support.facts import MODEL, messages_of, plan_text, said


def check(control: str = "", server: str = "", **facts: Any) -> list[tuple[str, str, str]]:
    toml = f"[instance.a.control]\n{control}\n[instance.a.server]\n{MODEL}{server}\n"
    return messages_of(plan_text(toml, **facts))


def two(first: str, second: str) -> list[tuple[str, str, str]]:
    """Check two instances by their control tables."""
    return messages_of(
        plan_text(
            f"[instance.a.control]\n{first}\n[instance.a.server]\n{MODEL}port = 1\n"
            f"[instance.b.control]\n{second}\n[instance.b.server]\n{MODEL}port = 2\n"
        )
    )


# Logs


def test_log_file_of_two_is_refused() -> None:
    assert two('log_file = "/l"', 'log_file = "/l"') == [
        ("error", "'b' and 'a' both log to '/l'", "give each its own log_file")
    ]


def test_log_file_in_the_place_of_another_default_is_refused() -> None:
    path = "/tmp/vllm-server-a.log"  # noqa: S108
    assert two("", f'log_file = "{path}"') == [
        ("error", f"'b' and 'a' both log to '{path}'", "give each its own log_file")
    ]


def test_log_file_of_two_in_other_words_is_refused() -> None:
    assert two('log_file = "/l/x"', 'log_file = "/l/../l//x"') == [
        ("error", "'b' and 'a' both log to '/l/../l//x'", "give each its own log_file")
    ]


def test_log_file_that_is_shared_is_told_once() -> None:
    toml = (
        '[instance.control]\nlog_file = "/l"\n'
        f"[instance.a.server]\n{MODEL}[instance.b.server]\n{MODEL}port = 2\n"
    )
    assert said(plan_text(toml)) == (
        "error: vllm.toml:2:12: 'b' and 'a' both log to '/l'\n"
        '   2 | log_file = "/l"\n'
        "     |            ^^^^\n"
        "hint: give each its own log_file"
    )


def test_log_of_one_that_is_off_is_free() -> None:
    assert two('log_file = "/l"', 'log_file = "/l"\nenabled = false') == []


@pytest.mark.parametrize(
    ("control", "path"),
    [('log_file = "/l"', "/l"), ('log_dir = "/d/"', "/d/vllm-server-a.log")],
)
def test_log_that_cannot_be_one_is_refused(control: str, path: str) -> None:
    assert check(control, log_faults={path: "is a symbolic link"}) == [
        ("error", f"the log '{path}' is a symbolic link", "give another log_dir or log_file")
    ]


def test_log_on_a_device_hint_is_foreground() -> None:
    faults = {"/dev/stdout": "is a symbolic link"}
    hint = "set background = false to see the output on stdout as well"
    assert check('log_file = "/dev/stdout"', log_faults=faults) == [
        ("error", "the log '/dev/stdout' is a symbolic link", hint)
    ]


# Models


@pytest.mark.parametrize("path", ["/m", "./m", "../m", "~/m"])
def test_model_that_is_a_path_has_to_be_there(path: str) -> None:
    toml = f'[instance.a.server]\nmodel = "{path}"\n'
    plan = plan_text(toml, missing_models={path: "does not exist"})
    message = f"the model '{path}' does not exist"
    assert messages_of(plan) == [("error", message, "mount it at that path, or correct the path")]


def test_model_of_a_hub_is_not_looked_for() -> None:
    assert check(missing_models={"org/model": "does not exist"}) == []


def test_model_that_is_not_named_is_warned_of() -> None:
    assert said(plan_text("[instance.a.server]\nport = 1\n")) == (
        "warning: vllm.toml:1:1: 'a' has no model: vLLM would take its own default\n"
        "   1 | [instance.a.server]\n"
        "     | ^^^^^^^^^^^^^^^^^^^\n"
        'hint: set model = "/path/to/model" in [instance.a.server]'
    )


@pytest.mark.parametrize("server", ['extra_args = ["--model", "m"]', 'config = "/c.yaml"'])
def test_model_that_is_named_elsewhere_is_fine(server: str) -> None:
    assert messages_of(plan_text(f"[instance.a.server]\n{server}\n")) == []


@pytest.mark.parametrize("toml", ["[instance]\na = 3\n", "[instance.a]\nserver = 3\n"])
def test_model_of_what_is_no_table_is_not_missed(toml: str) -> None:
    assert len(messages_of(plan_text(toml))) == 1


def test_model_that_is_empty_is_refused() -> None:
    message = "'model': expected a path or a name, got an empty one"
    plan = plan_text('[instance.a.server]\nmodel = ""\n')
    assert messages_of(plan) == [("error", message, 'write it like model = "/path/to/model"')]


def test_model_of_a_server_that_is_not_vllms_may_be_unset() -> None:
    toml = '[master]\napi_server_module = "my.server"\n[instance.a]\n'
    assert messages_of(plan_text(toml)) == []


# GPUs

FEWER = "name more GPUs in gpu_ids, or split the model over fewer"


def sees(count: str, tensor: int, pipeline: int) -> tuple[str, str, str]:
    message = (
        f"'a' sees {count}, but needs {tensor * pipeline}: "
        f"tensor_parallel_size {tensor} x pipeline_parallel_size {pipeline}"
    )
    return ("error", message, FEWER)


SPLITS = {
    "enough": ('gpu_ids = "0,1"', "tensor_parallel_size = 2", None),
    "tensor": ('gpu_ids = "0"', "tensor_parallel_size = 2", ("1 GPU", 2, 1)),
    "pipeline": ('gpu_ids = "0"', "pipeline_parallel_size = 2", ("1 GPU", 1, 2)),
    "both": (
        'gpu_ids = "0,1,2"',
        "tensor_parallel_size = 2\npipeline_parallel_size = 2",
        ("3 GPUs", 2, 2),
    ),
    "extra_args": (
        'gpu_ids = "0,1"',
        'tensor_parallel_size = 2\nextra_args = ["--tensor-parallel-size", "4"]',
        ("2 GPUs", 4, 1),
    ),
    "more than needed": ('gpu_ids = "0,1,2"', "tensor_parallel_size = 2", None),
    "all": ('gpu_ids = "all"', "tensor_parallel_size = 2", None),
    "none": ('gpu_ids = "none"', "tensor_parallel_size = 2", None),
    "several machines": ('gpu_ids = "0"', "tensor_parallel_size = 2\nnnodes = 2", None),
    "ray": (
        'gpu_ids = "0"',
        'tensor_parallel_size = 2\ndistributed_executor_backend = "ray"',
        None,
    ),
}


@pytest.mark.parametrize("case", SPLITS)
def test_gpus_have_to_be_enough_for_the_split(case: str) -> None:
    control, server, found = SPLITS[case]
    problems = [each for each in check(control, server) if each[2] == FEWER]
    assert problems == ([sees(*found)] if found else [])


def share(*settings: str, version: str = "0.32.0") -> list[tuple[str, str, str]]:
    """Check instances on GPU 0 by their server tables."""
    toml = '[instance.control]\ngpu_ids = "0"\n'
    for number, setting in enumerate(settings):
        toml += f"[instance.i{number}.server]\n{MODEL}port = {number + 1}\n{setting}\n"
    return messages_of(plan_text(toml, vllm_version=version))


def test_gpu_memory_that_fits_is_fine() -> None:
    assert share("gpu_memory_utilization = 0.5", "gpu_memory_utilization = 0.5") == []
    assert share(*["gpu_memory_utilization = 0.1"] * 10) == []


def test_gpu_memory_over_one_is_refused() -> None:
    assert share("gpu_memory_utilization = 0.6", "gpu_memory_utilization = 0.5") == [
        (
            "error",
            "GPU 0 is claimed more than once over: 0.6 ('i0') + 0.5 ('i1') = 1.1",
            "lower gpu_memory_utilization, to 0.5 each for example",
        )
    ]


def test_gpu_memory_that_is_unset_is_the_versions_default() -> None:
    hint = "lower gpu_memory_utilization, to 0.5 each for example"
    assert share("gpu_memory_utilization = 0.1", "") == [
        ("error", "GPU 0 is claimed more than once over: 0.1 ('i0') + 0.92 ('i1') = 1.02", hint)
    ]
    assert share("gpu_memory_utilization = 0.1", "", version="0.19.0") == []


def test_gpu_memory_in_extra_args_counts() -> None:
    extra = 'extra_args = ["--gpu-memory-utilization", "0.9"]'
    (problem,) = share("gpu_memory_utilization = 0.5", extra)
    assert problem[1].endswith("0.5 ('i0') + 0.9 ('i1') = 1.4")


def test_gpu_memory_of_the_same_servers_is_told_once() -> None:
    toml = '[instance.control]\ngpu_ids = "0,1"\n'
    for name in ("a", "b"):
        toml += f"[instance.{name}.server]\n{MODEL}port = {ord(name)}\n"
        toml += "tensor_parallel_size = 2\ngpu_memory_utilization = 0.9\n"
    assert len(messages_of(plan_text(toml))) == 1


def test_gpu_memory_on_different_gpus_does_not_add_up() -> None:
    assert two('gpu_ids = "0"', 'gpu_ids = "1"') == []


SHARES = {
    "90": ("got 90", "write 0.9"),
    "1.5": ("got 1.5", "write 0.9"),
    "0": ("got 0", "write 0.9"),
    "-0.5": ("got -0.5", "write 0.9"),
    "45": ("got 45", "write 0.45"),
}


@pytest.mark.parametrize("value", SHARES)
def test_gpu_memory_that_is_no_share_is_refused(value: str) -> None:
    found, hint = SHARES[value]
    message = f"'gpu_memory_utilization': expected a share above 0, up to 1, {found}"
    problems = check("", f"gpu_memory_utilization = {value}")
    assert problems == [("error", message, hint)]


# Extra arguments


def test_extra_args_flag_and_value_in_one_word_are_refused() -> None:
    message = "'extra_args': '--port' and its value are one word"
    problems = check("", 'extra_args = ["--port 8001"]')
    assert problems == [("error", message, 'write them apart: "--key", "value"')]
    assert check("", 'extra_args = ["--served-model-name=a b", "--", "--x y"]') == []


def test_extra_args_over_a_setting_are_warned_of() -> None:
    message = "'port' is set, but extra_args has it too, comes later and wins"
    problems = check("", 'port = 1\nextra_args = ["--port", "2"]')
    assert problems == [("warning", message, "keep one of the two")]


def test_extra_args_that_vllm_does_not_know_are_warned_of() -> None:
    message = "'extra_args': vLLM 0.32.0 has no option 'max_modl_len'"
    problems = check("", 'extra_args = ["--max-modl-len", "2"]')
    assert problems == [("warning", message, "did you mean 'max_model_len'?")]


@pytest.mark.parametrize(
    "words",
    [
        '"--compilation-config.mode", "3"',
        '"-tp", "2"',
        '"--", "--bogus"',
        '"--no-enable-prefix-caching"',
        '"--long-prefill-token-threshold", "4"',
    ],
)
def test_extra_args_that_vllm_knows_are_fine(words: str) -> None:
    assert check("", f"extra_args = [{words}]") == []


# Environment


def test_variable_that_vllm_does_not_know_is_warned_of() -> None:
    toml = f"[instance.a.server]\n{MODEL}[instance.a.env]\nVLLM_LOGING_LEVEL = 'DEBUG'\n"
    message = "vLLM 0.32.0 does not know the variable 'VLLM_LOGING_LEVEL'"
    assert messages_of(plan_text(toml)) == [
        ("warning", message, "did you mean 'VLLM_LOGGING_LEVEL'?")
    ]


def test_variable_like_no_other_is_warned_of() -> None:
    toml = f"[instance.a.server]\n{MODEL}[master.env]\nVLLM_ZZZZZZZZZZZZZZZZZ = 1\n"
    message = "vLLM 0.32.0 does not know the variable 'VLLM_ZZZZZZZZZZZZZZZZZ'"
    assert messages_of(plan_text(toml)) == [("warning", message, "remove it, or correct its name")]


def test_variable_of_the_past_is_warned_of() -> None:
    toml = f"[instance.a.server]\n{MODEL}[instance.a.env]\nVLLM_USE_V1 = 1\n"
    message = "vLLM reads the variable 'VLLM_USE_V1' no more, since 0.11.1"
    assert messages_of(plan_text(toml)) == [("warning", message, "remove it")]


def test_variable_of_the_future_is_warned_of() -> None:
    name = environment_names(load_environment(), load_catalogue("0.33.0"))
    old = environment_names(load_environment(), load_catalogue("0.11.0"))
    new = next(each for each in name if each not in old)
    toml = f"[instance.a.server]\n{MODEL}[instance.a.env]\n{new} = 1\n"
    ((severity, message, hint),) = messages_of(plan_text(toml, vllm_version="0.11.0"))
    assert (severity, message) == (
        "warning", f"vLLM 0.11.0 does not know the variable '{new}' yet",
    )  # fmt: skip
    assert hint.endswith(" or newer, or remove it")


def test_variable_of_somebody_else_is_fine() -> None:
    toml = f"[instance.a.server]\n{MODEL}[instance.a.env]\nNCCL_DEBUG = 'INFO'\n"
    assert messages_of(plan_text(toml)) == []


def test_cuda_visible_devices_beside_gpu_ids_is_warned_of() -> None:
    toml = "[instance.a.control]\ngpu_ids = '0'\n[instance.a.env]\nCUDA_VISIBLE_DEVICES = '1'\n"
    message = "'CUDA_VISIBLE_DEVICES' is set here, but gpu_ids replaces it"
    assert messages_of(plan_text(f"{toml}[instance.a.server]\n{MODEL}")) == [
        ("warning", message, "keep one of the two")
    ]


# Engine processes

ORPHANS = "orphaned engine processes could not be ended on this machine"


def test_multiprocessing_on_where_orphans_cannot_be_ended_is_refused() -> None:
    problems = check('v1_multiprocessing = "on"', adopts_orphans=False)
    message = f"'v1_multiprocessing' is \"on\", but {ORPHANS}"
    hint = 'run vllmd on Linux with /proc mounted, or write "auto"'
    assert problems == [("error", message, hint)]


def test_multiprocessing_auto_where_orphans_cannot_be_ended_is_told() -> None:
    message = f"'a' runs without engine processes: {ORPHANS}"
    problems = check(adopts_orphans=False)
    assert problems == [("warning", message, 'write v1_multiprocessing = "off"')]


def test_multiprocessing_beside_its_variable_is_warned_of() -> None:
    name = "VLLM_ENABLE_V1_MULTIPROCESSING"
    toml = f"[instance.a.control]\nv1_multiprocessing = 'off'\n[instance.a.env]\n{name} = 1\n"
    message = f"'{name}' is set here, but v1_multiprocessing = \"off\" replaces it"
    assert messages_of(plan_text(f"{toml}[instance.a.server]\n{MODEL}")) == [
        ("warning", message, "keep one of the two")
    ]


# Once, and no more than once


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_share_of_a_gpu_that_is_not_finite_is_told_once(value: str) -> None:
    message = f"'gpu_memory_utilization': expected a finite number, got {value}"
    assert check(server=f"gpu_memory_utilization = {value}") == [
        ("error", message, "write a number")
    ]


@pytest.mark.parametrize("name", ["--max-model-len", "a b", "é"])
def test_name_that_cannot_be_an_option_is_told_once(name: str) -> None:
    ((severity, message, _),) = check(server=f'"{name}" = 1')
    assert severity == "error"
    assert "option" in message


def test_instance_that_is_no_table_is_told_once() -> None:
    message = "expected a table, the settings of one instance, got an integer"
    hint = "write {} in [instance.server] or [instance.NAME.server]"
    found = messages_of(plan_text("[instance]\nport = 1\nseed = 2\n"))
    assert found == [("error", message, hint.format(name)) for name in ("port", "seed")]


# Sizes


@pytest.mark.parametrize("name", ["tensor_parallel_size", "pipeline_parallel_size"])
@pytest.mark.parametrize("value", [0, -1])
def test_parallel_size_below_one_is_refused(name: str, value: int) -> None:
    message = f"'{name}': expected an integer of at least 1, got {value}"
    assert check(server=f"{name} = {value}") == [("error", message, "write 1 or more")]


# Words of extra_args


def test_unknown_flag_in_extra_args_has_a_hint_that_fits() -> None:
    ((_, _, hint),) = check(server='extra_args = ["--qqqqqqqqqq"]')
    assert hint == "correct it, or leave it if this build of vLLM has it"


# What no program can be given


@pytest.mark.parametrize("key", ["model", "host", "uds", "api_key", "hf_token"])
def test_value_with_a_nul_is_told_once(key: str) -> None:
    found = messages_of(plan_text(f'[instance.a.server]\n{key} = "/a\\u0000"\n'))
    hints = [hint for severity, _, hint in found if severity == "error"]
    assert hints == ["remove the NUL character"]


# An instance that nobody meant


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("chta", "did you mean 'chat', the instance of the file?"),
        ("other", 'set model = "/path/to/model" in [instance.other.server]'),
    ],
)
def test_instance_that_only_an_override_names_may_be_a_misspelling(name: str, hint: str) -> None:
    toml = f"[instance.chat.server]\n{MODEL}"
    overrides = f'{{"instance": {{"{name}": {{"server": {{"port": 1}}}}}}}}'
    ((severity, message, said_hint),) = messages_of(plan_text(toml, overrides))
    assert (severity, said_hint) == ("warning", hint)
    assert message == f"'{name}' has no model: vLLM would take its own default"
