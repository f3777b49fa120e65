"""The thread that reads an adapter, and what happens when the adapter goes away."""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import Protocol

import can

from opendiag.adapters.bus import Unplugged, describe

#: How often an adapter that went away is looked for.
RETRY_S = 0.25
#: Learns at level INFO when an adapter goes away and is looked for, and when it is back.
NEWS = logging.getLogger("opendiag.adapters")


class Link(Protocol):
    """A port or a device that one `Reader` reads."""

    def read(self) -> None:
        """Wait for input, 0.25 s at most, and hand it on. Raise Unplugged."""

    def reopen(self) -> None:
        """Bring it back as it was. Raise can.CanError while it is not there."""

    def gone(self, reason: str) -> None:
        """It went away and is looked for."""

    def lost(self, failure: Exception) -> None:
        """It will not come back; nothing is read any more."""


class Reader:
    """``reconnect_s`` is how long an adapter that went away is looked for; 0: not at all, inf: for ever. It may
    be changed until then.

    ``reconnects`` counts how often it came back.
    """

    def __init__(self, link: Link, name: str, reconnect_s: float = 0.0) -> None:
        self.reconnects = 0
        self._link = link
        self._name = name
        self.reconnect_s = reconnect_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"opendiag {name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when the thread has ended: nothing is read after that."""
        self._stop.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(2.0)

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._link.read()
            except Unplugged as failure:
                if self._stop.is_set() or not self._came_back(failure):
                    return
            except Exception as error:
                self._link.lost(self._broken(error))
                return

    def _came_back(self, failure: Unplugged) -> bool:
        try:
            return self._back(failure)
        except Exception as error:
            self._link.lost(self._broken(error))
            return False

    def _broken(self, error: Exception) -> can.CanOperationError:
        """Of a library, or a defect of ours: whoever waits must learn of it."""
        failure = can.CanOperationError(f"{self._name}: {type(error).__name__}: {error}")
        failure.__cause__ = error
        return failure

    def _back(self, failure: Unplugged) -> bool:
        until = time.monotonic() + self.reconnect_s
        if self.reconnect_s:
            self._link.gone(str(failure))
            how_long = "until it is back" if math.isinf(self.reconnect_s) else f"for {self.reconnect_s:g} s"
            NEWS.info("%s; looking for it %s", describe(failure), how_long)
        while time.monotonic() < until and not self._stop.wait(RETRY_S):
            try:
                self._link.reopen()
            except can.CanError:
                continue
            self.reconnects += 1
            NEWS.info("%s is back", self._name)
            return True
        if not self._stop.is_set():
            self._link.lost(failure)
        return False
