"""A transfer that was begun and may be waited for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from opendiag.errors import AdapterError, NotDone
from opendiag.services.sdo_transfer import SdoTransfer

if TYPE_CHECKING:
    from opendiag.master.node import Node


_LOG = logging.getLogger("opendiag")


class Endings:
    """Who is to be called when which transfer ends. Use it with the pump's lock held."""

    def __init__(self) -> None:
        self._callbacks: dict[SdoTransfer, list[Callable[[], object]]] = {}

    def __len__(self) -> int:
        """Transfers whose end somebody waits for."""
        return len(self._callbacks)

    def add(self, transfer: SdoTransfer, callback: Callable[[], object]) -> None:
        self._callbacks.setdefault(transfer, []).append(callback)

    def forget(self, transfer: SdoTransfer, callback: Callable[[], object]) -> None:
        """It is not to be called any more."""
        callbacks = self._callbacks.get(transfer, [])
        if callback in callbacks:
            callbacks.remove(callback)
        if not callbacks:
            self._callbacks.pop(transfer, None)

    def ended(self, transfer: SdoTransfer) -> None:
        for callback in self._callbacks.pop(transfer, ()):
            try:
                callback()
            except Exception:  # the caller's: it must not end the reading of the bus
                _LOG.exception("callback %r failed at the end of a transfer", callback)

    def bus_failed(self) -> None:
        """No transfer will end in any other way than it has now."""
        for transfer in tuple(self._callbacks):
            self.ended(transfer)


class PendingTransfer:
    """``transfer`` tells how far it is: transferred, size, kind, attempts, oddities."""

    __slots__ = ("_node", "transfer")

    def __init__(self, node: Node, transfer: SdoTransfer) -> None:
        self._node = node
        self.transfer = transfer

    @property
    def done(self) -> bool:
        """True once there is a result, or the reason why there is none."""
        return self.transfer.done

    def result(self, timeout_s: float | None = None) -> bytes:
        """Wait for the end and give the bytes that were read; those of a write are empty.

        Raises SdoError as the transfer ended, AdapterError when the bus is gone, BlockingCall, and NotDone when
        ``timeout_s`` is over before: the transfer goes on then.
        """
        transfer = self.transfer
        if not transfer.done:
            self._wait(timeout_s)
        if transfer.error is not None:
            raise transfer.error.with_traceback(None)  # as often as somebody asks
        return self._node.fitted(transfer, transfer.data)

    def cancel(self) -> None:
        """End it; the device gets an abort if it had begun. One that is done stays as it is."""
        pump = self._node.network.pump
        with pump.lock:
            if not self.transfer.done:
                now = pump.clock.now()
                self._node.client.cancel(self.transfer, now)
                pump.drain(self._node.client, now)

    def when_done(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call this once, when it is `done`: at once if it is, else on whatever thread reads the bus then: be quick.

        What is returned takes that back.
        """
        network = self._node.network
        with network.pump.lock:
            if not self.done:
                network.endings.add(self.transfer, callback)
                return lambda: self._forget(callback)
        callback()
        return lambda: None

    def _forget(self, callback: Callable[[], object]) -> None:
        network = self._node.network
        with network.pump.lock:
            network.endings.forget(self.transfer, callback)

    def _wait(self, timeout_s: float | None) -> None:
        pump = self._node.network.pump
        pump.check_may_wait("waiting for a transfer")
        until = None if timeout_s is None else pump.clock.now() + timeout_s
        try:
            ended = pump.wait(self.transfer, until)
        except AdapterError:
            if self.transfer.done:  # it says itself how it ended
                return
            raise
        except BaseException:  # Ctrl-C: the device must not be left in the middle of it
            self.cancel()
            raise
        if not ended:
            raise NotDone(timeout_s or 0.0)
