"""What a home needs to know of a configuration, and what it must not get."""

from __future__ import annotations

import pytest

from launcher.render.overrides import for_container, for_pod, held_gpus
from launcher.render.workload import label
from tests.support.rendering import refusal_of, workload_of

TWO = """
[instance.server]
gpu_memory_utilization = 0.4
[instance.a.server]
model = "org/model"
port = 8000
[instance.a.control]
gpu_ids = "2,3"
[instance.b.server]
model = "org/model"
port = 8001
host = "127.0.0.1"
[instance.b.control]
gpu_ids = "3"
"""
ALONE = '[instance.a.server]\nmodel = "org/model"\n'


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Qwen2.5_7B", "qwen2-5-7b"), ("7b", "v7b"), ("a..b", "a-b"), ("x" * 80, "x" * 50)],
)
def test_label_is_what_dns_allows(name: str, expected: str) -> None:
    assert label(name) == expected


def test_gpus_are_numbered_anew_inside_one_container() -> None:
    workload = workload_of(TWO)
    assert held_gpus(workload) == ("2", "3")
    instances = for_container(workload)["instance"]
    assert instances == {
        "a": {"control": {"gpu_ids": "0,1"}},
        "b": {"control": {"gpu_ids": "1"}, "server": {"host": "0.0.0.0"}},  # noqa: S104
    }


def test_gpu_that_is_named_by_uuid_keeps_its_name() -> None:
    workload = workload_of(ALONE + '[instance.a.control]\ngpu_ids = "GPU-1a,GPU-2b"\n')
    assert for_container(workload) == {}


def test_pod_runs_one_instance_with_the_gpus_it_is_given() -> None:
    workload = workload_of(TWO)
    assert for_pod(workload, workload.servers[0]) == {
        "instance": {
            "b": {"control": {"enabled": False}},
            "a": {"control": {"background": False, "restart": "on-failure", "gpu_ids": "all"}},
        },
        "master": {"listen": "0.0.0.0:9180"},
    }


def test_pod_keeps_the_restart_policy_that_the_file_chose() -> None:
    workload = workload_of(ALONE + '[instance.a.control]\nrestart = "always"\n')
    assert for_pod(workload, workload.servers[0])["instance"] == {
        "a": {"control": {"background": False}}
    }


def test_pod_keeps_the_port_of_the_launchers_pages() -> None:
    workload = workload_of('[master]\nlisten = "127.0.0.1:9000"\n' + ALONE)
    assert for_pod(workload, workload.servers[0])["master"] == {"listen": "0.0.0.0:9000"}


def test_own_overrides_stay_below_those_of_the_home() -> None:
    own = '{"instance": {"a": {"control": {"gpu_ids": "5"}, "server": {"max_model_len": 64}}}}'
    workload = workload_of(ALONE, own)
    assert for_container(workload) == {
        "instance": {"a": {"control": {"gpu_ids": "0"}, "server": {"max_model_len": 64}}}
    }


def test_secrets_by_reference_are_found() -> None:
    workload = workload_of(
        '[master.env]\nHF_TOKEN = "env:HF_TOKEN"\n' + ALONE + 'api_key = "file:/run/secrets/key"\n'
    )
    assert workload.secret_variables == ("HF_TOKEN",)
    assert workload.secret_files == ("/run/secrets/key",)


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        (ALONE + 'api_key = "sk-1"\n', "vllm.toml:3:11:", "env:VLLM_API_KEY"),
        ('[master.env]\nHF_TOKEN = "hf_1"\n' + ALONE, "vllm.toml:2:12:", "env:HF_TOKEN"),
    ],
)
def test_secret_that_is_written_out_is_refused(text: str, place: str, hint: str) -> None:
    said = refusal_of(text)
    assert place in said
    assert "is written out" in said
    assert hint in said
    assert "sk-1" not in said.splitlines()[0]


