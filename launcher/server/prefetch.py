"""`prefetch`: whose weights are read into the page cache while servers start, and whose are not.

Pure: what is on the disk is looked at when they are read (`launcher/warm/prefetch.py`). What vLLM
reads of a model, by its load format: vllm/model_executor/model_loader/default_loader.py (0.32).
"""

from __future__ import annotations

from launcher.process.spec import Prefetch
from launcher.record import record
from launcher.server.address import effective
from launcher.server.facts import is_vllm_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.process.spec import Variable
    from launcher.server.facts import Facts
    from launcher.server.model import Instance, MasterConfig

SAFETENSORS = ("*.safetensors",)
MISTRAL = ("consolidated*.safetensors",)
TORCH = ("*.pt",)
PATTERNS = {
    "auto": (*MISTRAL, *SAFETENSORS, "*.bin", *TORCH),
    "bitsandbytes": (*SAFETENSORS, "*.bin", *TORCH),
    "gguf": ("*.gguf",),
    "hf": (*SAFETENSORS, "*.bin", *TORCH),
    "mistral": MISTRAL,
    "pt": TORCH,
    "safetensors": SAFETENSORS,
    "sharded_state": SAFETENSORS,
}
MODELSCOPE = "VLLM_USE_MODELSCOPE"
FALSE = ("", "0", "false")


@record
class ReadAhead:
    """What is read for an instance, or why nothing is."""

    order: Prefetch | None = None
    reason: str = ""


def plan_prefetch(
    instance: Instance, master: MasterConfig, facts: Facts, env: tuple[Variable, ...]
) -> ReadAhead:
    """Plan what is read for an instance while it starts; `env` is what its server is given."""
    wish = instance.control.prefetch or master.prefetch
    if wish == "off":
        return ReadAhead(reason="as configured")
    if not is_vllm_module(facts.module):
        return ReadAhead(reason=f"nothing is known of '{facts.module}'")
    environ = {**facts.environ, **{each.name: each.value for each in env}}
    model, load_format = _word(instance, "model"), _word(instance, "load_format") or "auto"
    obstacle = _find_obstacle(model, load_format, environ)
    if obstacle:
        return ReadAhead(reason=obstacle)
    return ReadAhead(
        order=Prefetch(
            name=instance.name,
            model=model,
            revision=_word(instance, "revision"),
            hub=_word(instance, "download_dir") or find_hub(environ),
            patterns=PATTERNS[load_format],
            network=wish == "always",
        )
    )


def _find_obstacle(model: str, load_format: str, environ: Mapping[str, str]) -> str:
    """Say why there is nothing to read; empty if there is."""
    if not model:
        return "no model is named"
    if "://" in model:
        return "the model is not on a file system"
    if load_format not in PATTERNS:
        return f"load format '{load_format}'"
    if environ.get(MODELSCOPE, "").lower() not in FALSE and not model.startswith("/"):
        return "the model is ModelScope's"
    return ""


def find_hub(environ: Mapping[str, str]) -> str:
    """Return the folder where huggingface_hub keeps what it fetches; empty where nobody can tell.

    huggingface_hub/constants.py: HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME, XDG_CACHE_HOME.
    """
    home = environ.get("HOME", "")
    cache = environ.get("XDG_CACHE_HOME") or (home and f"{home}/.cache")
    hugging = environ.get("HF_HOME") or (cache and f"{cache}/huggingface")
    named = environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE")
    folder = named or (hugging and f"{hugging}/hub")
    return home + folder[1:] if folder.startswith("~/") and home else folder


def _word(instance: Instance, name: str) -> str:
    value = effective(instance, name)
    return value if isinstance(value, str) else ""
