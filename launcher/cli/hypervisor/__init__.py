"""The commands of `vllmd-hypervisor`, a module each."""
