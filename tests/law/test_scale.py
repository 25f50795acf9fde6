"""A thousand servers in one file are as good as one (benchmarks/ has the times)."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 1000


def test_plan_of_a_thousand_instances_has_a_thousand(tmp_path: Path) -> None:
    path = tmp_path / "vllm.toml"
    head = f'[master]\npython = "{sys.executable}"\n[instance.server]\nmodel = "org/model"\n'
    path.write_text(
        head + "".join(f"[instance.i{n}.server]\nport = {n + 2000}\n" for n in range(COUNT))
    )
    done = subprocess.run(
        [sys.executable, "-m", "launcher", "plan", str(path), "--format", "json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    instances = json.loads(done.stdout)["instances"]
    assert [each["name"] for each in instances] == [f"i{n}" for n in range(COUNT)]
    assert {each["port"] for each in instances} == set(range(2000, 2000 + COUNT))
