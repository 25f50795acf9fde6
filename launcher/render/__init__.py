"""The same configuration for another home: compose, quadlet, systemd, Kubernetes."""
