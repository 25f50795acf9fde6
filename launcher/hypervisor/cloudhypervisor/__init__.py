"""Cloud Hypervisor as the program that runs a guest."""
