from __future__ import annotations

import json

import pytest

from launcher.config.document import parse_assignment, parse_toml
from launcher.config.layers import layer
from launcher.config.overrides import parse_overrides
from launcher.config.problems import WARNING, Origin, errors_of
from launcher.config.report import Locator, render_text, sort_problems
from launcher.kvbm.layers import find_value
from launcher.kvbm.plan import OwnTransfer, TransferPlan, plan_transfer
from tests.support.kvbm import facts

OWN = OwnTransfer(
    path=("instance", "demo", "server", "kv_transfer_config"),
    value={"kv_connector": "NixlConnector", "kv_role": "kv_both"},
)
ENABLED = "[kvbm]\nenable = true\ncache.host.num_blocks = 1\n"


def plan(
    text: str,
    *assignments: str,
    overrides: object = None,
    env: dict[str, str] | None = None,
    own: OwnTransfer | None = None,
) -> TransferPlan:
    documents = [parse_toml(text, Origin(kind="file", name="vllm.toml"))]
    if overrides is not None:
        documents.append(parse_overrides(json.dumps(overrides)))
    documents += map(parse_assignment, assignments)
    return plan_transfer(layer(tuple(documents)), "demo", facts(env=env), own)


def extra(made: TransferPlan) -> object:
    assert made.value is not None, made.problems
    return made.value["kv_connector_extra_config"]


def messages(made: TransferPlan) -> list[str]:
    return [problem.message for problem in made.problems]


def test_table_with_enable_gives_the_option() -> None:
    made = plan(ENABLED)
    assert made.problems == ()
    assert made.value == {
        "kv_connector": "DynamoConnector",
        "kv_connector_module_path": "kvbm.v2.vllm.connector",
        "kv_role": "kv_both",
        "kv_connector_extra_config": {
            "default": {"cache": {"host": {"num_blocks": 1}}},
            "leader": {},
            "worker": {},
        },
    }


def test_no_tables_give_nothing() -> None:
    assert plan("") == TransferPlan(value=None, problems=())


def test_instance_table_over_the_common_one_wins() -> None:
    text = ENABLED + "[instance.demo.kvbm]\ncache.host.num_blocks = 2\nkv_connector = 'K'"
    made = plan(text)
    assert made.value is not None
    assert made.value["kv_connector"] == "K"
    assert find_value(made.value, ("kv_connector_extra_config", "default", "cache", "host")) == {
        "num_blocks": 2
    }


def test_enable_in_one_instance_is_enough() -> None:
    text = "[instance.demo.kvbm]\nenable = true\ncache.host.num_blocks = 1"
    assert plan(text).value is not None


def test_instance_may_opt_out() -> None:
    assert plan(ENABLED + "[instance.demo.kvbm]\nenable = false") == TransferPlan(
        value=None, problems=()
    )


def test_settings_without_enable_are_a_warning() -> None:
    made = plan("[kvbm]\ncache.host.num_blocks = 1")
    assert made.value is None
    assert messages(made) == ["KVBM is configured here, and not enabled"]
    assert made.problems[0].severity == WARNING


def test_sections_in_the_launchers_file_are_kept() -> None:
    made = plan(ENABLED + "[kvbm.leader.tokio]\nworker_threads = 2\n[kvbm.worker.rayon]")
    assert find_value({"x": extra(made)}, ("x", "leader")) == {"tokio": {"worker_threads": 2}}  # type: ignore[dict-item]


def test_file_over_variables_wins_and_keeps_the_rest() -> None:
    env = {"KVBM_CACHE_HOST_NUM_BLOCKS": "9", "KVBM_RAYON_NUM_THREADS": "3"}
    made = plan(ENABLED, env=env)
    expected = {"rayon": {"num_threads": 3}, "cache": {"host": {"num_blocks": 1}}}
    assert find_value({"x": extra(made)}, ("x", "default")) == expected  # type: ignore[dict-item]


def test_overrides_and_assignments_reach_the_table() -> None:
    overrides = {"kvbm": {"rayon": {"num_threads": 3}}}
    made = plan(ENABLED, "kvbm.tokio.worker_threads=5", overrides=overrides)
    default = find_value({"x": extra(made)}, ("x", "default"))  # type: ignore[dict-item]
    assert default == {
        "cache": {"host": {"num_blocks": 1}},
        "rayon": {"num_threads": 3},
        "tokio": {"worker_threads": 5},
    }


