"""PID 1: child processes, their supervision, logs and exit codes."""
