"""KVBM (KV block manager) configuration: typed, layered, validated, and handed to vLLM."""

from __future__ import annotations

from launcher.kvbm.loading import load

__all__ = ["load"]
