"""Virtual machines that run `vllmd` from the same TOML file, and the host below them."""