def test_null_in_overrides_removes_the_key() -> None:
    text = ENABLED + "[kvbm.cache.disk]\nnum_blocks = 1"
    made = plan(text, overrides={"kvbm": {"cache": {"disk": None}}})
    assert extra(made) == {
        "default": {"cache": {"host": {"num_blocks": 1}}},
        "leader": {},
        "worker": {},
    }


def test_error_in_the_table_names_line_and_column() -> None:
    text = ENABLED + "[kvbm.leader.tokio]\nworker_threads = 'x'"
    made = plan(text)
    locator = Locator((parse_toml(text, Origin(kind="file", name="vllm.toml")),))
    ((problem, spot),) = sort_problems(made.problems, locator)
    assert made.value is None
    assert render_text(problem, spot).startswith("error: vllm.toml:5:18: expected an integer")


def test_error_for_the_worker_only_is_found() -> None:
    made = plan(ENABLED + "[kvbm.worker.rayon]\nnum_threads = 0")
    assert [problem.path for problem in made.problems] == [
        ("kvbm", "worker", "rayon", "num_threads")
    ]


def test_error_in_an_override_names_its_path() -> None:
    (problem,) = plan(ENABLED, overrides={"kvbm": {"tokio": {"worker_threads": 0}}}).problems
    assert problem.origin is not None
    assert problem.origin.name == "AUTO_INFER_VLLM_OVERRIDES"
    assert problem.path == ("kvbm", "tokio", "worker_threads")


def test_error_in_a_variable_names_it() -> None:
    (problem,) = plan(ENABLED, env={"KVBM_RAYON_NUM_THREADS": "0"}).problems
    assert problem.origin == Origin(kind="environment", name="KVBM_RAYON_NUM_THREADS")


def test_own_transfer_config_is_refused() -> None:
    (problem,) = plan(ENABLED, own=OWN).problems
    assert problem.message == "'kv_transfer_config' is set here, and [kvbm] sets it too"
    assert "multi_connector = true" in problem.hint


@pytest.mark.parametrize("as_text", [False, True])
def test_own_transfer_config_joins_if_asked(as_text: bool) -> None:
    value = json.dumps(OWN.value) if as_text else OWN.value
    made = plan(ENABLED + "multi_connector = true", own=OwnTransfer(path=OWN.path, value=value))
    assert made.value is not None
    assert made.value["kv_connector"] == "MultiConnector"
    children = find_value(made.value, ("kv_connector_extra_config", "connectors"))
    assert isinstance(children, list)
    assert children[1] == OWN.value


@pytest.mark.parametrize("value", ["{", "3", 3, {}])
def test_own_transfer_config_that_is_no_connector_is_refused(value: object) -> None:
    own = OwnTransfer(path=OWN.path, value=value)  # type: ignore[arg-type]
    assert plan(ENABLED + "multi_connector = true", own=own).value is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "kv_role = 'leader'",
            "expected one of 'kv_producer', 'kv_consumer', 'kv_both', got 'leader'",
        ),
        ("kv_connector = ''", "expected a string that is not empty"),
        ("kv_port = 70000", "expected a u16, an integer from 0 to 65535, got 70000"),
    ],
)
def test_wrong_connector_setting_is_refused(line: str, message: str) -> None:
    assert messages(plan(ENABLED + line)) == [message]


def test_misspelled_switch_is_an_error() -> None:
    made = plan("[kvbm]\nenabel = true")
    assert [problem.hint for problem in errors_of(made.problems)] == ["did you mean 'enable'?"]


@pytest.mark.parametrize("text", ["kvbm = 3", "[instance.demo]\nkvbm = true"])
def test_table_that_is_none_is_refused(text: str) -> None:
    assert "expected a table" in messages(plan(text))[0]


def test_resolution_says_where_values_come_from() -> None:
    made = plan(ENABLED)
    assert made.resolution is not None
    source = made.resolution.leader.stack.source(("cache", "host", "num_blocks"))
    assert source.path == ("kvbm", "cache", "host", "num_blocks")
