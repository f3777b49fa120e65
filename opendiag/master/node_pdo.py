"""The PDOs of a live node: how they are configured, what they carry, and how to change both.

drive.pdo.tpdo(1).map(["Statusword", "Position actual value"], transmission_type=1)
drive.pdo.tpdo(1).subscribe(lambda sample: print(sample.values["Statusword"]))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from opendiag.dictionary.pdos import pdos_of
from opendiag.errors import PdoTimeout, SdoError, ValueRefused
from opendiag.master.pdo_base import Mappable, Pdo
from opendiag.master.pdo_sample import PdoRow, PdoSample, PdoStream
from opendiag.master.pdo_send import Rpdo
from opendiag.master.pdo_traffic import Callback
from opendiag.services.pdo_parameters import PdoParameters
from opendiag.wire.pdo import MAX_PDOS, RPDO_OBJECTS, TPDO_OBJECTS

if TYPE_CHECKING:
    from opendiag.master.node import Node

__all__ = ["Mappable", "NodePdo", "Pdo", "PdoParameters", "PdoRow", "PdoSample", "PdoStream", "Rpdo", "Tpdo"]
#: Asked about where no dictionary says which there are.
_DEFAULT_NUMBERS = range(1, 5)


P = TypeVar("P", bound=Pdo)


class Tpdo(Pdo):
    """A PDO that the node sends."""

    def wait(self, timeout_s: float) -> PdoSample:
        """The next one from now. Raise PdoTimeout, AdapterError, BlockingCall."""
        return self._wait(timeout_s, ask=False)

    def request(self, timeout_s: float = 0.5) -> PdoSample:
        """Ask for it with a remote frame, and give the answer.

        Raises ValueRefused where it does not allow that (bit 30 of its COB-ID) or is switched off; as `wait`.
        """
        parameters = self.parameters
        if not parameters.remote_allowed:
            where = f"{parameters.communication:04X}:01"
            raise ValueRefused(self.text, f"it does not allow remote frames (bit 30 of {where})")
        return self._wait(timeout_s, ask=True)

    def _wait(self, timeout_s: float, ask: bool) -> PdoSample:
        self.node.network.pump.check_may_wait("waiting for a PDO")
        with self.samples() as samples:
            if ask:
                self.node.network.send(self._frame(b"", remote=True))
            sample = samples.get(timeout_s)
        if sample is None:
            raise PdoTimeout(self.node.node_id, self.name, self.known.cob.text, timeout_s)
        return sample


class NodePdo:
    """Made by `Node.pdo`."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._traffic = node.network.pdo_traffic
        self._tpdos: dict[int, Tpdo] = {}
        self._rpdos: dict[int, Rpdo] = {}

    def tpdo(self, number: int) -> Tpdo:
        """TPDO ``number`` (1..512), the same one each time. Nothing is sent. Raise ValueError outside that."""
        return self._pdo(self._tpdos, number, Tpdo)

    def rpdo(self, number: int) -> Rpdo:
        """RPDO ``number`` (1..512), the same one each time. Nothing is sent. Raise ValueError outside that."""
        return self._pdo(self._rpdos, number, Rpdo)

    def _pdo(self, made: dict[int, P], number: int, kind: type[P]) -> P:
        if not 1 <= number <= MAX_PDOS:
            raise ValueError(f"PDO number {number} is outside 1..{MAX_PDOS}")
        with self._node.network.pump.lock:
            pdo = made.get(number)
            if pdo is None:
                pdo = made[number] = kind(self._traffic.channel(self._node, kind is Tpdo, number))
            return pdo

    @property
    def tpdos(self) -> list[Tpdo]:
        """Those that the dictionary has, or that were heard of; without a dictionary those of 1..4 that there are."""
        return [self.tpdo(number) for number in self._numbers(True)]

    @property
    def rpdos(self) -> list[Rpdo]:
        """As `tpdos`."""
        return [self.rpdo(number) for number in self._numbers(False)]

    def _numbers(self, transmit: bool) -> list[int]:
        self._node.identify()
        view = self._node.view
        first = (TPDO_OBJECTS if transmit else RPDO_OBJECTS)[0]
        heard = {index - first + 1 for index in view.configuring_indices() if first <= index < first + MAX_PDOS}
        if view.dictionary is not None:
            heard |= {pdo.number for pdo in pdos_of(view.dictionary, view.node_id) if pdo.transmit is transmit}
        else:
            heard |= {number for number in _DEFAULT_NUMBERS if self._is_there(transmit, number)}
        return sorted(heard)

    def _is_there(self, transmit: bool, number: int) -> bool:
        try:
            (self.tpdo(number) if transmit else self.rpdo(number)).refresh()
        except SdoError as error:
            if isinstance(error, TimeoutError):
                raise
            return False
        return True

    def map(self, transmit: bool, number: int, objects: Iterable[Mappable] | None, **settings: Any) -> PdoParameters:
        """As ``tpdo(number).map(objects, ...)`` or ``rpdo(number).map(objects, ...)``."""
        return (self.tpdo(number) if transmit else self.rpdo(number)).map(objects, **settings)

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Call a function with every sample of all its TPDOs that are switched on; call the result to end that."""
        ends = [pdo.subscribe(callback) for pdo in self.tpdos if pdo.parameters.active]

        def end() -> None:
            for each in ends:
                each()

        return end

    def renew(self) -> None:
        """The node's dictionary is another one."""
        self._traffic.changed(self._node)

    def forget(self) -> None:
        """Read the parameters of all of them again when they are next wanted."""
        self._traffic.restarted(self._node)
