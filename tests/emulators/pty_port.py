"""A serial adapter on a pseudo terminal: bytes from the host go into an emulator, its bytes go to the host."""

from __future__ import annotations

import os
import select
import threading
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Protocol


class SerialDevice(Protocol):
    """``transmit`` is set by the port: bytes to the host, from any thread."""

    transmit: Callable[[bytes], None]

    def receive(self, data: bytes) -> None:
        """Bytes from the host, cut anywhere."""


class PtyPort:
    """``path`` is what a host opens. `unplug` ends it as pulling the plug does; `replug` makes another one.

    With ``link`` (a path) a symbolic link leads to the terminal of the moment, as under /dev/serial/by-id.
    """

    def __init__(self, device: SerialDevice, link: str | None = None) -> None:
        self.device = device
        self.link = link
        self.path = ""
        self.plugged = False
        self._write = threading.Lock()
        self._sending = threading.Lock()
        device.transmit = self.transmit
        self.replug()

    def replug(self) -> None:
        self._master, slave = os.openpty()
        tty.setraw(self._master)
        tty.setraw(slave)
        os.set_blocking(self._master, False)
        name = os.ttyname(slave)
        # The slave stays open here until the host has it: a master without any slave reads as hung up.
        self._slave = slave
        if self.link:
            Path(self.link).unlink(missing_ok=True)
            Path(self.link).symlink_to(name)
        self.path = self.link or name
        self.plugged = True
        self._thread = threading.Thread(target=self._serve, args=(self._master,), name=f"pty {name}", daemon=True)
        self._thread.start()

    def unplug(self) -> None:
        if self.plugged:
            self.plugged = False
            self._thread.join(2)
            with self._write:
                os.close(self._slave)
                os.close(self._master)
            if self.link:
                Path(self.link).unlink(missing_ok=True)

    close = unplug

    def transmit(self, data: bytes) -> None:
        """All of it before anybody else's. Waits while the host does not read and its buffer is full."""
        with self._sending:
            self._transmit(data)

    def _transmit(self, data: bytes) -> None:
        while data and self.plugged:
            with self._write:
                if not self.plugged:
                    return
                try:
                    data = data[os.write(self._master, data) :]
                    continue
                except BlockingIOError:
                    pass
                except OSError:
                    return
            select.select([], [self._master], [], 0.05)

    def _serve(self, master: int) -> None:
        while self.plugged:
            try:
                if select.select([master], [], [], 0.05)[0]:
                    self.device.receive(os.read(master, 65536))
            except (OSError, ValueError):
                continue
