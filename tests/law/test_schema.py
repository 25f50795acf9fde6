"""The schema that editors use: true to the model, and to the worked examples."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from launcher.server.cluster import CLUSTER_KEYS
from launcher.server.keys import CLIENT_KEYS, CONTROL_KEYS, MASTER_KEYS
from launcher.server.schema import KEY_SCHEMAS
from tests.support.require import require

ROOT = Path(__file__).resolve().parents[2]
# KVBM's own files are no launcher configurations.
EXAMPLES = sorted(
    path for path in (ROOT / "model-configs").glob("*.toml") if not path.name.startswith("kvbm.")
)
TAPLO = Path(sys.executable).with_name("taplo")


def run_taplo(path: Path) -> subprocess.CompletedProcess[str]:
    """Check one file as an editor would, by the schema that its first line names."""
    require("law", f"'taplo' is not installed beside {sys.executable}", present=TAPLO.exists())
    return subprocess.run(
        [TAPLO, "check", str(path)], cwd=path.parent, text=True, capture_output=True, check=False
    )


def test_schema_knows_every_key_and_no_other() -> None:
    rows = (*MASTER_KEYS, *CONTROL_KEYS, *CLIENT_KEYS, *CLUSTER_KEYS)
    assert set(KEY_SCHEMAS) == {key.name for key in rows}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example_names_the_schema_and_fits_it(path: Path) -> None:
    assert path.read_text().startswith("#:schema ./vllmd.schema.json\n")
    result = run_taplo(path)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("[master]\nenabel = true", "Additional properties are not allowed ('enabel'"),
        ("[instance.a.control]\ngpu_ids = 1.5", "1.5 is not valid under any of the"),
        ("[instance.a.control]\npreset = 'fast'", "is not one of"),
        ("[instance.a.server]\nmax_num_seqs = true", "true is not of type"),
        ("[instance.a.servr]\nport = 1", "Additional properties are not allowed ('servr'"),
    ],
)
def test_schema_refuses_a_mistake(tmp_path: Path, line: str, complaint: str) -> None:
    schema = ROOT / "model-configs" / "vllmd.schema.json"
    path = tmp_path / "bad.toml"
    path.write_text(f"#:schema {schema.as_uri()}\n{line}\n")
    result = run_taplo(path)
    assert result.returncode == 1
    assert complaint in result.stderr
