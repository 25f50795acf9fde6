"""A KV connector for vLLM that moves nothing and writes down what it was told.

Each construction appends one JSON object to the file named by NOOP_CONNECTOR_FILE:
{"role": "SCHEDULER", "extra_config": {...}}.
"""

# ruff: noqa: ARG002  (vLLM decides what its hooks are given)

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from vllm.distributed.kv_transfer.kv_connector.v1.base import (  # type: ignore[import-not-found]
    KVConnectorBase_V1,
    KVConnectorMetadata,
)

if TYPE_CHECKING:
    from vllm.config import VllmConfig  # type: ignore[import-not-found]
    from vllm.distributed.kv_transfer.kv_connector.v1.base import KVConnectorRole

VARIABLE = "NOOP_CONNECTOR_FILE"


class NoopConnector(KVConnectorBase_V1):  # type: ignore[misc]
    """Does nothing, in both roles."""

    def __init__(
        self, vllm_config: VllmConfig, role: KVConnectorRole, kv_cache_config: Any = None
    ) -> None:
        """Note what vLLM hands over."""
        super().__init__(vllm_config, role, kv_cache_config)
        extra = vllm_config.kv_transfer_config.kv_connector_extra_config
        with open(os.environ[VARIABLE], "a", encoding="utf-8") as file:
            file.write(json.dumps({"role": role.name, "extra_config": extra}) + "\n")

    # The scheduler's side.

    def get_num_new_matched_tokens(
        self, request: Any, num_computed_tokens: int
    ) -> tuple[int, bool]:
        """Know no block."""
        return 0, False

    def update_state_after_alloc(self, request: Any, blocks: Any, num_external_tokens: int) -> None:
        """Do nothing."""

    def build_connector_meta(self, scheduler_output: Any) -> KVConnectorMetadata:
        """Return nothing to do."""
        return KVConnectorMetadata()

    # The workers' side.

    def start_load_kv(self, forward_context: Any, **kwargs: Any) -> None:
        """Do nothing."""

    def wait_for_layer_load(self, layer_name: str) -> None:
        """Do nothing."""

    def save_kv_layer(
        self, layer_name: str, kv_layer: Any, attn_metadata: Any, **kwargs: Any
    ) -> None:
        """Do nothing."""

    def wait_for_save(self) -> None:
        """Do nothing."""
