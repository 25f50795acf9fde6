"""QEMU as the program that runs a guest."""
