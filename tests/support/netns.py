"""A network namespace for a test: a host of its own, as far as its network goes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tests.support.require import require, require_program

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SUITE = "integration"


class Namespace:
    """Exists for as long as a process of ours is in it, which ends with us."""

    def __init__(self) -> None:
        require(SUITE, "a network namespace needs root", present=os.geteuid() == 0)
        self._nsenter = require_program(SUITE, "nsenter")
        require_program(SUITE, "ip")
        # A new namespace forwards where the machine does, and some machines run Docker.
        enter = "echo 0 >/proc/sys/net/ipv4/ip_forward; echo in; cat"
        holder = [require_program(SUITE, "unshare"), "--net", "sh", "-c", enter]
        self._holder = subprocess.Popen(
            holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._holder.stdout is not None
        entered = self._holder.stdout.readline() == "in\n"
        if not entered:
            self.close()
        require(SUITE, "this machine lets nobody make a network namespace", present=entered)

    @property
    def pid(self) -> int:
        return self._holder.pid

    def command(self, *words: str) -> list[str]:
        """Return a command line that runs in the namespace."""
        return [self._nsenter, f"--net=/proc/{self.pid}/ns/net", *words]

    def run(self, *words: str, env: Mapping[str, str] | None = None) -> str:
        """Run a program that has to succeed; return what it says."""
        done = subprocess.run(
            self.command(*words), env=env, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def ip(self, words: str) -> str:
        """Run `ip` with some words."""
        return self.run("ip", *words.split())

    def python(self, code: str, *words: str) -> subprocess.Popen[str]:
        """Start a Python program in the namespace; its input ends with the test."""
        argv = self.command(sys.executable, "-c", code, *words)
        return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def links(self) -> dict[str, dict[str, Any]]:
        """Return every network device but the loopback one, by name."""
        found = json.loads(self.ip("-json -details addr show"))
        return {each["ifname"]: each for each in found if each["ifname"] != "lo"}

    def addresses(self, link: str) -> list[str]:
        """Return the IPv4 addresses of a device."""
        infos = self.links()[link]["addr_info"]
        return [f"{i['local']}/{i['prefixlen']}" for i in infos if i["family"] == "inet"]

    def state(self) -> tuple[object, ...]:
        """Return what a test compares: devices, IPv4 addresses, routes and rules."""
        links = {
            name: (link.get("master"), "UP" in link["flags"], self.addresses(name))
            for name, link in self.links().items()
        }
        # Whether somebody has plugged in is no setting, and shows a moment later.
        routes = self.ip("route show").replace(" linkdown", "")
        return links, routes, self.run("nft", "list", "ruleset")

    def close(self) -> None:
        self._holder.kill()
        self._holder.communicate()
