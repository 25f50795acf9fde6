"""Why a server failed: from how it ended and its last words to what it was and what to do. Pure.

Imported only when something has failed. The texts are those of vLLM 0.32 and of what it stands
on; each rule names where its text is written (paths below `vllm/` unless another package is
named). Rules stand from the particular to the general: an engine that dies of an exhausted GPU
ends its server with "engine core initialization failed" as well, and only the former helps.
"""

from __future__ import annotations

import re
import signal

from launcher.process.spec import Killed
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.process.spec import ExitStatus

UNKNOWN = "unknown"
LONGEST_EVIDENCE = 300  # characters shown of the line that gave it away


@record
class Diagnosis:
    """What a failure was: `kind` is a stable word, `advice` an action, `line` the evidence."""

    kind: str
    what: str
    advice: str
    line: str = ""

    def is_known(self) -> bool:
        """Tell whether there is more to say than that it failed."""
        return self.kind != UNKNOWN


@record
class Rule:
    """Words of a log, and what they mean."""

    kind: str
    pattern: str  # of a regular expression, looked for in one line
    what: str
    advice: str


_LESS_GPU = "lower gpu_memory_utilization or max_model_len, or stop what else uses the GPU"
RULES = (
    Rule(  # envs.py, get_vllm_port
        kind="vllm-port",
        pattern=r"VLLM_PORT '.*' (appears to be a URI|must be a valid integer)",
        what="VLLM_PORT is not a number: Kubernetes sets it for a Service that is called 'vllm'",
        advice="rename the Service, or set enableServiceLinks: false in the pod",
    ),
    Rule(  # CPython's runpy and import system
        kind="no-module",
        pattern=r"No module named '?[\w.]+",
        what="this Python lacks a module that is needed",
        advice="name the Python that has vLLM in master.python, or install vLLM in it",
    ),
    Rule(  # torch/_ops.py, where `import vllm._C` has failed with a warning only; glibc's dlopen
        kind="no-library",
        pattern=r"'_OpNamespace' '_C\w*' object has no attribute"
        r"|lib(?!cuda\.so)\w+\.so\S*: cannot open",
        what="the compiled part of vLLM could not be loaded",
        advice="look in the log for 'Failed to import': a library is missing (libnuma1 for the CPU "
        "build), or this vLLM was built for another PyTorch",
    ),
    Rule(  # CPython's tempfile; vllm/envs.py asks it for VLLM_RPC_BASE_PATH
        kind="no-temporary-folder",
        pattern=r"No usable temporary directory found",
        what="there is no folder for temporary files that it can write",
        advice="docker run --tmpfs /tmp, or set TMPDIR in [master.env]",
    ),
    Rule(  # argparse, through utils/argparse_utils.py
        kind="bad-flag",
        pattern=r": error: (unrecognized arguments|argument |the following arguments|ambiguous)",
        what="vLLM does not take one of its options",
        advice="correct it in [instance.*.server] or extra_args; 'vllmd check' finds most of them",
    ),
    Rule(  # CPython's OSError; uvicorn's and vLLM's sockets
        kind="port-taken",
        pattern=r"\[Errno 98\]|[Aa]ddress already in use|EADDRINUSE",
        what="its address is taken by another program",
        advice="give it another port, or stop the program that has it ('ss -ltnp' shows it)",
    ),
    Rule(  # torch/_C and torch/cuda/__init__.py
        kind="driver-too-old",
        pattern=r"driver on your system is too old|CUDA driver version is insufficient"
        r"|provided PTX was compiled with an unsupported toolchain|forward compatibility was att",
        what="the GPU's driver is too old for the CUDA that this vLLM was built with",
        advice="update the driver of the host, or take a vLLM that was built for an older CUDA",
    ),
    Rule(  # torch/cuda/__init__.py; config/device.py; CUDA's own error 100
        kind="no-gpu",
        pattern=r"No CUDA GPUs are available|Found no NVIDIA driver|no CUDA-capable device"
        r"|Failed to infer device type|Torch not compiled with CUDA|invalid device ordinal"
        r"|larger than the number of available GPUs|libcuda\.so\.1: cannot open",
        what="it sees no GPU, or fewer than it needs",
        advice="correct gpu_ids or tensor_parallel_size, and give the container its GPUs "
        "(docker run --gpus all)",
    ),
    Rule(  # platforms/cuda.py; csrc's CUDA error 209
        kind="gpu-too-old",
        pattern=r"only supported on GPUs with compute capability|no kernel image is available"
        r"|[Mm]inimum capability|does not support (bfloat16|fp8)",
        what="the GPU is too old for this data type or quantization",
        advice='set dtype = "half", or take a model in a format that the GPU can compute',
    ),
    Rule(  # v1/core/kv_cache_utils.py
        kind="kv-cache",
        pattern=r"No available memory for the cache blocks|larger than the available KV cache"
        r"|Cannot auto-fit max_model_len",
        what="what is left for the KV cache is too little for one request of max_model_len tokens",
        advice="lower max_model_len, or raise gpu_memory_utilization",
    ),
    Rule(  # v1/worker/cpu_worker.py
        kind="host-memory",
        pattern=r"Available memory on node \d+ .* less than desired CPU memory"
        r"|DefaultCPUAllocator: (can't|not enough)|Cannot allocate memory|^MemoryError",
        what="the machine has too little memory",
        advice="set a smaller VLLM_CPU_KVCACHE_SPACE (in GiB, in [master.env]) on a CPU, or give "
        "the container more memory",
    ),
    Rule(  # v1/worker/utils.py; v1/worker/gpu_model_runner.py; torch.OutOfMemoryError
        kind="gpu-memory",
        pattern=r"Free memory on device .* less than desired GPU memory|CUDA out of memory"
        r"|not enough GPU memory|OutOfMemoryError|CUDA error: out of memory|HIP out of memory"
        r"|CUBLAS_STATUS_ALLOC_FAILED",
        what="the GPU has too little free memory",
        advice=_LESS_GPU,
    ),
    Rule(  # PyTorch's shared memory, Python's shared_memory, NCCL's shm transport
        kind="shared-memory",
        pattern=r"unable to (open|allocate|write) .*shared memory|insufficient shared memory"
        r"|/dev/shm.*([Nn]o space left|size)|Error while creating shared memory segment"
        r"|[Bb]us error.*shm",
        what="the shared memory (/dev/shm) is too small",
        advice="give the container more of it: docker run --shm-size=8g, or an emptyDir with "
        "medium: Memory at /dev/shm",
    ),
    Rule(  # distributed/device_communicators/pynccl_wrapper.py; torch's ProcessGroupNCCL
        kind="nccl",
        pattern=r"NCCL error|ncclSystemError|ncclUnhandledCudaError|ncclInternalError"
        r"|ncclRemoteError|NCCL WARN|DistBackendError",
        what="the GPUs could not talk to each other (NCCL)",
        advice="set NCCL_DEBUG=INFO in [master.env] to see why; /dev/shm and the network "
        "interface are the usual causes",
    ),
    Rule(  # CPython's OSError
        kind="disk-full",
        pattern=r"\[Errno (28|122)\]|[Nn]o space left on device|Disk quota exceeded",
        what="a disk is full",
        advice="make room for the model, its caches (HF_HOME, VLLM_CACHE_ROOT) and /tmp",
    ),
    Rule(  # huggingface_hub/utils/_http.py; transformers/utils/hub.py
        kind="model-gated",
        pattern=r"GatedRepoError|gated repo|401 Client Error|403 Client Error"
        r"|[Aa]ccess to model .* is restricted|Invalid (user|username or password)",
        what="the hub gives this model only to those whom it knows",
        advice='ask for access on its page, and set hf_token = "env:HF_TOKEN" or "file:/path"',
    ),
    Rule(  # transformers_utils/config.py; tokenizers/hf.py; transformers/dynamic_module_utils.py
        kind="remote-code",
        pattern=r"trust_remote_code=True|`--trust-remote-code` flag|execute the (configuration|"
        r"tokenizer) file|contains custom code",
        what="the model brings code of its own, or is not one that this vLLM knows",
        advice="if you trust it, set trust_remote_code = true; else take a newer vLLM",
    ),
    Rule(  # huggingface_hub/errors.py; transformers_utils/config.py; default_loader.py
        kind="model-missing",
        pattern=r"HFValidationError|RepositoryNotFoundError|Invalid repository ID or local dir"
        r"|Cannot find any model weights|does not appear to have a file|404 Client Error"
        r"|No such file or directory: '.*(safetensors|config\.json|tokenizer)"
        r"|IncompleteSnapshotError|SafetensorError",
        what="the model's files are not there, or not all of them",
        advice="correct model: an absolute path that is mounted, or a name on the hub",
    ),
    Rule(  # huggingface_hub/errors.py; transformers/utils/hub.py; httpx, requests
        kind="model-offline",
        pattern=r"LocalEntryNotFoundError|OfflineModeIsEnabled|offline mode|HF_HUB_OFFLINE"
        r"|couldn't connect to 'https?://|Name or service not known|name resolution"
        r"|Network is unreachable|MaxRetryError",
        what="the model is not on this machine, and the hub cannot be reached",
        advice="mount the model and set its path in model, or unset HF_HUB_OFFLINE",
    ),
    Rule(  # config/model.py, _get_and_verify_max_len
        kind="model-length",
        pattern=r"User-specified max_model_len .* greater than the derived max_model_len",
        what="max_model_len is more than the model was made for",
        advice="lower max_model_len",
    ),
    Rule(  # CPython's OSError
        kind="permission",
        pattern=r"\[Errno (1|13|30)\]|Permission denied|Read-only file system",
        what="it may not read or write a file that it needs",
        advice="give the user of the container that path, or set HF_HOME and VLLM_CACHE_ROOT to "
        "a folder that it can write",
    ),
    Rule(  # torch._inductor's cache folder asks getpass.getuser()
        kind="no-user",
        pattern=r"getpwuid\(\): uid not found",
        what="its user id has no name, which a library needs",
        advice="set USER and HOME in [master.env], or add the user to /etc/passwd",
    ),
    Rule(  # pydantic, through config/*.py
        kind="bad-value",
        pattern=r"validation errors? for \w+",
        what="vLLM does not take a value of its configuration",
        advice="correct the option that the log names in [instance.*.server]",
    ),
    Rule(  # v1/executor/multiproc_executor.py; v1/engine/core_client.py, exceptions.py
        kind="engine-died",
        pattern=r"died unexpectedly|EngineDeadError|EngineCore encountered|Engine core proc .* died"
        r"|EngineCore encountered an issue",
        what="a process of its engine has died",
        advice="look in the log for what came before; the kernel's log (dmesg) shows GPU errors",
    ),
)
_PATTERNS = tuple(re.compile(rule.pattern) for rule in RULES)
_CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)
# The same words in what is no failure: an import that is tried, a limit that could not be raised.
_NOISE = re.compile(
    r" (INFO|DEBUG|WARNING) |(Future|Deprecation|User|Runtime)Warning|^Triton is |leaked ", re.ASCII
)


