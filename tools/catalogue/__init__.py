"""Makes the catalogue of vLLM's options: `python -m tools.catalogue --help`."""
