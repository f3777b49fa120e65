"""One PDO of a live node: what is true of those that it sends and of those that it receives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from opendiag.diagnose.pdo_why import why_no_rpdo, why_no_tpdo
from opendiag.diagnose.pdo_why_facts import told_state
from opendiag.dictionary import datatypes, names
from opendiag.dictionary.model import object_text
from opendiag.errors import AdapterError, BlockingCall, SdoAborted, SdoError, ValueRefused
from opendiag.findings import Finding
from opendiag.frame import Frame
from opendiag.master.pdo_sample import PdoRow, PdoSample, PdoStream, dummy_bits, rows_of
from opendiag.master.pdo_traffic import Callback, PdoChannel
from opendiag.services.pdo_parameters import PdoParameters
from opendiag.services.pdo_plans import PdoSettings, map_pdo, read_pdo
from opendiag.wire.cob_id import CobId
from opendiag.wire.nmt import NmtState
from opendiag.wire.pdo import MappingEntry
from opendiag.wire.sdo_abort import SdoAbortCode

if TYPE_CHECKING:
    from opendiag.master.node import Node

#: What can be mapped: "Statusword", "6041:00", 0x6041, (0x6041, 0), (0x6041, 0, 16), "6041:00/16", "dummy/8".
Mappable = str | int | tuple[int, int] | tuple[int, int, int] | MappingEntry
_DUMMY_OF_BITS = {1: 1, 8: 5, 16: 6, 32: 7}
_ABSENT = (SdoAbortCode.NO_SUCH_OBJECT, SdoAbortCode.NO_SUCH_SUBINDEX)


class Pdo:
    """Made by `NodePdo.tpdo` and `NodePdo.rpdo`, the same one each time."""

    def __init__(self, channel: PdoChannel) -> None:
        self.node: Node = channel.node
        self.transmit = channel.transmit
        self.number = channel.number
        self._channel = channel
        self._mapped_to: CobId | None = None

    @property
    def name(self) -> str:
        """As in "TPDO4"."""
        return f"{'TPDO' if self.transmit else 'RPDO'}{self.number}"

    @property
    def text(self) -> str:
        """As in "TPDO4 of node 5"."""
        return f"{self.name} of node {self.node.node_id}"

    def __repr__(self) -> str:
        return f"<{self.text}>"

    # --- how it is configured ---

    @property
    def parameters(self) -> PdoParameters:
        """Read from the device once after each of its starts, and kept in step with what is written to it.

        As the dictionary has it while the device does not answer, or on a thread that must not wait for it.
        Raises SdoError: an abort where the device has no such PDO, a time-out where no dictionary has one either.
        """
        self._ask_once()
        return self._channel.reading.parameters

    @property
    def known(self) -> PdoParameters:
        """As `parameters`, from what has been read or heard, or from the dictionary. Nothing is sent."""
        return self._channel.reading.parameters

    def refresh(self) -> PdoParameters:
        """Read it from the device again. Raise SdoError, AdapterError, BlockingCall."""
        self.node.network.run(read_pdo(self.node.node_id, self.transmit, self.number))
        self._channel.was_read = True
        self._channel.traffic.changed(self.node)
        return self._channel.reading.parameters

    def _ask_once(self) -> None:
        if self._channel.was_read:
            return
        try:
            self.node.identify()
            self.refresh()
        except BlockingCall:
            return
        except (SdoError, AdapterError) as error:
            known = self.node.view.number(self.known.communication, 1) is not None
            absent = isinstance(error, SdoAborted) and error.code in _ABSENT
            if absent or not known:
                raise
            self._channel.was_read = True  # a silent device is not asked again before it starts or somebody insists

    def show(self) -> list[PdoRow]:
        """What is mapped, entry by entry. Raises as `parameters`."""
        self._ask_once()
        return rows_of(self._channel.reading)

    # --- what it carries ---

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Call a function with the `PdoSample` of each frame, on the callbacks thread; call the result to end that.

        The device is asked for the mapping first, where that is possible. Raises AdapterError when the bus is gone.
        """
        self._ask_quietly()
        return self._channel.add(callback)

    def samples(self) -> PdoStream:
        """Every sample from now on, as an iterator. Close it, or use ``with``. Raises AdapterError."""
        self._ask_quietly()
        return self._channel.open()

    @property
    def latest(self) -> PdoSample | None:
        """The last one since this PDO was first asked for here; None when none came."""
        last = self._channel.last
        if last is None:
            return None
        _, reading, frame, now = last
        return reading.sample(frame, now)

    def _ask_quietly(self) -> None:
        """Who listens gets raw samples of a PDO that nobody describes."""
        try:
            self._ask_once()
        except SdoError:
            self._channel.was_read = True

    # --- changing it ---

    def map(
        self,
        objects: Iterable[Mappable] | None,
        *,
        transmission_type: int | None = None,
        inhibit_s: float | None = None,
        event_s: float | None = None,
        cob_id: int | CobId | None = None,
        sync_start: int | None = None,
        enable: bool = True,
        multiplexed: int = 0,
        pre_operational: bool = False,
    ) -> PdoParameters:
        """Map these objects, in wire order, in the five steps of CiA 301; give what the device then holds.

        None leaves a setting, or the mapping, as it is. ``enable`` False leaves the PDO switched off. The node is sent
        to PRE-OPERATIONAL, and back, where it is OPERATIONAL and insists; first of all with ``pre_operational``.
        ``multiplexed`` is SAM_MPDO or DAM_MPDO, with ``objects`` None.

        Raises ObjectNotFound, ValueRefused before anything is sent; PdoMappingRefused naming the step that was
        refused, when what was changed is put back; SdoError, AdapterError, BlockingCall.
        """
        node = self.node
        if isinstance(objects, (str, bytes)) or not (objects is None or isinstance(objects, Iterable)):
            raise TypeError(f"a list of objects is mapped, as in [{objects!r}], not {objects!r}")
        node.network.pump.check_may_wait("mapping a PDO")
        entries = None if objects is None else tuple(self.entry(each) for each in objects)
        settings = PdoSettings(entries, transmission_type, inhibit_s, event_s, cob_id, sync_start, enable, multiplexed)
        plan = map_pdo(
            node.node_id,
            self.transmit,
            self.number,
            settings,
            state=self._state(),
            pre_operational=pre_operational,
            name_of=lambda entry: node.view.describe(entry.index, entry.subindex).name or "",
        )
        try:
            node.network.run(plan)
            self._channel.was_read = True
            if cob_id is not None:
                self._mapped_to = self.known.cob
        finally:
            self._channel.traffic.changed(node)
        return self._channel.reading.parameters

    def switch_off(self) -> PdoParameters:
        """Set bit 31 of its COB-ID. Raises as `map`."""
        return self.map(None, enable=False)

    def switch_on(self) -> PdoParameters:
        """Clear bit 31 of its COB-ID. Raises as `map`."""
        return self.map(None)

    def _state(self) -> NmtState | None:
        """The node's, as far as it has told it or was commanded to; None: nobody knows."""
        network = self.node.network
        return told_state(network.watch, self.node.node_id, network.clock.now()).state

    # --- why it does not come ---

    def why(self, listen_s: float = 1.5, expected: CobId | None = None) -> list[Finding]:
        """Why a TPDO does not come, or an RPDO has no effect: the most certain cause first; empty when all is well.

        It reads and listens, and changes nothing. ``expected`` is where the PDO is looked for: where it was mapped to
        through here, else where the predefined connection set has it. Raises SdoError, AdapterError, BlockingCall.
        """
        network, node_id = self.node.network, self.node.node_id
        look = why_no_tpdo if self.transmit else why_no_rpdo
        return network.run(
            look(node_id, self.number, network.watch, expected=expected or self._mapped_to, listen_s=listen_s)
        )

    # --- what can be mapped ---

    def entry(self, what: Mappable) -> MappingEntry:
        """An object as it is mapped, in its full width unless another is said.

        Raises ObjectNotFound, and ValueRefused where no width is known.
        """
        if isinstance(what, MappingEntry):
            return what
        if isinstance(what, tuple) and len(what) == 3:
            return MappingEntry(*what)
        bits: int | None = None
        if isinstance(what, str):
            head, slash, tail = what.rpartition("/")
            if slash and tail.strip().isdigit():
                what, bits = head.strip(), int(tail)
            if what.casefold() == "dummy":
                if bits is None:
                    raise ValueRefused(self.text, "how many bits has the dummy? as in dummy/8")
                return MappingEntry(_DUMMY_OF_BITS.get(bits, 5), 0, bits)
        index, subindex = self._place(what)
        return MappingEntry(index, subindex, self._width(index, subindex) if bits is None else bits)

    def _place(self, what: str | int | tuple[int, int]) -> tuple[int, int]:
        if isinstance(what, tuple):
            return what
        if isinstance(what, int):
            number: names.Key = what, None
        else:
            number = names.number_of(what) or names.find(what, self.node.dictionary)
        index, subindex = number
        if dummy_bits(index) is not None:
            return index, 0
        variable = self.node.variable(index) if subindex is None else self.node.variable((index, subindex))
        return variable.index, variable.subindex

    def _width(self, index: int, subindex: int) -> int:
        bits = dummy_bits(index)
        if bits is None:
            variable = self.node.describe(index, subindex).variable
            bits = None if variable is None else datatypes.bit_width(variable.data_type)
        if bits is None:
            where = object_text(index, subindex)
            raise ValueRefused(self.text, f"the width of {where} is not known: say its bits, as in {where}/16")
        return bits

    # --- for those that follow ---

    def _frame(self, data: bytes, remote: bool = False) -> Frame:
        """Raise ValueRefused while it is switched off."""
        parameters = self._channel.reading.parameters
        cob = parameters.cob
        if cob.bit_31:
            where = object_text(parameters.communication, 1)
            raise ValueRefused(self.text, f"it is switched off (bit 31 of {where}): map it, or switch_on()")
        if remote:
            return Frame(cob.can_id, extended=cob.extended, remote=True, dlc=min(parameters.length, 8))
        return Frame(cob.can_id, data, extended=cob.extended)