def test_instances_that_dns_cannot_tell_apart_are_refused() -> None:
    second = '[instance."A".server]\nmodel = "org/model"\nport = 8001\n'
    assert "instances 'a' and 'A' are both 'a'" in refusal_of(ALONE + second)


def test_folders_of_models_adapters_and_keys_are_found_once() -> None:
    workload = workload_of(
        '[instance.a.server]\nmodel = "/models/base"\nenable_lora = true\n'
        'lora_modules = ["x=/models/lora/x", "y=/adapters/y"]\nchat_template = "/etc/t/chat.j2"\n'
    )
    assert workload.model_dirs == ("/adapters", "/etc/t", "/models")


@pytest.mark.parametrize(
    ("path", "mounted"),
    [
        ("/model", ("/model",)),
        ("/mnt/model/", ("/mnt/model",)),
        ("/etc/model", ("/etc/model",)),
        ("/models/a/b", ("/models/a",)),
        ("/cache/model", ()),
        ("/", ()),
    ],
)
def test_folder_above_a_model_is_mounted_unless_it_is_the_images_own(
    path: str, mounted: tuple[str, ...]
) -> None:
    assert workload_of(f'[instance.a.server]\nmodel = "{path}"\n').model_dirs == mounted


def test_models_in_tables_and_in_json_are_found() -> None:
    workload = workload_of(
        ALONE
        + 'enable_lora = true\nlora_modules = [\'{"name": "x", "path": "/adapters/x"}\']\n'
        + 'speculative_config = {model = "/drafts/y", num_speculative_tokens = 2}\n'
    )
    assert workload.model_dirs == ("/adapters", "/drafts")


def test_folders_that_are_written_to_are_found_wherever_they_are_said() -> None:
    workload = workload_of(
        '[master.env]\nHF_HOME = "/data/hf"\nTMPDIR = "/tmp/x"\n'
        '[kvbm.cache.disk]\nstorage_path = "/nvme/kv"\n'
        '[instance.a.server]\nmodel = "/data/models/x"\ndownload_dir = "/data/models"\n'
    )
    assert workload.written_dirs == ("/data/hf", "/data/models", "/nvme/kv")
    assert workload.model_dirs == ()


@pytest.mark.parametrize("path", ["/a:b/model", "/a\\nb/model"])
def test_path_that_cannot_be_mounted_is_refused(path: str) -> None:
    said = refusal_of(f'[instance.a.server]\nmodel = "{path}"\n')
    assert "cannot be mounted: a colon or a control character is in it" in said


def test_relative_path_is_refused_where_it_is_written() -> None:
    said = refusal_of('[instance.a.server]\nmodel = "./models/x"\n')
    assert "vllm.toml:2:9: './models/x' is relative to where the launcher runs" in said


def test_file_without_an_enabled_instance_is_refused() -> None:
    text = ALONE + "[instance.a.control]\nenabled = false\n"
    assert "no instance is enabled: there is nothing to render" in refusal_of(text)


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (("/run/a/key", "/run/b/key"), "would have the same name, 'key'"),
        (("/run/a/my key", "/run/b"), "'/run/a/my key' does not end in a name"),
    ],
)
def test_secret_files_that_no_home_can_tell_apart_are_refused(
    paths: tuple[str, str], said: str
) -> None:
    first = f'[master.env]\nHF_TOKEN = "file:{paths[0]}"\n'
    assert said in refusal_of(first + ALONE + f'api_key = "file:{paths[1]}"\n')


def test_gpus_keep_their_numbers_where_another_instance_has_all() -> None:
    other = '[instance.b.server]\nmodel = "org/b"\nport = 8001\ngpu_memory_utilization = 0.4\n'
    both = ALONE + "gpu_memory_utilization = 0.4\n" + other
    workload = workload_of(both + '[instance.b.control]\ngpu_ids = "3"\n')
    assert for_container(workload) == {}


