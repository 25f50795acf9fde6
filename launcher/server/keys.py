"""The keys of the launcher's own tables, as rows.

`MASTER_KEYS`, `CONTROL_KEYS` and `CLIENT_KEYS` are the tables `[master]`, `[instance.*.control]`
and `[client]`: reading, the reference in docs/ and the schema come from these rows.
"""

from __future__ import annotations

from launcher.config.reader import Key, boolean, integer, one_of, path_name, seconds, string
from launcher.config.timeout_profiles import PROFILES
from launcher.server.endpoints import read_listen, read_socket_path
from launcher.server.gpus import ALL_GPUS, read_gpu_ids
from launcher.server.presets import PRESETS

API_SERVER_MODULE = "vllm.entrypoints.openai.api_server"
START_MODES = ("auto", "fork", "cold")
PREFETCHES = ("auto", "always", "off")

MASTER_KEYS = (
    Key(
        name="enable",
        check=boolean,
        expected="boolean",
        default=True,
        doc="Global switch: false starts no instance at all.",
    ),
    Key(
        name="pixi_project_dir",
        check=path_name,
        expected="absolute path",
        default_words="no pixi",
        doc="Pixi project inside the container; vLLM is started by `pixi run` in it. It holds "
        "`pixi.toml`, `pixi.lock` and an installed environment under `.pixi/envs/`.",
    ),
    Key(
        name="pixi_environment",
        check=string,
        expected="string",
        default="default",
        doc="Name of the pixi environment.",
    ),
    Key(
        name="pixi_launch",
        check=one_of("run", "hook"),
        expected='"run" or "hook"',
        default="run",
        doc="How the environment is activated. run: `pixi run` stays the parent of the server. "
        "hook: `pixi shell-hook` is asked once, and the environment's own python is executed; "
        "without a pixi on PATH, `vllmd` activates the environment itself.",
    ),
    Key(
        name="api_server_module",
        check=string,
        expected="Python module",
        default=API_SERVER_MODULE,
        doc="Module that is run as `python -m MODULE`.",
    ),
    Key(
        name="python",
        check=string,
        expected="program or absolute path",
        default_words="the first on PATH that has vLLM",
        doc="Python interpreter that runs the module, where pixi is not used.",
    ),
    Key(
        name="start_mode",
        check=one_of(*START_MODES),
        expected='"auto", "fork" or "cold"',
        default="auto",
        doc="How servers start. fork: from a process that has imported vLLM once, in about a "
        "second. cold: each imports it. auto: fork where it is known to be right, which `plan` "
        "explains; see [warm-starts.md](warm-starts.md).",
    ),
    Key(
        name="warm_keep",
        check=boolean,
        expected="boolean",
        default=True,
        doc="Whether the process that servers are forked from stays when all are healthy, so that "
        "restarts are quick too. false: it ends then, and a restart imports vLLM again.",
    ),
    Key(
        name="compile_first",
        check=boolean,
        expected="boolean",
        default_words="true, but for vLLM's build for CPUs",
        doc="Of several servers that would compile the same graph, with nothing in vLLM's cache, "
        "one starts before the others, which read what it has compiled; see "
        "[warm-starts.md](warm-starts.md).",
    ),
    Key(
        name="prefetch",
        check=one_of(*PREFETCHES),
        expected='"auto", "always" or "off"',
        default="auto",
        doc="Whether the weights of models are read into memory (the page cache) while servers "
        "start, with the lowest priority and at most half of the free memory. auto: not from "
        "network file systems. always: from these too.",
    ),
    Key(
        name="unknown_flags",
        check=one_of("error", "warn"),
        expected='"error" or "warn"',
        default="error",
        doc="What an option is that the installed version of vLLM does not have: a mistake that "
        "forbids the start, or a warning, and the option is passed on.",
    ),
    Key(
        name="control_socket",
        check=read_socket_path,
        expected="absolute path",
        default_words="`vllmd/vllmd.sock` in `$XDG_RUNTIME_DIR` or `/run`",
        doc="UNIX socket on which the launcher takes commands (`vllmd status` and its like), mode "
        "0600. Commands find the usual one by themselves, another one by `--socket`.",
    ),
    Key(
        name="listen",
        check=read_listen,
        expected='"HOST:PORT"',
        default_words="off",
        doc="Address for the read-only pages `/healthz`, `/readyz`, `/metrics` and `/targets`, "
        'like `"127.0.0.1:9180"`. They need no key: think before you take another than loopback.',
    ),
)

