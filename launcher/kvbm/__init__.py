"""KVBM (KV block manager) configuration: typed, layered, validated, and handed to vLLM."""
