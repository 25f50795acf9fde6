"""vllmd: one TOML file in, running and supervised vLLM servers out."""

__version__ = "0.1.0"
