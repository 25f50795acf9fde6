"""Generated units under a real systemd: they prepare the host, boot a real guest, and stop it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.support.guests import stub_config
from tests.support.systemdbox import SHARED, UID, USER, SystemdBox

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.hypervisor.guest.manifest import ImageManifest

HOST = f"""
[global]
user = "{USER}"
state_dir = "/home/{USER}/state"
config_dir = "/home/{USER}/config"

[guest]
kernel = "/srv/guest/KERNEL"
image = "/srv/guest/IMAGE"
memory = "size=512M"

[[runtimes]]
index = 1
name = "one"
cpus = 2
guest.config = "{SHARED}/vllm.toml"
"""
DROP_IN = """\
[Service]
Environment=VLLMD_HYPERVISOR_ACCEL=tcg VLLMD_HYPERVISOR_BACKEND=qemu
Environment=VLLMD_HYPERVISOR_STOP_TIMEOUT=300
TimeoutStopSec=600
"""
UNIT = "vllmd-runtime@one.service"
LIMIT_S = 1800.0
# Until the guest has said that its server is healthy.
WAIT = """
for _ in $(seq 600); do
    VLLMD_HYPERVISOR_NAME=one RUN vllmd-hypervisor status --json >/tmp/status || true
    grep -q '"state": "ready"' /tmp/status && grep -q '"state": "running"' /tmp/status && break
    RUN SYSTEMCTL is-failed --quiet UNIT && break
    sleep 1
done
echo "== status"; cat /tmp/status
"""
SYSTEM = f"""
vllmd-hypervisor generate-init
vllmd-hypervisor install-systemd
mkdir -p /etc/systemd/system/{UNIT}.d
cp {SHARED}/drop-in /etc/systemd/system/{UNIT}.d/emulate.conf
systemctl daemon-reload
systemctl start {UNIT}
{WAIT.replace("RUN ", "").replace("SYSTEMCTL", "systemctl").replace("UNIT", UNIT)}
echo "== answer"
python3 -c 'import urllib.request as u; print(u.urlopen("http://10.111.0.11:8000/health").status)'
echo "== process"
main=$(systemctl show --property=MainPID --value {UNIT})
for each in $main $(cat /proc/$main/task/*/children); do
    grep -E '^(CapBnd|NoNewPrivs|Seccomp|Uid):' /proc/$each/status
done
systemctl show --property=LimitMEMLOCK {UNIT}
systemctl stop {UNIT}
echo "== stopped"; systemctl show --property=ActiveState,Result,ExecMainStatus {UNIT}
vllmd-hypervisor initialize --undo
echo "== undone"; ip -brief link
"""
AS_USER = (
    f"runuser -u {USER} -- env HOME=/home/{USER} XDG_RUNTIME_DIR=/run/user/{UID} "
    f"VLLMD_HYPERVISOR_CONFIG={SHARED}/host.toml VLLMD_HYPERVISOR_NAME=one"
)
OF_USER = f"""
systemctl start user@{UID}.service
RUN vllmd-hypervisor generate-init
RUN vllmd-hypervisor install-systemd --user
RUN mkdir -p /home/{USER}/.config/systemd/user/{UNIT}.d
cp {SHARED}/drop-in /home/{USER}/.config/systemd/user/{UNIT}.d/emulate.conf
RUN systemctl --user daemon-reload
RUN systemctl --user start {UNIT}
{WAIT.replace("SYSTEMCTL", "systemctl --user").replace("UNIT", UNIT)}
RUN systemctl --user stop {UNIT}
echo "== stopped"; RUN systemctl --user show --property=ActiveState,Result,ExecMainStatus {UNIT}
RUN vllmd-hypervisor install-systemd --user --uninstall
echo "== uninstalled"; RUN systemctl --user list-unit-files 'vllmd-*' --no-legend || true
""".replace("RUN", AS_USER)

# One runtime in three places, with one environment file: for the system, for a user, and in a
# folder that no systemd reads.
PLACES = f"""
systemctl start user@{UID}.service
vllmd-hypervisor install-systemd
systemctl enable {UNIT}
RUN vllmd-hypervisor install-systemd --user
export VLLMD_SYSTEMD_DIR=/tmp/staged
vllmd-hypervisor install-systemd
vllmd-hypervisor install-systemd --uninstall
unset VLLMD_SYSTEMD_DIR
RUN vllmd-hypervisor install-systemd --user --uninstall
echo "== staged"; ls /tmp/staged
echo "== user"; RUN systemctl --user list-unit-files 'vllmd-*' --no-legend || true
echo "== system"; systemctl is-enabled {UNIT}; ls /home/{USER}/config
vllmd-hypervisor install-systemd --uninstall
echo "== files"; ls /home/{USER}/config
echo "== units"; systemctl list-unit-files 'vllmd-*' --no-legend || true
""".replace("RUN", AS_USER)


@pytest.fixture
def box(image: ImageManifest, tmp_path: Path) -> SystemdBox:
    box = SystemdBox(tmp_path)
    box.show(os.path.dirname(image.image), "/srv/guest")
    text = HOST.replace("KERNEL", os.path.basename(image.kernel))
    (tmp_path / "host.toml").write_text(text.replace("IMAGE", os.path.basename(image.image)))
    (tmp_path / "vllm.toml").write_text(stub_config())
    (tmp_path / "drop-in").write_text(DROP_IN)
    return box


def parts(said: str) -> dict[str, str]:
    """Return what is behind each `== name` of a script."""
    found = (part.partition("\n") for part in said.split("== ")[1:])
    return {name: text for name, _, text in found}


def test_units_of_the_system_boot_a_guest_and_stop_it(box: SystemdBox) -> None:
    said = parts(box.run(SYSTEM, LIMIT_S))
    assert json.loads(said["status"])["state"] == "running", said
    # By its tap, the bridge, and the address that the seed disk gave it.
    assert said["answer"].splitlines()[0] == "200"
    for line in ("CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", f"Uid:\t{UID}\t"):
        assert said["process"].count(line) == 2  # the supervisor and its VMM
    assert f"LimitMEMLOCK={(512 << 20) + (1 << 30)}\n" in said["process"]
    assert said["stopped"].split()[:3] == [
        "Result=success", "ExecMainStatus=0", "ActiveState=inactive",
    ]  # fmt: skip
    assert "vllmd" not in said["undone"]


def test_units_of_a_user_boot_a_guest_and_stop_it(box: SystemdBox) -> None:
    text = (box.folder / "host.toml").read_text()
    (box.folder / "host.toml").write_text(text.replace("[guest]", '[guest]\nnet = "user"'))
    said = parts(box.run(OF_USER, LIMIT_S))
    assert json.loads(said["status"])["state"] == "running", said
    assert said["stopped"].split()[:3] == [
        "Result=success", "ExecMainStatus=0", "ActiveState=inactive",
    ]  # fmt: skip
    assert said["uninstalled"] == ""


def test_units_of_one_place_outlive_those_of_another(tmp_path: Path) -> None:
    box = SystemdBox(tmp_path)
    (tmp_path / "host.toml").write_text(HOST)
    said = parts(box.run(PLACES, LIMIT_S))
    assert (said["staged"], said["user"]) == ("", "")
    assert said["system"].splitlines()[:2] == ["enabled", "hypervisor-one.env"]
    assert (said["files"], said["units"]) == ("", "")
