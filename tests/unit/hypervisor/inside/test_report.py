from __future__ import annotations

import json

from launcher.hypervisor.inside.report import (
    LONGEST_LINE,
    RUNNING,
    InstanceReport,
    Report,
    read_instances,
    render_report,
    split_address,
)


def instance(name: str = "a", state: str = "ready") -> InstanceReport:
    return InstanceReport(name=name, state=state, host="::", port=8000, pid=7, restarts=0)


def test_report_is_one_line_of_json() -> None:
    line = render_report(Report(entrypoint=RUNNING, instances=(instance(),)))
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "v": 1,
        "entrypoint": "running",
        "exit_code": None,
        "instances": [
            {
                "name": "a",
                "state": "ready",
                "host": "::",
                "port": 8000,
                "pid": 7,
                "restarts": 0,
            }
        ],
        "message": "",
    }


def test_report_of_very_many_instances_fits_into_a_line() -> None:
    names = (instance(f"instance-with-a-long-name-{number}") for number in range(3000))
    line = render_report(Report(instances=tuple(names)))
    assert len(line) <= LONGEST_LINE
    assert json.loads(line)["instances"][0]["name"] == "instance-with-a-long-name-0"


def test_instances_are_read_from_the_launchers_status() -> None:
    row = {"name": "a", "state": "ready", "address": "http://[::1]:8000", "pid": 7, "restarts": 2}
    found = read_instances({"instances": [row | {"gpus": "0"}]})
    assert found == (
        InstanceReport(name="a", state="ready", host="::1", port=8000, pid=7, restarts=2),
    )


def test_address_of_a_socket_has_no_port() -> None:
    assert split_address("unix:/run/a.sock") == ("", None)


def test_report_is_settled_only_when_no_instance_is_on_its_way() -> None:
    assert Report(entrypoint=RUNNING, instances=(instance(),)).is_settled()
    assert not Report(entrypoint=RUNNING, instances=(instance(state="starting"),)).is_settled()
    assert not Report().is_settled()
