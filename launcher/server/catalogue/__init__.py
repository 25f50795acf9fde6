"""vLLM's options, version by version: data taken from vLLM's own argument parser."""
