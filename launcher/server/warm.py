"""`start_mode`: whether a server is forked from a process that has imported vLLM, or starts cold.

Pure. Which modules to import, and which variables may differ between servers of one fork server,
is known by version: `TESTED` are those that the suite in tests/vllm has run with.
"""

from __future__ import annotations

from launcher.process.spec import Warm
from launcher.record import record
from launcher.server.facts import is_vllm_module
from launcher.server.request import served_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.config.reader import Problems
    from launcher.server.facts import Facts
    from launcher.server.model import Instance, MasterConfig

KEY = "start_mode"
TESTED = ("0.32",)
CPU = "-cpu", "+cpu"  # of a distribution's name, of a version

# What the server, the engine and the workers import in vLLM 0.32 on the CPU, but for the module
# that is run: importing that one would run it twice. The launcher imports those that there are.
MODULES = (
    "vllm.entrypoints.launchers.api_server.entry",
    "vllm.entrypoints.launchers.cli_args",
    "vllm.v1.engine.async_llm",
    "vllm.v1.engine.core",
    "vllm.v1.engine.core_client",
    "vllm.v1.executor.multiproc_executor",
    "vllm.v1.executor.uniproc_executor",
    "vllm.v1.core.sched.scheduler",
    "vllm.v1.core.sched.async_scheduler",
    "vllm.v1.structured_output",
    "vllm.model_executor.model_loader",
    "vllm.model_executor.models.registry",
    "uvloop",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.http.h11_impl",
    "uvicorn.protocols.websockets.auto",
    "uvicorn.lifespan.on",
    "vllm.entrypoints.launchers.render.entry",
    "vllm.entrypoints.serve.instrumentator.metrics",
    "vllm.entrypoints.serve.instrumentator.offline_docs",
    "vllm.entrypoints.serve.tokenize.api_router",
    "vllm.entrypoints.serve.lora.api_router",
    "vllm.entrypoints.serve.profile.api_router",
    "vllm.entrypoints.serve.elastic_ep.api_router",
    "vllm.entrypoints.openai.models.api_router",
    "vllm.entrypoints.openai.chat_completion.api_router",
    "vllm.entrypoints.openai.completion.api_router",
    "vllm.entrypoints.openai.responses.api_router",
    "vllm.entrypoints.generate.api_router",
    "vllm.entrypoints.generate.structured_decisions.api_router",
    "vllm.entrypoints.generate.generative_scoring.api_router",
    "vllm.entrypoints.anthropic.api_router",
    "vllm.entrypoints.cohere.api_router",
    "vllm.entrypoints.scale_out.render.api_router",
    "vllm.entrypoints.scale_out.derender.api_router",
    "vllm.entrypoints.scale_out.token_in_token_out.api_router",
    "vllm.renderers.hf",
    "vllm.transformers_utils.chat_templates.registry",
    "vllm.distributed.elastic_ep.elastic_execute",
    "vllm.model_executor.layers.quantization.online.base",
    "model_hosting_container_standards.sagemaker",
    "uvicorn.protocols.http.auto",
)
CPU_MODULES = (
    "vllm.v1.worker.cpu_worker",
    "vllm.v1.worker.cpu_model_runner",
    "vllm.v1.attention.backends.cpu_attn",
    "vllm.utils.cpu_triton_utils",
)
CUDA_MODULES = ("vllm.v1.worker.gpu_worker", "vllm.v1.worker.gpu_model_runner")

# Read by nothing that the import of vLLM 0.32 runs (tests/vllm/test_warm.py watches it). Servers
# that differ in any other variable have fork servers of their own.
LATE = (
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "VLLM_API_KEY",
    "VLLM_CPU_KVCACHE_SPACE",
    "VLLM_CPU_OMP_THREADS_BIND",
    "VLLM_ENABLE_V1_MULTIPROCESSING",
    "VLLM_HOST_IP",
    "VLLM_PORT",
    "VLLMD_INSTANCE",
)
# The import only asks whether it is set to nothing (triton_utils/importing.py).
SWITCHES = ("CUDA_VISIBLE_DEVICES",)


@record
class StartMode:
    """How an instance starts, "fork" or "cold", and why."""

    mode: str
    reason: str
    warm: Warm | None = None


def plan_start(
    instance: Instance, master: MasterConfig, facts: Facts, problems: Problems
) -> StartMode:
    """Choose how an instance starts; a wish that cannot be granted is a problem."""
    wish = instance.control.start_mode or master.start_mode
    if wish == "cold":
        return StartMode(mode="cold", reason="as configured")
    obstacle, hint = _find_obstacle(instance, master, facts)
    if wish == "fork":
        if obstacle:
            path = instance.control_paths.get(KEY, ("master", KEY))
            problems.add(path, f"'{KEY}' is \"fork\", but {obstacle}", hint)
            return StartMode(mode="cold", reason=obstacle)
        return _fork("as configured", instance, master, facts)
    doubt = obstacle or _find_doubt(facts)
    if doubt:
        return StartMode(mode="cold", reason=doubt)
    return _fork(f"vLLM {facts.vllm_version} on the CPU", instance, master, facts)


def _find_obstacle(instance: Instance, master: MasterConfig, facts: Facts) -> tuple[str, str]:
    """Say why no server can be forked here, and what to do about it; both empty if it can."""
    if instance.cluster is not None:
        return "a server on several machines starts cold", f'write {KEY} = "cold" for it'
    if facts.pixi is not None and master.pixi_launch != "hook":
        return "'pixi run' starts each server itself", 'write pixi_launch = "hook" in [master]'
    if not facts.adopts_orphans:
        reason = "a forked server could not become a child of the launcher on this machine"
        return reason, 'run vllmd on Linux with /proc mounted, or write "auto"'
    return "", ""


def _find_doubt(facts: Facts) -> str:
    """Say why it is not known that a forked server is as good as a cold one; empty if it is."""
    if facts.elsewhere:
        return "decided on the machine that runs it"
    if not is_vllm_module(facts.module):
        return f"nothing is known of '{facts.module}'"
    version = facts.vllm_version or "unknown"
    if not _is_tested(version):
        return f"not tested with vLLM {version}, only with {', '.join(TESTED)}"
    if not is_cpu_build(facts) or facts.accelerators:
        return f'not tested on GPUs; write {KEY} = "fork" to use it'
    return ""


def _is_tested(version: str) -> bool:
    return version.partition("+")[0].rpartition(".")[0] in TESTED


def is_cpu_build(facts: Facts) -> bool:
    """Tell whether it is vLLM's build for CPUs."""
    distribution = facts.pixi.distribution if facts.pixi else facts.python.distribution
    return distribution.endswith(CPU[0]) or (facts.vllm_version or "").endswith(CPU[1])


def _fork(reason: str, instance: Instance, master: MasterConfig, facts: Facts) -> StartMode:
    is_vllm = is_vllm_module(facts.module)
    platform = CPU_MODULES if is_cpu_build(facts) else CUDA_MODULES
    site = facts.pixi.site if facts.pixi else facts.python.site
    warm = Warm(
        modules=(*MODULES, *platform) if is_vllm else (),
        site=f"{site}/vllm" if is_vllm and site else "",
        late=LATE,
        switches=SWITCHES,
        workers=is_vllm and _is_tested(facts.vllm_version or ""),
        keep=master.warm_keep,
        log_dir=instance.control.log_dir.rstrip("/"),
        model=served_name(instance),
    )
    return StartMode(mode="fork", reason=reason, warm=warm)
