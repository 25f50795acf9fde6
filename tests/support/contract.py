"""One instance 'a', planned from what its tables hold: for the tests of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.facts import MODEL, flags_of, plan_text, process_of, said

if TYPE_CHECKING:
    from launcher.process.spec import ProcessSpec
    from launcher.server.plan import LaunchPlan

OTHER = '[master]\napi_server_module = "my.server"\n'  # not vLLM's: the contract's rules alone


def one(control: str = "", server: str = "", master: str = "") -> LaunchPlan:
    """Plan one instance 'a'."""
    toml = f"{master}[instance.a.control]\n{control}\n[instance.a.server]\n{MODEL}{server}\n"
    plan = plan_text(toml)
    assert plan.problems == (), said(plan)
    return plan


def process(control: str = "", server: str = "") -> ProcessSpec:
    """Return the process of one instance."""
    return process_of(one(control, server))


def words(server: str, master: str = "") -> list[str]:
    """Return the words that one instance gets behind its model."""
    return flags_of(one(server=server, master=master))[2:]
