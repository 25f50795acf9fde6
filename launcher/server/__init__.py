"""The vLLM launcher: from a TOML tree to a plan of processes."""
