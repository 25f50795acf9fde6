"""Configurations that the tests of the command line share, and its exit codes."""

from __future__ import annotations

OK, USAGE, UNAVAILABLE, CONFIG = 0, 64, 69, 78
TEXT = """\
[master]
python = "FOLDER/prefix/bin/python3"

[instance.control]
log_dir = "FOLDER/logs"

[instance.server]
max_model_len = 4096

[instance.chat.control]
gpu_ids = "0"

[instance.chat.server]
model = "org/chat"
served_model_name = ["chat", "a b"]
gpu_memory_utilization = 0.5
enforce_eager = false
api_key = "sesame"
extra_args = ["--seed", "1"]

[instance.embed.control]
gpu_ids = "0"
background = false

[instance.embed.server]
model = "org/embed"
port = 8001
host = "127.0.0.1"
gpu_memory_utilization = 0.3

[instance.embed.env]
HF_HUB_OFFLINE = 1

[instance.spare.control]
enabled = false
"""
WRONG = '[master]\npython = "FOLDER/prefix/bin/python3"\nenabel = true\n'
