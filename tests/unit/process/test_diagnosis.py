"""What a failure was: the words of vLLM 0.32 and its libraries, and what is made of them."""

from __future__ import annotations

import pytest

from launcher.process.diagnosis import diagnose
from launcher.process.spec import Exited, Killed

ENGINE = "RuntimeError: Engine core initialization failed. See root cause above. Failed core: {}"
WORKER = "(Worker pid=66) ERROR 11-21 12:26:49 [multiproc_executor.py:953] "

# Lines as the real vLLM printed them (paths shortened), or as its source would.
WORDS = [
    ("vllm-port", f"{WORKER}ValueError: VLLM_PORT 'tcp://10.0.0.1:8000' appears to be a URI."),
    ("no-module", ("/usr/bin/python3: Error while finding module specification for "
     "'vllm.entrypoints.openai.api_server' (ModuleNotFoundError: No module named 'vllm')")),
    ("bad-flag", "api_server.py: error: unrecognized arguments: --no-such-flag"),
    ("bad-flag", "api_server.py: error: argument --tensor-parallel-size/-tp: bad"),
    ("port-taken", "OSError: [Errno 98] Address already in use"),
    ("driver-too-old", "RuntimeError: The NVIDIA driver on your system is too old (found 11040)."),
    ("no-gpu", "RuntimeError: No CUDA GPUs are available"),
    ("no-gpu", "RuntimeError: Failed to infer device type, please set the environment variable"),
    ("gpu-too-old", ("ValueError: Bfloat16 is only supported on GPUs with compute capability of "
     "at least 8.0. Your Tesla T4 GPU has compute capability 7.5.")),
    ("kv-cache", ("ValueError: No available memory for the cache blocks. Try increasing "
     "`gpu_memory_utilization` when initializing the engine")),
    ("kv-cache", ("ValueError: To serve at least one request with the model's max seq len (4096), "
     "(2.0 GiB KV cache is needed, which is larger than the available KV cache memory (1.0 GiB).")),
    ("host-memory", ("ValueError: Available memory on node 0 (9.69/13.71 GiB) on startup is less "
     "than desired CPU memory utilization (0.92, 12.61 GiB).")),
    ("gpu-memory", ("ValueError: Free memory on device cuda:0 (10.1/79.1 GiB) on startup is less "
     "than desired GPU memory utilization (0.92, 72.8 GiB). Decrease GPU memory utilization")),
    ("gpu-memory", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB."),
    ("shared-memory", "RuntimeError: unable to open shared memory object </torch_1> in read-write"),
    ("shared-memory", ("RuntimeError: Insufficient space in /dev/shm for shared-memory allocation: "
     "160 MiB required, 64 MiB free. Increase /dev/shm (e.g. --shm-size or --ipc=host).")),
    ("no-library", ("AttributeError: '_OpNamespace' '_C' object has no attribute "
     "'init_cpu_memory_env'")),
    ("no-library", "ImportError: libnuma.so.1: cannot open shared object file: No such file"),
    ("no-temporary-folder", ("FileNotFoundError: [Errno 2] No usable temporary directory found in "
     "['/tmp', '/var/tmp', '/usr/tmp', '/']")),
    ("nccl", "RuntimeError: NCCL error: unhandled system error (run with NCCL_DEBUG=INFO)"),
    ("disk-full", "OSError: [Errno 28] No space left on device: '/root/.cache/vllm/x'"),
    ("model-gated", "huggingface_hub.errors.GatedRepoError: 403 Client Error."),
    ("remote-code", ("RuntimeError: Failed to load the model config. If the model is a custom "
     "model not yet available, consider setting `trust_remote_code=True` in LLM or using the")),
    ("model-missing", "huggingface_hub.errors.HFValidationError: Repo id must be in the form"),
    ("model-missing", "  Value error, Invalid repository ID or local directory specified: '/m'."),
    ("model-offline", ("huggingface_hub.errors.LocalEntryNotFoundError: Cannot find an appropriate "
     "cached snapshot folder for the specified revision on the local disk")),
    ("model-offline", "OSError: We couldn't connect to 'https://huggingface.co' to load the files"),
    ("model-length", ("  Value error, User-specified max_model_len (99999) is greater than the "
     "derived max_model_len (max_position_embeddings=2048.0 or model_max_length=None)")),
    ("permission", "PermissionError: [Errno 13] Permission denied: '/root/.cache/huggingface'"),
    ("no-user", "KeyError: 'getpwuid(): uid not found: 1000680000'"),
    ("bad-value", "pydantic_core._pydantic_core.ValidationError: 1 validation error for A"),
    ("engine-died", ("(EngineCore pid=9) ERROR 11-21 12:26:49 [multiproc_executor.py:310] "
     "Worker proc VllmWorker-0 died unexpectedly (exit code: -9), shutting down executor.")),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "line"), WORDS)
def test_words_of_a_failure_tell_its_kind(kind: str, line: str) -> None:
    found = diagnose(Exited(code=1), f"INFO begin\n{line}\n{ENGINE}\n")
    assert (found.kind, found.line) == (kind, line.strip()[:300])
    assert found.what
    assert found.advice


def test_every_advice_is_an_action_in_the_style_of_messages() -> None:
    for _, line in WORDS:
        found = diagnose(Exited(code=1), line)
        assert found.what[0].islower() or found.what.startswith("VLLM_PORT")
        assert not found.what.endswith(".")
        assert not found.advice.endswith(".")


def test_cause_far_from_the_end_is_preferred_to_its_consequence() -> None:
    cause = "torch.OutOfMemoryError: CUDA out of memory."
    died = "ERROR [core_client.py:1] Engine core proc EngineCore died unexpectedly"
    assert (
        diagnose(Exited(code=1), "\n".join((cause, *["  File"] * 120, died))).kind == "gpu-memory"
    )


def test_harmless_noise_of_a_good_life_is_no_cause() -> None:
    noise = (
        "(APIServer pid=1) WARNING 11-21 [system_utils.py:255] OSError: [Errno 24] No space left\n"
        "UserWarning: resource_tracker: There appear to be 1 leaked shared_memory objects\n"
        "Triton is installed, but doesn't include CPU backend. Disabling Triton.\n"
    )
    assert not diagnose(Exited(code=0), noise).is_known()


def test_sigkill_while_the_kernel_killed_for_memory_is_its_doing() -> None:
    found = diagnose(Killed(signal=9), "", oom_kills=1)
    assert found.kind == "oom-killed"
    assert "killed a process" in found.what


def test_engine_that_the_kernel_killed_is_no_riddle() -> None:
    died = "ERROR Worker proc VllmWorker-0 died unexpectedly (exit code: -9)"
    assert diagnose(Exited(code=0), died, oom_kills=2).kind == "oom-killed"
    assert diagnose(Exited(code=0), died).kind == "engine-died"


def test_bad_flag_is_blamed_even_if_the_kernel_killed_another_for_memory() -> None:
    line = "api_server.py: error: unrecognized arguments: --x"
    assert diagnose(Exited(code=2), line, oom_kills=1).kind == "bad-flag"


@pytest.mark.parametrize(
    ("signal", "kind"), [(9, "killed"), (11, "crash"), (4, "crash"), (15, "unknown")]
)
def test_signal_without_words_tells_what_it_can(signal: int, kind: str) -> None:
    assert diagnose(Killed(signal=signal), "INFO all is well").kind == kind


def test_process_that_runs_and_does_not_answer_is_called_so() -> None:
    assert diagnose(None, "", reason="not healthy within 3 s").kind == "not-healthy"
