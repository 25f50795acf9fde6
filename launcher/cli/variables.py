"""The environment variables that vllmd heeds, for the manual. Their names come from the code."""

from __future__ import annotations

from launcher.cli.bundle_arguments import SHA_VARIABLE
from launcher.cli.remote import SOCKET_VARIABLE
from launcher.cli.sources import OVERRIDES_VARIABLE
from launcher.cli.target import KEY_VARIABLE
from launcher.client.timeouts import VARIABLE as TIMEOUT_VARIABLE
from launcher.server import cluster_facts
from launcher.server.model import BUNDLE_VARIABLE, CONFIG_VARIABLE
from launcher.server.shutdown import GRACE_VARIABLE

# Name -> meaning. Those of `vllmd-hypervisor` and of KVBM are on pages of their own.
VARIABLES = {
    CONFIG_VARIABLE: "The TOML file. Without it, and without a command, there is nothing to run.",
    OVERRIDES_VARIABLE: "A JSON object that is merged over the file; `null` removes a key.",
    BUNDLE_VARIABLE: "An offline bundle that `vllmd run` installs into `pixi_project_dir` first.",
    SHA_VARIABLE: "The SHA-256 that the bundle has to have.",
    GRACE_VARIABLE: "Seconds between SIGTERM and SIGKILL that the container gets (`docker stop "
    "-t`): a server that may take longer to stop is warned of.",
    SOCKET_VARIABLE: "The control socket of the launcher that `vllmd status`, `logs`, `stop`, ... "
    "talk to; the one that is alive without it.",
    KEY_VARIABLE: "The key that `vllmd generate` and `batch` show to a server.",
    TIMEOUT_VARIABLE: "The timeout profile of `vllmd generate` and `batch`.",
    cluster_facts.RANK[
        0
    ]: "Which machine of the cluster this is, from 0, where `[cluster]` leaves it "
    "out; so for the next three.",
    cluster_facts.NODES[0]: "How many machines there are.",
    cluster_facts.LEADER[0]: "The name or address of the first.",
    cluster_facts.PORT[0]: "The port where they meet.",
    "XDG_RUNTIME_DIR": "The control socket is in its folder `vllmd`; else in `/run/vllmd`, else in "
    "`/tmp/vllmd-<uid>`.",
    "NOTIFY_SOCKET": "systemd's: it is told when the servers are ready.",
    "NO_COLOR": "No colours, also on a terminal.",
}
