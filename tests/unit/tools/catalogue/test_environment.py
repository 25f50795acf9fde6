"""Names of environment variables in a source text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tools.catalogue.environment import find_names, read_names

if TYPE_CHECKING:
    from pathlib import Path

TABLE = """
environment_variables: dict[str, object] = {
    "VLLM_B": lambda: 1,
    "VLLM_A": lambda: 2,
    "MAX_JOBS": lambda: 3,
}
"""


def test_own_names_of_the_table_are_sorted(tmp_path: Path) -> None:
    (tmp_path / "envs.py").write_text(TABLE, encoding="utf-8")
    assert read_names(str(tmp_path / "envs.py")) == ["VLLM_A", "VLLM_B"]


def test_names_read_past_the_table_are_found(tmp_path: Path) -> None:
    (tmp_path / "envs.py").write_text(TABLE, encoding="utf-8")
    direct = 'os.environ["VLLM_D"], os.environ.get("VLLM_C", "0"), os.getenv(\n"VLLM_E"), "VLLM_X"'
    (tmp_path / "other.py").write_text(direct, encoding="utf-8")
    assert find_names(tmp_path) == ["VLLM_A", "VLLM_B", "VLLM_C", "VLLM_D", "VLLM_E"]


def test_file_without_the_table_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "envs.py").write_text("x = {}\n", encoding="utf-8")
    with pytest.raises(LookupError, match="has no table environment_variables"):
        read_names(str(tmp_path / "envs.py"))
