"""A rehearsal: what a script would send to its drives, frame by frame and decoded, while nothing is sent that writes.

The real drives are read once: who they are, their settings, position, mode and state. Doubles that were given these
values live on a bus in memory, with a clock that does not wait, and the script works with them: later reads are theirs.
A drive that does not answer is rehearsed with the values of its dictionary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from opendiag.cia402 import objects as o
from opendiag.cia402.quirks import SERVOTRONIX, STEPIM
from opendiag.cia402.states import PdsState, pds_state
from opendiag.decode.explain import Explainer
from opendiag.dictionary.datatypes import is_signed
from opendiag.errors import OpenDiagError, SdoError, WireError
from opendiag.frame import Frame
from opendiag.simulate.bus import SimBus
from opendiag.simulate.devices import is_drive
from opendiag.simulate.drive import SimDrive
from opendiag.simulate.servo import servo_dictionary
from opendiag.simulate.stepim import StepIM

if TYPE_CHECKING:
    from opendiag.master.network import Network
    from opendiag.master.node import Node

#: What a double takes over, where both have it. Of a profile's object each axis has its own.
_COMMUNICATION = (*((0x1016, subindex) for subindex in range(1, 5)), (0x1017, 0), (0x1029, 1))
_SETTINGS = (
    *((index, 0) for index in (o.ABORT_CONNECTION, o.QUICK_STOP_OPTION, o.SHUTDOWN_OPTION, o.DISABLE_OPTION)),
    *((index, 0) for index in (o.HALT_OPTION, o.FAULT_REACTION, o.MODE, o.FOLLOWING_WINDOW, o.FOLLOWING_TIME)),
    *((index, 0) for index in (o.POSITION_WINDOW, o.POSITION_TIME, o.VELOCITY_WINDOW, o.VELOCITY_TIME, o.MAX_TORQUE)),
    *((index, 0) for index in (o.MAX_CURRENT, o.RATED_CURRENT, o.RATED_TORQUE, o.HOME_OFFSET, o.POLARITY)),
    *((index, 0) for index in (o.MAX_PROFILE_VELOCITY, o.MAX_MOTOR_SPEED, o.PROFILE_VELOCITY, o.ACCELERATION)),
    *((index, 0) for index in (o.DECELERATION, o.QUICK_DECELERATION, o.TORQUE_SLOPE, o.HOMING_METHOD)),
    *((index, 0) for index in (o.HOMING_ACCELERATION, o.SI_POSITION, o.SI_VELOCITY, o.SI_ACCELERATION)),
    *((index, 0) for index in (o.MAX_ACCELERATION, o.MAX_DECELERATION, o.POSITIONING_OPTION, 0x608B, 0x608C)),
    *((index, subindex) for index in (o.RANGE_LIMIT, o.SOFTWARE_LIMITS, o.ENCODER_RESOLUTION) for subindex in (1, 2)),
    *((index, subindex) for index in (o.GEAR_RATIO, o.FEED_CONSTANT, o.HOMING_SPEEDS) for subindex in (1, 2)),
)
#: Longer than any drive of ours takes to boot, and than it must not be enabled after that.
_BOOT_S = 3.0
_FAULTS = (PdsState.FAULT, PdsState.FAULT_REACTION_ACTIVE)
_SDO, _HEARTBEAT, _BASES = 0x600, 0x700, 0x780
_UPLOADS = (2, 3)  # the command of an SDO request that reads, or goes on reading


class DryRun:
    """``network`` is the one to rehearse on. ``out`` gets the lines. Close it.

    Raise AdapterError.
    """

    def __init__(self, network: Network, node_ids: Sequence[int], out: Callable[[str], object] = print) -> None:
        from opendiag.master.clock import ManualClock
        from opendiag.master.connect import connect

        self._out = out
        self._reads = 0
        self._beating: set[int] = set()
        bus = SimBus(network.bit_rate or 1_000_000)
        doubles = [_Double(network[node_id]) for node_id in node_ids]
        for double in doubles:
            bus.attach(double.drive, f"node {double.drive.node_id}")
        dictionaries = {double.drive.node_id: double.drive.dictionary for double in doubles}
        self.network = connect(bus, dictionaries=dictionaries, clock=ManualClock(), timeout_s=network.timeout_s)
        self.network.sleep(_BOOT_S)
        for double in doubles:
            double.take_over(self.network)
            out(f"dry run of drive {double.drive.node_id}: {double.text}; nothing below is sent")
        self._began = self.network.clock.now()
        self._explainer = Explainer(self.network.decoder())
        self.network.pump.listen(self)

    def close(self) -> None:
        self._tell_reads()
        self.network.close()

    # --- as a listener of the pump ---

    def received(self, frame: Frame, now: float) -> None:
        self._explainer.explain(frame)

    def sent(self, frame: Frame, now: float) -> None:
        sentence = self._explainer.explain(frame).sentence
        if _SDO < frame.can_id < _HEARTBEAT and frame.data[:1] and frame.data[0] >> 5 in _UPLOADS:
            self._reads += 1
            return
        if _HEARTBEAT < frame.can_id < _BASES:
            if frame.can_id in self._beating:
                return
            self._beating.add(frame.can_id)
            sentence += " This is repeated."
        self._tell_reads()
        self._out(f"{now - self._began:9.4f} s  {frame.can_id:03X}#{frame.data.hex().upper():16s}  {sentence}")

    def send_failed(self, frame: Frame, reason: str, now: float) -> None: ...

    def _tell_reads(self) -> None:
        reads, self._reads = self._reads, 0
        if reads:
            self._out(f"{'':11s}  ({reads} SDO read{'s' if reads > 1 else ''})")


class _Double:
    """A simulated drive that stands for a real one. ``text`` says what it knows of that."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.text = ""
        word = self._read(o.STATUSWORD)
        silent = word is None
        if not silent:
            node.identify()
        dictionary = node.view.dictionary
        if dictionary is None or not is_drive(dictionary):
            dictionary = servo_dictionary()
        self.drive: SimDrive
        if (dictionary.device.vendor_id, dictionary.device.product_code) == (SERVOTRONIX, STEPIM):
            self.drive = StepIM(node.node_id, dictionary=dictionary)
        else:
            self.drive = SimDrive(dictionary, node.node_id)
        self._words = [word if not place else None for place in range(len(self.drive.axes))]
        self._errors: list[int | None] = [None] * len(self.drive.axes)
        self._positions: list[int | None] = [None] * len(self.drive.axes)
        self._values: dict[tuple[int, int], Any] = {}
        if silent:
            self.text = f"it does not answer, and is rehearsed with the values of {dictionary.name}"
        else:
            self._look()

    def _read(self, index: int, subindex: int = 0) -> int | None:
        try:
            raw = self._node.upload(index, subindex)
        except SdoError:
            return None
        described = self._node.view.describe(index, subindex).variable
        signed = described is not None and is_signed(described.data_type)
        return int.from_bytes(raw, "little", signed=signed)

    def _look(self) -> None:
        """Everything is read from the real drive; nothing is written."""
        known = self.drive.store.variables
        wanted = [key for key in _COMMUNICATION if key in known]
        for place in range(len(self.drive.axes)):
            shift = place * o.AXIS_STEP
            wanted += [(index + shift, subindex) for index, subindex in _SETTINGS if (index + shift, subindex) in known]
            self._words[place] = self._read(o.STATUSWORD + shift)
            self._errors[place] = self._read(o.ERROR_CODE + shift)
            self._positions[place] = self._read(o.POSITION + shift)
        items = [(self._node.node_id, index, subindex) for index, subindex in wanted]
        for key, value in zip(wanted, self._node.network.read_many(items, errors="return"), strict=True):
            if not isinstance(value, OpenDiagError):
                self._values[key] = value
        states = [pds_state(word) for word in self._words if word is not None]
        told = ", ".join(state.value if state else "no state" for state in states)
        self.text = f"it is in {told}, and {len(self._values)} settings of it were read"

    def take_over(self, network: Network) -> None:
        """The double has booted: it gets the values, the mode, the position and the fault of the real one."""
        now = network.clock.now()
        for (index, subindex), value in self._values.items():
            try:
                self.drive.store.set(index, subindex, value)
            except (OpenDiagError, WireError):  # its own dictionary sees the object in another way
                continue
        for servo, position, word, code in zip(
            self.drive.axes, self._positions, self._words, self._errors, strict=True
        ):
            servo.axis.forget()
            mode = servo.axis.value(o.MODE)
            if mode in servo.modes:
                network.write(self.drive.node_id, servo.axis.index(o.MODE), mode)
            if position is not None:
                servo.axis.offset += position - servo.axis.counts(servo.motor.position)
            if word is not None and pds_state(word) in _FAULTS:
                servo.fault(code or 0xFF00, now)