CONTROL_KEYS = (
    Key(
        name="enabled",
        check=boolean,
        expected="boolean",
        default=True,
        doc="Whether to launch this instance.",
    ),
    Key(
        name="background",
        check=boolean,
        expected="boolean",
        default=True,
        doc="true: supervised, output to the log. false: also on stdout, and the container lives "
        "as long as this instance and exits with its code.",
    ),
    Key(
        name="log_dir",
        check=path_name,
        expected="absolute path",
        default="/tmp",  # noqa: S108  (the contract's default)
        doc="Base directory for logs; an instance writes to `vllm-server-<name>.log` in it.",
    ),
    Key(
        name="log_file",
        check=path_name,
        expected="absolute path",
        default_words="a file in `log_dir`",
        doc="Log file of this instance; overrides `log_dir`.",
    ),
    Key(
        name="log_max_mb",
        check=integer(0),
        expected="integer, 10^6 bytes",
        default=100,
        doc="Size at which the log is rotated; 0 means never.",
    ),
    Key(
        name="log_keep",
        check=integer(0, 100),
        expected="integer, 0 to 100",
        default=3,
        doc="How many rotated logs are kept, as `<log>.1` (the newest), `<log>.2`, ...",
    ),
    Key(
        name="gpu_ids",
        check=read_gpu_ids,
        expected='"all", "none", "0,1", an integer, or a list of integers',
        default=ALL_GPUS,
        default_words='"all"',
        doc="GPUs that the instance sees: all leaves `CUDA_VISIBLE_DEVICES` as it is, none sets "
        "it to nothing (CPU only), ids are set as given.",
    ),
    Key(
        name="preset",
        check=one_of(*PRESETS),
        expected=", ".join(f'"{name}"' for name in PRESETS),
        default_words="none",
        doc="A tuning: defaults for a few server options, below whatever the file sets itself.",
    ),
    Key(
        name="v1_multiprocessing",
        check=one_of("auto", "on", "off"),
        expected='"auto", "on" or "off"',
        default="auto",
        doc="Whether vLLM runs its engine in processes of its own. on: refuses to start where "
        "orphaned engines could not be ended; auto: off there, with a warning; off: never "
        "(`VLLM_ENABLE_V1_MULTIPROCESSING=0`).",
    ),
    Key(
        name="start_mode",
        check=one_of(*START_MODES),
        expected='"auto", "fork" or "cold"',
        default_words="as in `[master]`",
        doc="How this server starts; see `start_mode` of `[master]`.",
    ),
    Key(
        name="prefetch",
        check=one_of(*PREFETCHES),
        expected='"auto", "always" or "off"',
        default_words="as in `[master]`",
        doc="Whether this server's weights are read ahead; see `prefetch` of `[master]`.",
    ),
    Key(
        name="weight_cache",
        check=boolean,
        expected="boolean",
        default=False,
        doc="Keep the weights on the GPU while the server is restarted, in a process of their own "
        "(`vllm preload`; vLLM 0.31 and later, NVIDIA GPUs only; not tried on a GPU yet).",
    ),
    Key(
        name="restart",
        check=one_of("no", "on-failure", "always"),
        expected='"no", "on-failure" or "always"',
        default_words='`"on-failure"` in the background, `"no"` in the foreground',
        doc="Whether a server that failed is started again. An end that nobody asked for is a "
        "failure, with exit code 0 too. always: without the limit of `max_restarts`.",
    ),
    Key(
        name="max_restarts",
        check=integer(1),
        expected="integer, at least 1",
        default=5,
        doc="Restarts within `restart_window_s` after which a server has failed for good. The "
        "pause before them is 1 s, 2 s, 4 s, ... up to 60 s.",
    ),
    Key(
        name="restart_window_s",
        check=seconds,
        expected="number of seconds",
        default=3600.0,
        doc="How long a restart counts against `max_restarts`.",
    ),
    Key(
        name="health_interval_s",
        check=seconds,
        expected="number of seconds",
        default=30.0,
        doc="Time between two health probes of a healthy server.",
    ),
    Key(
        name="health_failures",
        check=integer(1),
        expected="integer, at least 1",
        default=3,
        doc="Probes in a row that may fail before a server counts as dead and is stopped (and "
        "started again, by `restart`). After the first failure they come every 5 s.",
    ),
    Key(
        name="health_timeout_s",
        check=seconds,
        expected="number of seconds",
        default=20.0,
        doc="How long a healthy server may take to answer a probe.",
    ),
    Key(
        name="probe",
        check=one_of("health", "generate"),
        expected='"health" or "generate"',
        default="health",
        doc="What a healthy server is asked. health: `/health`, which answers even if the engine "
        "hangs. generate: one token of the model, so that a hanging engine is found; one that is "
        "merely busy is not restarted, because its counters in `/metrics` move.",
    ),
    Key(
        name="stall_timeout_s",
        check=seconds,
        expected="number of seconds",
        default=0.0,
        default_words="nobody looks",
        doc="How long requests may be running without a token coming of them, as `/metrics` tells, "
        "before a server counts as dead.",
    ),
    Key(
        name="startup_timeout_s",
        check=seconds,
        expected="number of seconds",
        default=1800.0,
        doc="How long an instance may take until `/health` answers 200. Then it is stopped and "
        "counts as failed.",
    ),
    Key(
        name="stop_timeout_s",
        check=seconds,
        expected="number of seconds",
        default=30.0,
        doc="Grace between SIGTERM and SIGKILL to the whole process group.",
    ),
    Key(
        name="drain_s",
        check=integer(0),
        expected="integer, seconds",
        default=0,
        doc="How long a server that is stopped may finish the requests under way; 0 cuts them off. "
        "It becomes vLLM's `--shutdown-timeout`, and `stop_timeout_s` is at least 10 s more, "
        "unless it is set. The container needs a longer grace than either.",
    ),
)

CLIENT_KEYS = (
    Key(
        name="timeout_profile",
        check=one_of(*PROFILES),
        expected=", ".join(f'"{name}"' for name in PROFILES),
        default_words="by command",
        doc="How long a call of `vllmd generate` or `vllmd batch` may take, where neither the "
        "command line nor `VLLMD_TIMEOUT_PROFILE` says: 2 minutes, 30 minutes, 10 minutes, or an "
        "hour.",
    ),
)
