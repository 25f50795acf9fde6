"""`vllmd generate`: send a prompt, print the answer."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING

from launcher.cli.client_arguments import parse_generate
from launcher.cli.target import find_target
from launcher.client.api import AsyncClient
from launcher.client.timeouts import IDLE_MS, Timeout, choose_profile
from launcher.errors import EX_OK, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncGenerator, Mapping

    from launcher.client.messages import Json
    from launcher.client.target import Target

SAMPLING = ("max_tokens", "temperature", "top_p", "top_k", "seed", "stop")


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Print a server's answer to a prompt.

    Raises:
        LauncherError: there is no server, or no answer.
    """
    arguments = parse_generate(argv)
    found = find_target(arguments.server, arguments.config, tuple(arguments.assignments), environ)
    call = "stream" if arguments.stream else "generate"
    timeout = read_timeout_arguments(arguments, call, environ, found.timeout_profile)
    asyncio.run(_talk(arguments, found.target, timeout))
    return EX_OK


def read_timeout_arguments(
    arguments: argparse.Namespace,
    call: str,
    environ: Mapping[str, str],
    configured: str | None,
) -> Timeout:
    """Return the timeout that a command line asks for, or else what counts for the call.

    Raises:
        UsageError: VLLMD_TIMEOUT_PROFILE names no profile.
    """
    idle = getattr(arguments, "idle_timeout", IDLE_MS)
    if hasattr(arguments, "timeout"):
        return Timeout(arguments.timeout, idle)
    profile = arguments.timeout_profile or choose_profile(call, environ, configured)
    return Timeout(Timeout.profile(profile).total_ms, idle)


async def _talk(arguments: argparse.Namespace, target: Target, timeout: Timeout) -> None:
    prompt = _read_prompt(arguments.prompt)
    options: dict[str, Json] = {
        name: getattr(arguments, name) for name in SAMPLING if getattr(arguments, name) is not None
    }
    options.update(arguments.options)
    messages: list[dict[str, Json]] = [{"role": "user", "content": prompt}]
    if arguments.system:
        messages.insert(0, {"role": "system", "content": arguments.system})
    async with AsyncClient(target, model=arguments.model, timeout=timeout) as client:
        if arguments.stream:
            asked = messages if arguments.chat else prompt
            await _print_stream(client.stream(asked, extra_body=options))
            return
        if arguments.chat:
            answer = await client.chat(messages, extra_body=options)
        else:
            answer = await client.generate(prompt, extra_body=options)
    print(json.dumps(answer.body, indent=2) if arguments.json else answer.text)


async def _print_stream(pieces: AsyncGenerator[str, None]) -> None:
    begun = False
    try:
        async for piece in pieces:
            print(piece, end="", flush=True)
            begun = True
    finally:
        if begun:  # an error does not continue the last line
            print()


def _read_prompt(word: str) -> str:
    """Return the prompt, from stdin for `-`.

    Raises:
        UsageError: it is empty, or stdin is not text.
    """
    try:
        prompt = sys.stdin.read() if word == "-" else word
    except UnicodeDecodeError:
        raise UsageError("stdin is not UTF-8", "convert it first, like with iconv") from None
    if not prompt:
        raise UsageError("the prompt is empty", "write what the server shall go on with")
    return prompt
