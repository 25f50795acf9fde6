from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.cli.render import main
from launcher.errors import EX_CONFIG, UsageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("compose", "--image", ""), "no container image"),
        (("compose", "--image", "a b"), "no container image"),
        (("systemd", "--program", "vllmd"), "no absolute path"),
    ],
)
def test_render_argument_that_no_home_takes_is_refused(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        main([*words, "vllm.toml"], {})


def test_file_name_that_no_home_takes_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "my file: 1.toml"
    path.write_text('[instance.a.server]\nmodel = "org/model"\n')
    assert main(["kubernetes", str(path), "--vllm-version", "0.32.0"], {}) == EX_CONFIG
    assert "rename the file" in capsys.readouterr().err
