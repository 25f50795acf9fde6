"""The pixi package manager: what it can do, and what it says of an environment."""
