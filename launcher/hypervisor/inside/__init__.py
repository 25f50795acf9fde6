"""What runs inside a guest: mounts, network, seed disk, power button, the entrypoint, reports."""
