from __future__ import annotations

import pytest

from tests.support.require import is_required, require, require_program


@pytest.mark.parametrize("value", ["all", "law", "docker,law", " law , vm", "vm,all"])
def test_require_names_suite_is_required(value: str) -> None:
    assert is_required("law", {"REQUIRE": value})


@pytest.mark.parametrize("value", ["", "vm", "lawful", "ALL"])
def test_require_names_others_is_not_required(value: str) -> None:
    assert not is_required("law", {"REQUIRE": value})
    assert not is_required("law", {})


def test_require_absent_thing_skips_with_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUIRE", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no such thing"):
        require("law", "no such thing", present=False)


def test_require_promised_thing_fails_with_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUIRE", "law")
    with pytest.raises(pytest.fail.Exception, match="REQUIRE=law, but no such thing"):
        require("law", "no such thing", present=False)


def test_require_program_on_path_returns_it() -> None:
    assert require_program("law", "sh").endswith("/sh")
