"""What the kernel does when somebody writes to a PCI device's files, for a `HostTree`.

The files that it listens to are FIFOs: `unbind` of each driver, and `drivers_probe`.
"""

from __future__ import annotations

import os
import re
import selectors
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from tests.support.hosttree import HostTree

ADDRESS = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")


class PciKernel:
    """Binds and unbinds devices of a tree while it is entered."""

    def __init__(self, tree: HostTree, native: dict[str, str], drivers: tuple[str, ...]) -> None:
        """Say which driver each device has by nature, and which drivers there are."""
        self._tree = tree
        self._native = native
        self._drivers = drivers
        self._selector = selectors.DefaultSelector()
        self._end, self._ended = os.pipe()
        self._thread = threading.Thread(target=self._serve)
        self.refused: set[str] = set()  # devices that no driver takes

    def __enter__(self) -> Self:
        self._selector.register(self._end, selectors.EVENT_READ)
        for driver in self._drivers:
            self._listen(f"sys/bus/pci/drivers/{driver}/unbind", "")
        self._listen("sys/bus/pci/drivers_probe", "probe")
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._ended)
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            os.close(key.fd)
        self._selector.close()

    def driver_of(self, address: str) -> str:
        """Return the driver of a device, empty for none."""
        link = self._tree.root / f"sys/bus/pci/devices/{address}/driver"
        return link.readlink().name if link.is_symlink() else ""

    def _listen(self, path: str, deed: str) -> None:
        file = self._tree.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(file)
        descriptor = os.open(file, os.O_RDWR | os.O_NONBLOCK)
        self._selector.register(descriptor, selectors.EVENT_READ, deed)

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fd == self._end:
                    return
                # Two that were written soon after each other come as one.
                for address in ADDRESS.findall(os.read(key.fd, 4096).decode()):
                    driver = self._chosen(address) if key.data == "probe" else ""
                    self._tree.bind(address, driver)

    def _chosen(self, address: str) -> str:
        if address in self.refused:
            return ""
        file = self._tree.root / f"sys/bus/pci/devices/{address}/driver_override"
        return file.read_text().strip() or self._native.get(address, "")
