"""Asynchronous calls from synchronous code: an event loop in a thread of its own.

So the synchronous client works wherever it is called from, in a notebook (whose thread has a
running event loop) too.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Iterator

T = TypeVar("T")


class Portal:
    """An event loop in a thread, until it is closed."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="vllmd-client", daemon=True
        )
        self._thread.start()

    def run(self, doing: Coroutine[object, object, T]) -> T:
        """Run a coroutine to its end; whoever interrupts us cancels it."""
        future = asyncio.run_coroutine_threadsafe(doing, self._loop)
        try:
            return future.result()
        finally:
            future.cancel()  # nothing, unless we were interrupted

    def iterate(self, stream: AsyncGenerator[T, None]) -> Iterator[T]:
        """Yield what an asynchronous stream yields."""
        try:
            while True:
                try:
                    piece = self.run(_step(stream))
                except StopAsyncIteration:
                    return
                yield piece
        finally:
            self.run(_finish(stream))

    def close(self) -> None:
        """End the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _step(stream: AsyncGenerator[T, None]) -> T:
    return await anext(stream)


async def _finish(stream: AsyncGenerator[T, None]) -> None:
    await stream.aclose()