def diagnose(
    status: ExitStatus | None, output: str, *, oom_kills: int = 0, reason: str = ""
) -> Diagnosis:
    """Say what a failure was.

    `status` is how the first process ended (None: it runs still), `output` its last words,
    `oom_kills` how many processes the kernel has killed for memory since it was started, `reason`
    why it counts as failed where it did not end by itself.
    """
    lines = [line.rstrip() for line in output.splitlines()]
    telling = [line for line in lines if line and not _NOISE.search(line)]
    found = _find_rule(telling)
    engine_lost = found is not None and found.kind == "engine-died"
    if oom_kills and (engine_lost or status == Killed(signal=signal.SIGKILL)):
        return _out_of_memory(oom_kills)
    if found is not None:
        return found
    return _by_status(status, reason, lines)


def _find_rule(lines: list[str]) -> Diagnosis | None:
    """Return the first rule that some line fulfils, with the last line that does."""
    for rule, pattern in zip(RULES, _PATTERNS, strict=True):
        for line in reversed(lines):
            if pattern.search(line):
                evidence = line.strip()[:LONGEST_EVIDENCE]
                return Diagnosis(kind=rule.kind, what=rule.what, advice=rule.advice, line=evidence)
    return None


def _out_of_memory(count: int) -> Diagnosis:
    times = "a process" if count == 1 else f"{count} processes"
    return Diagnosis(
        kind="oom-killed",
        what=f"the machine ran out of memory, and the kernel killed {times}",
        advice="give the container more memory, or lower max_num_seqs, max_model_len or "
        "VLLM_CPU_KVCACHE_SPACE",
    )


def _by_status(status: ExitStatus | None, reason: str, lines: list[str]) -> Diagnosis:
    if isinstance(status, Killed) and status.signal in _CRASHES:
        return Diagnosis(
            kind="crash",
            what=f"the program crashed ({signal.Signals(status.signal).name})",
            advice="look in the log for what came before; an illegal instruction means that the "
            "processor is too old for this build",
        )
    if isinstance(status, Killed) and status.signal == signal.SIGKILL:
        return Diagnosis(
            kind="killed",
            what="somebody killed it, or the kernel did for lack of memory",
            advice="look in the kernel's log (dmesg) and at the container's memory limit",
        )
    if status is None and reason:
        return Diagnosis(
            kind="not-healthy",
            what="the process runs, but does not answer",
            advice="look in the log for what it did last; a model that takes longer to load needs "
            "a longer startup_timeout_s",
        )
    advice = "read the log" if lines else "run the command that 'vllmd plan' prints by hand"
    return Diagnosis(kind=UNKNOWN, what="nothing that is known by its words", advice=advice)
