"""Which answer a forked server's is compared with."""

from __future__ import annotations

from launcher.process.firstanswers import FirstAnswers
from launcher.process.fleet import Member
from launcher.process.health import HealthWatch
from launcher.process.spec import Probe, ProcessSpec

SPEC = ProcessSpec(name="a", argv=("server",))
OTHER = ProcessSpec(name="a", argv=("server", "--seed", "1"))


def doubt(answers: FirstAnswers, token: str, *, forked: bool, spec: ProcessSpec = SPEC) -> str:
    """Say what is doubtful of a server that answers with a token."""
    watch = HealthWatch(spec, Probe(host="127.0.0.1", port=1), now=0)
    watch.token = token
    return answers.doubt(Member(spec=spec, forked=forked), watch)


def test_fork_that_answers_like_the_first_start_is_not_doubted() -> None:
    answers = FirstAnswers()
    assert [doubt(answers, "x", forked=forked) for forked in (False, True, True)] == [""] * 3


def test_fork_that_answers_otherwise_is_doubted() -> None:
    answers = FirstAnswers()
    doubt(answers, "x", forked=False)
    assert "it answers 'y' to the known question, and first it was 'x'" in doubt(
        answers, "y", forked=True
    )


def test_cold_start_counts_more_than_a_fork_before_it() -> None:
    answers = FirstAnswers()
    doubt(answers, "x", forked=True)
    assert doubt(answers, "y", forked=False) == ""
    assert doubt(answers, "y", forked=True) == ""
    assert "first it was 'y'" in doubt(answers, "x", forked=True)


def test_first_cold_start_counts_more_than_a_later_one() -> None:
    answers = FirstAnswers()
    doubt(answers, "x", forked=False)
    assert doubt(answers, "y", forked=False) == ""
    assert doubt(answers, "x", forked=True) == ""


def test_other_configuration_has_answers_of_its_own() -> None:
    answers = FirstAnswers()
    doubt(answers, "x", forked=False)
    assert doubt(answers, "y", forked=True, spec=OTHER) == ""
