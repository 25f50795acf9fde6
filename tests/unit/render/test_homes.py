"""Compose, quadlet, systemd and Kubernetes: the parts that a user would miss."""

from __future__ import annotations

import json
from typing import Any

import pytest

from launcher.render.compose import render_compose
from launcher.render.kubernetes import render_kubernetes
from launcher.render.model import Options
from launcher.render.quadlet import render_quadlet
from launcher.render.systemd import render_systemd
from tests.support.rendering import loaded, workload_of

ONE = '[instance.a.server]\nmodel = "org/model"\nport = 8000\n'
CPU = ONE + '[instance.a.control]\ngpu_ids = "none"\n'
SECRET = ONE + 'api_key = "env:KEY"\n[instance.a.env]\nHF_TOKEN = "file:/run/secrets/hf"\n'
LOOPBACK = ONE + 'host = "127.0.0.1"\n'


def _service(toml: str) -> dict[str, Any]:
    (document,) = loaded(render_compose(workload_of(toml))[0])
    service: dict[str, Any] = document["services"]["vllm"]
    return service


def _objects(toml: str, **options: Any) -> dict[str, dict[str, Any]]:
    files = render_kubernetes(workload_of(toml), Options(**options))
    return {document["kind"]: document for document in loaded(files[0])}


def _container(toml: str) -> dict[str, Any]:
    pod = _objects(toml)["Deployment"]["spec"]["template"]["spec"]
    container: dict[str, Any] = pod["containers"][0]
    return container


def _quadlet(toml: str) -> list[str]:
    return render_quadlet(workload_of(toml))[0].text.splitlines()


def _unit(toml: str) -> list[str]:
    return render_systemd(workload_of(toml), Options())[0].text.splitlines()


def test_compose_mounts_the_file_and_names_it() -> None:
    service = _service(ONE)
    assert service["environment"] == {
        "AUTO_INFER_VLLM_CONFIG": "/model-configs/vllm.toml",
        "VLLMD_CONTAINER_GRACE_S": "45",
    }
    assert service["configs"] == [{"source": "vllm", "target": "/model-configs/vllm.toml"}]
    assert "command" not in service


