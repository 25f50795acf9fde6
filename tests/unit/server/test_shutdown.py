"""The three clocks of a stop, and what is said where they do not fit."""

from __future__ import annotations

from tests.support.facts import MODEL, flags_of, messages_of, plan_text, process_of

SERVER = f"[instance.a.server]\n{MODEL}"


def control(*lines: str) -> str:
    return "\n".join((SERVER, "[instance.a.control]", *lines, ""))


def test_drain_becomes_vllms_option_and_the_grace_fits() -> None:
    plan = plan_text(control("drain_s = 60"))
    assert flags_of(plan)[-2:] == ["--shutdown-timeout", "60"]
    assert process_of(plan).stop_timeout_s == 70
    assert messages_of(plan) == []


def test_without_drain_nothing_is_added() -> None:
    plan = plan_text(SERVER)
    assert "--shutdown-timeout" not in flags_of(plan)
    assert process_of(plan).stop_timeout_s == 30


def test_short_drain_keeps_the_grace_of_before() -> None:
    assert process_of(plan_text(control("drain_s = 5"))).stop_timeout_s == 30


def test_grace_that_was_set_is_kept_and_warned_of_where_it_is_short() -> None:
    plan = plan_text(control("drain_s = 60", "stop_timeout_s = 65"))
    assert process_of(plan).stop_timeout_s == 65
    assert messages_of(plan) == [(
        "warning",
        ("'a' may finish requests for 60 s (shutdown_timeout) and needs up to 10 s more to end, "
        "but is killed after 65 s (stop_timeout_s)"),
        "set stop_timeout_s = 70, or a shorter time to finish requests",
    )]  # fmt: skip


def test_option_of_vllm_alone_is_checked_too() -> None:
    plan = plan_text(f"{SERVER}shutdown_timeout = 30\n")
    [(severity, message, _)] = messages_of(plan)
    assert severity == "warning"
    assert "may finish requests for 30 s" in message


def test_drain_and_the_option_are_one_thing() -> None:
    plan = plan_text(control("drain_s = 5"))
    both = plan_text(f"{SERVER}shutdown_timeout = 7\n[instance.a.control]\ndrain_s = 5\n")
    assert messages_of(plan) == []
    assert flags_of(both).count("--shutdown-timeout") == 1
    assert messages_of(both)[0][1].startswith("'drain_s' and 'shutdown_timeout' are one thing")


def test_drain_without_the_option_in_this_version_forbids_the_start() -> None:
    plan = plan_text(control("drain_s = 5"), vllm_version="0.11.0")
    assert not plan.is_startable()
    assert any("cannot finish requests" in message for _, message, _ in messages_of(plan))


def test_container_with_less_grace_is_warned_of() -> None:
    environ = {"PATH": "/usr/bin", "VLLMD_CONTAINER_GRACE_S": "10"}
    [(severity, message, hint)] = messages_of(plan_text(SERVER, environ=environ))
    assert severity == "warning"
    assert message.endswith("but the container is killed after 10 s (VLLMD_CONTAINER_GRACE_S)")
    assert hint == "give the container 32 s, or lower stop_timeout_s"


def test_container_needs_more_grace_where_weights_are_kept() -> None:
    environ = {"PATH": "/usr/bin", "VLLMD_CONTAINER_GRACE_S": "32"}
    plan = plan_text(control("weight_cache = true"), environ=environ)
    [(_, message, hint)] = messages_of(plan)
    assert "may take 40 s to stop (stop_timeout_s and 10 s for its weights)" in message
    assert hint == "give the container 42 s, or lower stop_timeout_s"


def test_container_with_enough_grace_or_an_unknown_one_is_fine() -> None:
    for grace in ("32", "", "soon"):
        environ = {"PATH": "/usr/bin", "VLLMD_CONTAINER_GRACE_S": grace}
        assert messages_of(plan_text(SERVER, environ=environ)) == []
