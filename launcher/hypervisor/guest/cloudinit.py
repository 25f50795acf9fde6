"""What a seed disk says, in cloud-init's own words: user-data, meta-data, network-config.

JSON is YAML too, so nothing here needs a YAML library (docs.cloud-init.io: "Cloud config data",
"Networking config Version 2", "NoCloud").
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING

from launcher.hypervisor.guest.identity import host_name_of
from launcher.hypervisor.model import SEED_CONFIG, SEED_OVERRIDES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.hypervisor.guest.identity import Identity
    from launcher.hypervisor.model import Addressing

USER_DATA = "user-data"
META_DATA = "meta-data"
NETWORK_CONFIG = "network-config"
# Where a guest with cloud-init finds the launcher's files.
GUEST_FOLDER = "/etc/vllmd"
UNIT = "vllmd.service"

# For images that have `vllmd`, and no unit of their own for it.
UNIT_TEXT = f"""\
[Unit]
Description=vLLM servers of {GUEST_FOLDER}/{SEED_CONFIG}
Wants=network-online.target
After=network-online.target
ConditionPathExists={GUEST_FOLDER}/{SEED_CONFIG}

[Service]
ExecStart=/bin/sh -c 'if [ -s {GUEST_FOLDER}/{SEED_OVERRIDES} ]; then \
export AUTO_INFER_VLLM_OVERRIDES="$$(cat {GUEST_FOLDER}/{SEED_OVERRIDES})"; fi; \
exec vllmd run {GUEST_FOLDER}/{SEED_CONFIG}'
Restart=on-failure
RestartPreventExitStatus=78

[Install]
WantedBy=multi-user.target
"""
# An image's own unit has read the seed disk by itself already: it is not started twice.
START_UNIT = (
    f"systemctl cat {UNIT} >/dev/null 2>&1 || systemctl enable {GUEST_FOLDER}/{UNIT}; "
    f"systemctl start --no-block {UNIT}"
)


def render_seed(identity: Identity, riders: Mapping[str, bytes]) -> dict[str, bytes]:
    """Render the files of a seed disk; `riders` are the launcher's, by their names on it.

    The same guest gives the same bytes, and another instance-id means that something changed:
    cloud-init then does again what it does once for each instance.
    """
    user_data = render_user_data(identity, riders)
    network = render_network_config(identity)
    instance_id = _instance_id(identity.name, user_data, network)
    return {
        USER_DATA: user_data,
        META_DATA: render_meta_data(identity, instance_id),
        NETWORK_CONFIG: network,
        **riders,
    }


def render_user_data(identity: Identity, riders: Mapping[str, bytes]) -> bytes:
    """Render who may log in, and the launcher's files."""
    config: dict[str, object] = {
        "hostname": host_name_of(identity.name),
        "manage_etc_hosts": True,
        "ssh_pwauth": False,
        "disable_root": identity.user != "root",
        "users": [_user(identity)],
    }
    if riders:
        files = {**riders, UNIT: UNIT_TEXT.encode()}
        config["write_files"] = [_file(name, content) for name, content in files.items()]
        config["runcmd"] = [["sh", "-c", START_UNIT]]
    return b"#cloud-config\n" + _json(config)


def render_meta_data(identity: Identity, instance_id: str) -> bytes:
    """Render which instance this is."""
    return _json({"instance-id": instance_id, "local-hostname": host_name_of(identity.name)})


def render_network_config(identity: Identity) -> bytes:
    """Render the network, version 2, for the device with the guest's MAC address."""
    if identity.addressing is None:
        return _json({"version": 2, "ethernets": {}})
    device = {"match": {"macaddress": identity.mac}, **_addresses(identity.addressing)}
    return _json({"version": 2, "ethernets": {"vllmd0": device}})


def _addresses(addressing: Addressing) -> dict[str, object]:
    if not addressing.address:
        return {"dhcp4": True}
    config: dict[str, object] = {"dhcp4": False, "addresses": [addressing.address]}
    if addressing.gateway:
        # Not "default": netplan and cloud-init learned that word later.
        config["routes"] = [{"to": "0.0.0.0/0", "via": addressing.gateway}]
    if addressing.nameservers:
        config["nameservers"] = {"addresses": list(addressing.nameservers)}
    return config


def _user(identity: Identity) -> dict[str, object]:
    user: dict[str, object] = {"name": identity.user, "lock_passwd": True}
    if identity.user != "root":
        user |= {"shell": "/bin/bash", "sudo": "ALL=(ALL) NOPASSWD:ALL"}
    if identity.ssh_keys:
        user["ssh_authorized_keys"] = list(identity.ssh_keys)
    return user


def _file(name: str, content: bytes) -> dict[str, str]:
    return {
        "path": f"{GUEST_FOLDER}/{name}",
        "owner": "root:root",
        "permissions": "0600",
        "encoding": "b64",
        "content": base64.b64encode(content).decode(),
    }


def _instance_id(name: str, *parts: bytes) -> str:
    digest = hashlib.sha256(b"\0".join(parts)).hexdigest()
    return f"{name}-{digest[:16]}"


def _json(data: object) -> bytes:
    return (json.dumps(data, indent=2, ensure_ascii=True) + "\n").encode()
