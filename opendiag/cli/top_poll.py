"""Reads chosen objects by SDO again and again, where no PDO brings them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opendiag.cli.top_model import Key, TopModel
from opendiag.errors import SdoAborted, SdoError, SdoTimeout
from opendiag.master.network import Network
from opendiag.master.node import ask_identity
from opendiag.master.transfers import PendingTransfer


class Poller:
    """Starts a read when the value that ``model`` has is older than ``period_s``, and never waits for one.

    The values themselves come with the frames that the model is fed with, as those of anybody else's transfers. A node
    whose dictionary is not known is asked who it is (1018h) first.
    """

    def __init__(
        self, network: Network, model: TopModel, signals: Mapping[int, Sequence[Key]], period_s: float
    ) -> None:
        self._network = network
        self._model = model
        self._period_s = period_s
        self._keys = [(node_id, key) for node_id, keys in signals.items() for key in keys]
        self._pending: dict[tuple[int, Key], PendingTransfer] = {}
        self._tried_at: dict[tuple[int, Key], float] = {}
        asked = [node_id for node_id in signals if network[node_id].view.dictionary is None]
        self._who = {node_id: network.begin(ask_identity(node_id)) for node_id in asked}

    def step(self, now: float) -> None:
        """Look what came back, and ask for what is due. Raise AdapterError."""
        for what in self._keys:
            pending = self._pending.get(what)
            if pending is not None:
                if not pending.done:
                    continue
                del self._pending[what]
                self._look(*what, pending)
            node_id, key = what
            known = node_id not in self._who or self._who[node_id].done
            if known and now - self._last(node_id, key) >= self._period_s:
                self._tried_at[what] = now
                self._pending[what] = self._network[node_id].begin_upload(*key)

    def _last(self, node_id: int, key: Key) -> float:
        seen = self._model.last_value_at(node_id, key)
        tried = self._tried_at.get((node_id, key), float("-inf"))
        return tried if seen is None else max(seen, tried)

    def _look(self, node_id: int, key: Key, pending: PendingTransfer) -> None:
        error = pending.transfer.error
        if isinstance(error, SdoError):
            self._model.problem(node_id, key, _reason(error))

    def close(self) -> None:
        """End what was begun."""
        for asked in self._who.values():
            if not asked.done:
                asked.abandon()
        for pending in self._pending.values():
            pending.cancel()


def _reason(error: SdoError) -> str:
    if isinstance(error, SdoTimeout):
        return f"no answer within {error.waited_s:g} s"
    return f"refused: {error.text}" if isinstance(error, SdoAborted) else str(error)
