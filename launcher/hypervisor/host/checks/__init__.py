"""The checks of `vllmd-hypervisor precheck`: each looks at one thing and says how to mend it."""
