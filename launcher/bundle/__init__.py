"""The offline bundle: a tar with a conda channel becomes a pixi environment, without a network."""
