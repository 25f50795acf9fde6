"""Tunings by name: defaults below everything that the user sets.

The numbers are those of the project's configuration guide ("Performance Tuning"). The guide's
memory-constrained example also names AWQ, which is a property of the model's files and not a
tuning: vLLM reads it from the model.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.config.problems import TomlValue

PRESETS: Mapping[str, Mapping[str, TomlValue]] = {
    "throughput": {
        "gpu_memory_utilization": 0.95,
        "max_num_batched_tokens": 8192,
        "max_num_seqs": 256,
    },
    "latency": {
        "gpu_memory_utilization": 0.8,
        "max_num_seqs": 1,
    },
    "low-memory": {
        "gpu_memory_utilization": 0.7,
        "max_model_len": 2048,
    },
}