@pytest.mark.parametrize("kind", ["compose", "quadlet"])
def test_gpus_by_number_and_by_name_in_one_container_are_refused(kind: str) -> None:
    other = '[instance.b.server]\nmodel = "org/b"\nport = 8001\n'
    gpus = '[instance.a.control]\ngpu_ids = "5"\n[instance.b.control]\ngpu_ids = "GPU-1a"\n'
    said = refusal_of(ALONE + other + gpus, kind=kind)
    assert "some GPUs are called by number, others by name" in said
    assert refusal_of(ALONE + other + gpus, kind="systemd") == ""


def test_server_beside_a_cluster_keeps_its_address_on_the_hosts_network() -> None:
    near = '[instance.b.server]\nmodel = "org/b"\nport = 8001\nhost = "127.0.0.1"\n'
    both = f"{ALONE}tensor_parallel_size = 2\n[instance.a.cluster]\nnodes = 2\n{near}"
    gpus = '[instance.a.control]\ngpu_ids = "0"\n[instance.b.control]\ngpu_ids = "1"\n'
    assert for_container(workload_of(both + gpus)) == {}


def test_folder_of_a_socket_can_be_written_to() -> None:
    workload = workload_of(ALONE + 'uds = "/srv/vllm/a.sock"\n')
    assert workload.written_dirs == ("/srv/vllm",)
    assert workload_of(ALONE + 'uds = "/run/a.sock"\n').written_dirs == ()


def test_log_folder_is_kept_unless_it_is_temporary() -> None:
    assert workload_of(ALONE).log_dirs == ()
    kept = workload_of(ALONE + '[instance.control]\nlog_dir = "/logs/vllm"\n')
    assert kept.log_dirs == ("/logs/vllm",)


def test_grace_is_longer_than_the_most_patient_instance() -> None:
    text = ALONE + "[instance.a.control]\nstop_timeout_s = 90\n"
    assert workload_of(text).grace_s() > 90


def test_grace_holds_for_a_server_and_for_its_weights_after_it() -> None:
    control = "stop_timeout_s = 90\nweight_cache = true\n"
    workload = workload_of(f"{ALONE}[instance.a.control]\n{control}")
    assert workload.grace_s() == 90 + 15 + 10 + 15
    assert workload.servers[0].stop_s == 90 + 15 + 10


def test_ranks_are_the_product_of_the_parallel_sizes() -> None:
    text = ALONE + "tensor_parallel_size = 4\npipeline_parallel_size = 2\n"
    server = workload_of(text).servers[0]
    assert server.gpu_count() == 8
    assert server.shm_bytes() == 16 << 30


def test_log_that_is_kept_goes_to_the_volume_of_a_container() -> None:
    workload = workload_of(ALONE + '[instance.control]\nlog_dir = "/var/log/vllm"\n')
    assert for_container(workload) == {
        "instance": {"a": {"control": {"log_file": "/logs/vllm-server-a.log"}}}
    }


def test_kubernetes_has_to_know_how_many_machines_there_are() -> None:
    text = "[instance.a.cluster]\n" + ALONE
    assert "set nodes in [cluster]" in refusal_of(text, kind="kubernetes")
    assert refusal_of(text, kind="systemd") == ""


@pytest.mark.parametrize(
    "text",
    [
        '[master.env]\nhttp_proxy = "http://bob:hunter2@proxy:3128"\n',
        '[instance.b.control]\nenabled = false\n[instance.b.env]\nHF_TOKEN = "hunter2"\n',
        '# api_key = "hunter2"\n',
    ],
)
def test_secret_elsewhere_in_the_file_is_refused(text: str) -> None:
    assert "holds a secret" in refusal_of(text + ALONE)


@pytest.mark.parametrize("line", ['# api_key = "env:KEY"\n', "# the token is in the vault\n"])
def test_comment_about_a_secret_is_none(line: str) -> None:
    assert refusal_of(line + ALONE) == ""
