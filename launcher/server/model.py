"""What the user wants: the typed configuration (contract: the vLLM TOML configuration)."""

from __future__ import annotations

from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.config.layers import Tree
    from launcher.config.problems import Path, Problem, TomlValue
    from launcher.server.cluster import Cluster
    from launcher.server.gpus import GpuSelection

CONFIG_VARIABLE = "AUTO_INFER_VLLM_CONFIG"
BUNDLE_VARIABLE = "AUTO_INFER_VLLM_BUNDLE_PATH"

# Keys of `[instance]` that are not instances, and keys that an instance may hold.
SHARED_TABLES = ("control", "server")
INSTANCE_TABLES = ("control", "server", "env", "kvbm", "cluster")
TOP_LEVEL_TABLES = ("master", "instance", "kvbm", "client", "guest")


@record
class ClientConfig:
    """The table `[client]`; fields are `keys.CLIENT_KEYS`."""

    timeout_profile: str | None = None


@record
class MasterConfig:
    """The table `[master]`; fields are `keys.MASTER_KEYS`, and `[master.env]`."""

    enable: bool
    pixi_project_dir: str | None
    pixi_environment: str
    pixi_launch: str
    api_server_module: str
    python: str | None
    unknown_flags: str
    control_socket: str | None = None
    listen: tuple[str, int] | None = None
    start_mode: str = "auto"
    warm_keep: bool = True
    compile_first: bool | None = None  # None: where it is not known to take longer
    prefetch: str = "auto"
    env: tuple[EnvSetting, ...] = ()


@record
class ControlConfig:
    """`[instance.control]` overlaid by `[instance.<name>.control]`: `keys.CONTROL_KEYS`."""

    enabled: bool
    background: bool
    log_dir: str
    log_file: str | None
    log_max_mb: int
    log_keep: int
    gpu_ids: GpuSelection
    preset: str | None
    v1_multiprocessing: str
    start_mode: str | None
    prefetch: str | None
    weight_cache: bool
    restart: str | None
    max_restarts: int
    restart_window_s: float
    health_interval_s: float
    health_failures: int
    health_timeout_s: float
    probe: str
    stall_timeout_s: float
    startup_timeout_s: float
    stop_timeout_s: float
    drain_s: int


@record
class EnvSetting:
    """A variable that the configuration sets. The value may be `env:NAME` or `file:/path`."""

    name: str
    value: str
    path: Path

    def __repr__(self) -> str:
        """Show no value: it may be a secret."""
        return f"EnvSetting({self.name})"


@record
class ServerOption:
    """One option of a server, with the name in its TOML form (`max_model_len`) and its place.

    `preset` names the preset that set it; the place is then that of the key `preset`.
    """

    name: str
    value: TomlValue
    path: Path
    preset: str = ""

    def __repr__(self) -> str:
        """Show no value: it may be a secret."""
        return f"ServerOption({self.name})"


@record
class Instance:
    """One server: `[instance.server]` and `[instance.control]` overlaid by its own tables."""

    name: str
    control: ControlConfig
    # Where each control key was set; keys that nobody set are not in it.
    control_paths: dict[str, Path]
    options: tuple[ServerOption, ...]
    extra_args: tuple[str, ...] = ()
    extra_args_path: Path = ()
    env: tuple[EnvSetting, ...] = ()
    cluster: Cluster | None = None  # None: it is on this machine alone

    def path(self) -> Path:
        """Return the place of the instance's table."""
        return ("instance", self.name)

    def option(self, name: str) -> ServerOption | None:
        """Return the option of that name, if it is set."""
        return next((option for option in self.options if option.name == name), None)

    def control_path(self, key: str) -> Path:
        """Return where a control key was set, else the instance's table."""
        return self.control_paths.get(key, self.path())


@record
class LauncherConfig:
    """The whole configuration, the tree it was read from, and what was wrong with it."""

    master: MasterConfig
    instances: tuple[Instance, ...]
    tree: Tree
    client: ClientConfig = ClientConfig()
    problems: tuple[Problem, ...] = ()