def test_compose_reserves_all_gpus_for_an_instance_that_takes_all() -> None:
    (device,) = _service(ONE)["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}


def test_cpu_server_reserves_no_gpu_anywhere() -> None:
    assert "deploy" not in _service(CPU)
    assert not any(line.startswith("AddDevice") for line in _quadlet(CPU))
    assert not _container(CPU)["resources"]


def test_compose_takes_secrets_from_the_caller_and_from_files() -> None:
    service = _service(SECRET)
    assert service["environment"]["KEY"].startswith("${KEY:?")
    assert service["secrets"] == [{"source": "hf", "target": "/run/secrets/hf"}]


def test_compose_publishes_only_where_the_file_listens() -> None:
    assert _service(ONE)["ports"] == ["8000:8000"]
    assert _service(LOOPBACK)["ports"] == ["127.0.0.1:8000:8000"]
    assert '"host": "0.0.0.0"' in _service(LOOPBACK)["environment"]["AUTO_INFER_VLLM_OVERRIDES"]


def test_compose_escapes_its_own_dollar_sign() -> None:
    workload = workload_of(ONE, '{"instance": {"a": {"server": {"chat_template": "$x"}}}}')
    assert "$$x" in render_compose(workload)[0].text


def test_server_on_a_socket_publishes_nothing() -> None:
    text = '[instance.a.server]\nmodel = "org/model"\nuds = "/run/a.sock"\n'
    assert "ports" not in _service(text)
    objects = _objects(text)
    assert "Service" not in objects
    probe = objects["Deployment"]["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]
    assert probe["httpGet"] == {"path": "/readyz", "port": "launcher"}


def test_quadlet_names_gpus_as_cdi_does() -> None:
    text = ONE + '[instance.a.control]\ngpu_ids = "1,3"\n'
    devices = [line for line in _quadlet(text) if line.startswith("AddDevice")]
    assert devices == ["AddDevice=nvidia.com/gpu=1", "AddDevice=nvidia.com/gpu=3"]
    assert "AddDevice=nvidia.com/gpu=all" in _quadlet(ONE)


def test_quadlet_takes_secrets_of_podman() -> None:
    lines = _quadlet(SECRET)
    assert "Secret=KEY,type=env,target=KEY" in lines
    assert "Secret=hf,type=mount,target=/run/secrets/hf,mode=0444" in lines


def test_unit_gives_overrides_as_one_quoted_word() -> None:
    workload = workload_of(ONE, '{"instance": {"a": {"server": {"max_model_len": 64}}}}')
    text = render_systemd(workload, Options())[0].text
    assert (
        'Environment="AUTO_INFER_VLLM_OVERRIDES='
        '{\\"instance\\": {\\"a\\": {\\"server\\": {\\"max_model_len\\": 64}}}}"' in text
    )


def test_unit_keeps_the_address_of_the_file() -> None:
    assert not any("OVERRIDES" in line for line in _unit(LOOPBACK))


def test_unit_reads_secrets_from_a_file_of_root() -> None:
    assert "EnvironmentFile=/etc/vllmd/vllm.env" in _unit(SECRET)


@pytest.mark.parametrize("render", [_quadlet, _unit])
def test_units_do_not_restart_on_a_wrong_configuration(render: Any) -> None:
    assert any(line.startswith("RestartPreventExitStatus") for line in render(ONE))


def test_pod_asks_for_as_many_gpus_as_the_server_uses() -> None:
    text = ONE + 'tensor_parallel_size = 2\n[instance.a.control]\ngpu_ids = "4,5"\n'
    assert _container(text)["resources"] == {"limits": {"nvidia.com/gpu": 2}}


def test_pod_gets_secrets_by_reference() -> None:
    container = _container(SECRET)
    reference = {"secretKeyRef": {"name": "vllm-secrets", "key": "KEY"}}
    assert {"name": "KEY", "valueFrom": reference} in container["env"]
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert mounts["/run/secrets/hf"]["subPath"] == "hf"


def test_startup_probe_is_as_patient_as_the_file() -> None:
    text = ONE + "[instance.a.control]\nstartup_timeout_s = 3605\n"
    probe = _container(text)["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 3605


def test_pod_with_another_file_is_another_pod() -> None:
    first = _objects(ONE)["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    second = _objects(ONE + "\n")["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert first != second


def test_namespace_and_monitor_are_added_when_asked_for() -> None:
    objects = _objects(ONE, namespace="inference", service_monitor=True)
    assert {each["metadata"]["namespace"] for each in objects.values()} == {"inference"}
    ports = [each["port"] for each in objects["ServiceMonitor"]["spec"]["endpoints"]]
    assert ports == ["http", "launcher"]
    assert "ServiceMonitor" not in _objects(ONE)


def test_tls_server_is_probed_over_tls() -> None:
    text = ONE + 'ssl_keyfile = "/tls/key.pem"\nssl_certfile = "/tls/cert.pem"\n'
    container = _container(text)
    assert container["startupProbe"]["httpGet"]["scheme"] == "HTTPS"
    assert {"name": "models", "mountPath": "/tls", "readOnly": True} in container["volumeMounts"]


DOLLARS = "$HOME $$x $(USER) ${A} %h"


def _with_dollars() -> Any:
    own = {"instance": {"a": {"server": {"chat_template": DOLLARS}}}}
    return workload_of(ONE, json.dumps(own))


def test_pod_sees_a_dollar_sign_as_it_was_written() -> None:
    (deployment,) = (
        each
        for each in loaded(render_kubernetes(_with_dollars(), Options())[0])
        if each["kind"] == "Deployment"
    )
    env = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    # The kubelet makes one of two.
    assert "$$HOME $$$$x $$(USER) $${A} %h" in env[1]["value"]


def test_quadlet_sees_a_dollar_sign_as_it_was_written() -> None:
    # systemd makes one of two, of dollars as of per cents.
    text = render_quadlet(_with_dollars())[0].text
    assert "$$HOME $$$$x $$(USER) $${A} %%h" in text


def test_odd_folder_of_models_is_mounted_as_it_is_called() -> None:
    text = ONE.replace("org/model", "/m/a $b %c/model")
    (_, bind) = _service(text)["volumes"]
    assert (bind["source"], bind["read_only"]) == ("/m/a $$b %c", True)
    assert "Volume=/m/a $$b %%c:/m/a $$b %%c:ro" in _quadlet(text)


def test_compose_makes_no_folder_that_is_missing() -> None:
    (_, bind) = _service(ONE.replace("org/model", "/models/x"))["volumes"]
    assert bind["bind"] == {"create_host_path": False}


def test_compilers_may_run_what_they_have_written() -> None:
    assert "/tmp:exec,mode=1777" in _service(ONE)["tmpfs"]  # noqa: S108  (a container's)


def test_no_container_runs_as_root() -> None:
    assert _service(ONE)["user"] == "1000:1000"
    assert {"User=1000", "Group=1000"} <= set(_quadlet(ONE))


def test_folder_that_the_file_writes_to_can_be_written_to() -> None:
    text = ONE + 'download_dir = "/data/models"\n'
    (_, bind) = _service(text)["volumes"]
    assert (bind["target"], "read_only" in bind) == ("/data/models", False)
    assert "Volume=/data/models:/data/models" in _quadlet(text)
    assert "ReadWritePaths=-/data/models" in _unit(text)
    mount = {"name": "cache", "mountPath": "/data/models", "subPath": "data/models"}
    assert mount in _container(text)["volumeMounts"]


def test_launcher_is_told_how_long_it_is_given() -> None:
    text = ONE + "[instance.a.control]\nstop_timeout_s = 90\n"
    assert _service(text)["environment"]["VLLMD_CONTAINER_GRACE_S"] == "105"
    assert "Environment=VLLMD_CONTAINER_GRACE_S=105" in _quadlet(text)
    assert "Environment=VLLMD_CONTAINER_GRACE_S=105" in _unit(text)
    assert {"name": "VLLMD_CONTAINER_GRACE_S", "value": "105"} in _container(text)["env"]


def test_low_port_is_granted_without_root() -> None:
    text = ONE.replace("8000", "443")
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in _unit(text)
    assert "CapabilityBoundingSet=CAP_NET_BIND_SERVICE" in _unit(text)
    assert "Sysctl=net.ipv4.ip_unprivileged_port_start=0" in _quadlet(text)
    pod = _objects(text)["Deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["sysctls"][0]["value"] == "0"
    assert "CapabilityBoundingSet=" in _unit(ONE)


def test_file_beside_the_configuration_is_mounted_into_the_same_folder() -> None:
    text = ONE + 'chat_template = "/model-configs/chat.jinja"\n'
    paths = [mount["mountPath"] for mount in _container(text)["volumeMounts"]]
    assert {"/model-configs/vllm.toml", "/model-configs/chat.jinja"} <= set(paths)
    assert "/model-configs" not in paths


def test_names_that_are_cut_stay_different() -> None:
    servers = "".join(
        f'[instance.{name}.server]\nmodel = "org/{name}"\nport = 80{number}\n'
        for number, name in enumerate(
            ("a-model-of-a-certain-length-a", "a-model-of-a-certain-length-b"), 10
        )
    )
    files = render_kubernetes(workload_of(servers, project="a" * 40), Options())
    names = [each["metadata"]["name"] for each in loaded(files[0]) if each["kind"] == "Service"]
    assert len(set(names)) == 2
    assert all(len(name) <= 52 for name in names)  # a StatefulSet's pods have labels of 11 more


def test_pages_of_the_launcher_do_not_take_the_port_of_a_server() -> None:
    ports = [each["containerPort"] for each in _container(ONE.replace("8000", "9180"))["ports"]]
    assert ports == [9180, 9181]


def test_command_for_the_secret_names_the_namespace() -> None:
    text = render_kubernetes(workload_of(SECRET), Options(namespace="inference"))[0].text
    assert "kubectl create secret generic --namespace inference vllm-secrets" in text


SHARED = """
[instance.server]
gpu_memory_utilization = 0.4
[instance.control]
gpu_ids = "0"
startup_timeout_s = 600
[instance.a.server]
model = "org/a"
port = 8000
[instance.b.server]
model = "org/b"
port = 8001
"""


def test_servers_that_wait_for_each_other_are_given_the_time_of_both() -> None:
    assert "TimeoutStartSec=1260" in _unit(SHARED)
    assert "TimeoutStartSec=1260" in _quadlet(SHARED)
    assert _service(SHARED)["healthcheck"]["start_period"] == "1260s"


@pytest.mark.parametrize("render", [_quadlet, _unit])
def test_variables_that_the_file_asks_each_machine_for_are_passed_on(render: Any) -> None:
    text = CLUSTER.replace("nodes = 2", 'nodes = 2\nrank = "env:MY_RANK"\nleader = "10.0.0.1"')
    assert "# What each machine says of itself: MY_RANK." in render(text)
    assert _service(text)["environment"]["MY_RANK"].startswith("${MY_RANK:?")


CLUSTER = """
[instance.a.cluster]
nodes = 2
[instance.a.server]
model = "org/model"
port = 8000
tensor_parallel_size = 4
pipeline_parallel_size = 2
"""
# The rules of leaderworkerset.x-k8s.io/v1, from its API reference.
SET_FIELDS = {"replicas", "leaderWorkerTemplate", "rolloutStrategy", "startupPolicy",
              "networkConfig"}  # fmt: skip
TEMPLATE_FIELDS = {"leaderTemplate", "workerTemplate", "size", "restartPolicy", "subGroupPolicy",
                   "volumeClaimTemplates", "persistentVolumeClaimRetentionPolicy"}  # fmt: skip
RESTART_POLICIES = {"RecreateGroupOnPodRestart", "RecreateGroupAfterStart", "None"}


def test_instance_that_spans_machines_is_a_leaderworkerset() -> None:
    objects = _objects(CLUSTER)
    assert "Deployment" not in objects
    group = objects["LeaderWorkerSet"]
    assert group["apiVersion"] == "leaderworkerset.x-k8s.io/v1"
    assert group["spec"].keys() <= SET_FIELDS
    template = group["spec"]["leaderWorkerTemplate"]
    assert template.keys() <= TEMPLATE_FIELDS
    assert template["size"] == 2
    assert template["restartPolicy"] in RESTART_POLICIES
    assert objects["Service"]["spec"]["selector"]["leaderworkerset.sigs.k8s.io/worker-index"] == "0"


def test_service_of_a_set_leaves_the_sets_name_to_its_controller() -> None:
    """The controller makes a headless Service by that name unless there is one: DNS of the pods."""
    other = '[instance.a-leader.server]\nmodel = "org/other"\nport = 8001\n'
    for text in (CLUSTER, CLUSTER + other):
        documents = loaded(render_kubernetes(workload_of(text), Options())[0])
        names = [each["metadata"]["name"] for each in documents if each["kind"] == "Service"]
        sets = [each["metadata"]["name"] for each in documents if "Leader" in each["kind"]]
        assert sets == ["vllm-a"]
        assert len({*names, *sets}) == len(names) + 1


def test_name_of_a_set_leaves_room_for_what_its_controller_adds() -> None:
    """Worker pods have the label `<set>-<group>-<hash of 10>`, of 63 letters at most."""
    files = render_kubernetes(workload_of(CLUSTER, project="a" * 60), Options())
    (name,) = (each["metadata"]["name"] for each in loaded(files[0]) if "Leader" in each["kind"])
    assert len(f"{name}-999-0123456789") <= 63


def test_each_machine_asks_for_its_part_of_the_gpus() -> None:
    template = _objects(CLUSTER)["LeaderWorkerSet"]["spec"]["leaderWorkerTemplate"]
    for name in ("leaderTemplate", "workerTemplate"):
        container = template[name]["spec"]["containers"][0]
        assert container["resources"] == {"limits": {"nvidia.com/gpu": 4}}


def test_worker_is_not_asked_for_requests() -> None:
    template = _objects(CLUSTER)["LeaderWorkerSet"]["spec"]["leaderWorkerTemplate"]
    worker = template["workerTemplate"]["spec"]["containers"][0]
    leader = template["leaderTemplate"]["spec"]["containers"][0]
    assert worker["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "launcher"}
    assert leader["readinessProbe"]["httpGet"] == {"path": "/health", "port": "http"}


def test_place_of_a_machine_that_the_file_names_is_left_to_the_controller() -> None:
    named = CLUSTER.replace("nodes = 2", 'nodes = 2\nrank = 0\nleader = "10.0.0.1"')
    text = render_kubernetes(workload_of(named), Options())[0].text
    assert '"cluster": {"rank": null, "leader": null}' in text


def test_machines_of_a_cluster_say_their_own_place() -> None:
    service = _service(CLUSTER)
    assert service["network_mode"] == "host"
    assert "ports" not in service
    assert service["environment"]["VLLMD_CLUSTER_RANK"].startswith("${VLLMD_CLUSTER_RANK:?")
    assert "Network=host" in _quadlet(CLUSTER)
    assert "EnvironmentFile=/etc/vllmd/vllm-cluster.env" in _unit(CLUSTER)
