"""Frames in, records out: what happened on the bus, by listening only.

    decoder = Decoder({101: load("stepim")})
    for frame in frames:
        for record in decoder.feed(frame): ...
    for record in decoder.finish(): ...

It never sends, never reads a clock, and never raises for what was on the wire.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from opendiag.decode import error_frame
from opendiag.decode.bus import Bus, Dictionaries
from opendiag.decode.connection_set import Link
from opendiag.decode.node_view import NodeView
from opendiag.decode.records import Record
from opendiag.decode.sdo_observer import SdoObserver
from opendiag.decode.sdo_records import sdo_record
from opendiag.decode.values import error_text, guesses
from opendiag.dictionary.library import Library
from opendiag.dictionary.model import ObjectDictionary
from opendiag.errors import WireError
from opendiag.frame import Frame
from opendiag.wire import emcy, heartbeat, lss, nmt, sync, time_stamp
from opendiag.wire.cob_id import Service


class Decoder:
    """``dictionaries`` by node-ID; ``fallback`` for nodes without one; ``library`` finds one by identity (1018h).

    ``known``: what was known of the nodes before the first frame, on whatever channel they are.
    Raises ValueError for a node-ID outside 1..127, TypeError for a dictionary that is none.
    """

    def __init__(
        self,
        dictionaries: Mapping[int, ObjectDictionary] | None = None,
        fallback: ObjectDictionary | None = None,
        library: Library | None = None,
        known: Sequence[NodeView] = (),
    ) -> None:
        for node_id, dictionary in (dictionaries or {}).items():
            if not isinstance(node_id, int) or not 1 <= node_id <= 127:
                raise ValueError(f"node-ID {node_id!r} is outside 1..127")
            if not isinstance(dictionary, ObjectDictionary):
                raise TypeError(f"node {node_id}: expected an ObjectDictionary, as load({dictionary!r}) gives")
        self._dictionaries = Dictionaries(dict(dictionaries or {}), fallback, library)
        self._known = tuple(known)
        self.frames = 0
        self.buses: dict[str | None, Bus] = {}

    def bus(self, channel: str | None) -> Bus:
        """State of one channel of the capture."""
        bus = self.buses.get(channel)
        if bus is None:
            bus = self.buses[channel] = Bus(self._dictionaries, self._known)
        return bus

    def feed(self, frame: Frame) -> list[Record]:
        """What this frame says, and what it completes; often nothing, as of an SDO request."""
        self.frames += 1
        bus = self.bus(frame.channel)
        link = bus.connections.lookup(frame)
        if frame.error:
            return [self._record(frame, "error-frame", text=error_frame.explain(frame))]
        handler = self._REMOTE if frame.remote else self._HANDLERS
        return handler.get(link.connection.service, Decoder._unknown)(self, bus, link, frame)

    def finish(self) -> list[Record]:
        """SDO transfers that the end of the capture cuts off. Not a timeout: nobody waited."""
        records = []
        for channel, bus in self.buses.items():
            for (node_id, number), observer in bus.observers.items():
                for transfer in observer.finish():
                    records.append(sdo_record(bus.node(node_id), number, channel, None, transfer))
        return sorted(records, key=lambda record: record.frames[:1])

    # -- helpers --------------------------------------------------------------------------------------------------

    def _record(self, frame: Frame, service: str, link: Link | None = None, **fields: Any) -> Record:
        node = link.connection.node_id or None if link is not None else None
        flags = fields.pop("flags", ())
        return Record(
            service,
            (self.frames,),
            time_ns=frame.time_ns,
            channel=frame.channel,
            can_id=frame.can_id,
            node=fields.pop("node", node),
            flags=_frame_flags(frame) + tuple(flags),
            **fields,
        )

    def _malformed(self, frame: Frame, service: str, link: Link, error: WireError) -> list[Record]:
        return [self._record(frame, service, link, status="malformed", raw=frame.data, text=error.reason)]

    # -- services -------------------------------------------------------------------------------------------------

    def _unknown(self, bus: Bus, link: Link, frame: Frame) -> list[Record]:
        if link.note:
            text = link.note
        elif frame.extended:
            text = "29-bit identifier: no CANopen service is configured here"
        elif frame.remote:
            text = "remote frame: no CANopen service asks like this here"
        elif frame.fd:
            text = "CAN FD frame: no CiA 301 service by its number alone"
        else:
            text = "no CANopen service has this identifier here"
        more = guesses(frame.data)
        repeated = bus.is_repeated(("unknown", frame.can_id, frame.extended), (frame.data, frame.remote))
        flags = ("unchanged",) if repeated else ()
        text = f"{text} ({more})" if more else text
        return [self._record(frame, "unknown", link, raw=frame.data, text=text, flags=flags)]

    def _nmt(self, bus: Bus, link: Link, frame: Frame) -> list[Record]:
        try:
            message = nmt.NmtMessage.decode(frame.data)
        except WireError as error:
            return self._malformed(frame, "nmt", link, error)
        if message.command in (nmt.NmtCommand.RESET_NODE, nmt.NmtCommand.RESET_COMMUNICATION):
            for node in list(bus.nodes.values()):
                if message.node_id in (nmt.ALL_NODES, node.node_id):
                    node.reset()
                    bus.changed(node)
        details = {"command": message.command.name, "target": message.node_id}
        return [
            self._record(
                frame, "nmt", link, node=message.node_id or None, raw=frame.data, text=message.text, details=details
            )
        ]

    def _sync(self, bus: Bus, link: Link, frame: Frame) -> list[Record]:
        try:
            counter = sync.Sync.decode(frame.data).counter
        except WireError as error:
            return self._malformed(frame, "sync", link, error)
        if counter is None:
            repeated = bus.is_repeated(("sync",), None)
            return [self._record(frame, "sync", link, flags=("unchanged",) if repeated else ())]
        return [
            self._record(
                frame,
                "sync",
                link,
                raw=frame.data,
                value=counter,
                text=f"counter {counter}",
                details={"counter": counter},
            )
        ]

    def _time(self, bus: Bus, link: Link, frame: Frame) -> list[Record]:
        try:
            stamp = time_stamp.TimeOfDay.decode(frame.data)
        except WireError as error:
            return self._malformed(frame, "time", link, error)
        details = {"days_since_1984": stamp.days, "ms_of_day": stamp.ms}
        text = stamp.isoformat()
        return [self._record(frame, "time", link, raw=frame.data, value=text, text=text, details=details)]

    def _emcy(self, bus: Bus, link: Link, frame: Frame) -> list[Record]:
        if not frame.data:  # how nodes said it before CiA 301 had the boot-up message
            return [self._boot_up(bus, link, frame, flags=("legacy-boot-up",))]
        try:
            message = emcy.Emcy.decode(frame.data)
        except WireError as error:
            return self._malformed(frame, "emcy", link, error)
        node = bus.node(link.connection.node_id)
        parts = [f"{message.code:04X}h {error_text(node, message.code)}"]
        register = emcy.error_register_names(message.register)
        if register:
            parts.append(f"error register: {', '.join(register)}")
        if any(message.manufacturer):
            parts.append(f"manufacturer {message.manufacturer.hex(' ').upper()}")
        details = {"code": message.code, "register": message.register, "manufacturer": message.manufacturer}
        return [
            self._record(
                frame,
                "emcy",
                link,
                raw=frame.data,
                value=message.code,
                text="; ".join(parts),
                bits=tuple(register),
                details=details,
            )
        ]

    def _boot_up(self, bus: Bus, link: Link, frame: Frame, flags: tuple[str, ...] = ()) -> Record:
        node = bus.node(link.connection.node_id)
        node.reset()
        bus.changed(node)
        bus.last.pop(("heartbeat", node.node_id), None)
        bus.last.pop(("guarding", node.node_id), None)
        text = "the node has started and enters pre-operational by itself"
        state = nmt.NmtState.INITIALISING.name
        return self._record(frame, "boot-up", link, raw=frame.data, state=state, text=text, flags=flags)

    def _error_control(self, bus: Bus, link: Link, frame: Frame) -> list[Record]:
        node = bus.node(link.connection.node_id)
        asked, node.guard_asked = node.guard_asked, False
        try:
            message = heartbeat.ErrorControl.decode(frame.data)
        except WireError as error:
            return self._malformed(frame, "heartbeat", link, error)
        # A set toggle bit is guarding, and so is the clear one after it, even where the questions were not captured.
        if not message.is_boot_up and (asked or message.toggle or node.guard_toggle):
            return [self._guarding(bus, link, frame, node, message)]
        if message.is_boot_up:
            return [self._boot_up(bus, link, frame)]
        repeated = bus.is_repeated(("heartbeat", node.node_id), message.state)
        flags = ("unchanged",) if repeated else ()
        return [
            self._record(
                frame, "heartbeat", link, raw=frame.data, state=message.state.name, text=message.state.text, flags=flags
            )
        ]

    def _guarding(self, bus: Bus, link: Link, frame: Frame, node: NodeView, message: heartbeat.ErrorControl) -> Record:
        expected = None if node.guard_toggle is None else not node.guard_toggle
        node.guard_toggle = message.toggle
        text = f"{message.state.text}, toggle {int(message.toggle)}"
        flags = []
        if expected is not None and message.toggle != expected:
            flags.append("toggle-error")
            text += "; the toggle bit did not alternate: an answer is missing or repeated"
        if bus.is_repeated(("guarding", node.node_id), message.state):
            flags.append("unchanged")
        details = {"toggle": message.toggle}
        return self._record(
            frame, "guarding", link, raw=frame.data, state=message.state.name, text=text, flags=flags, details=details
        )

    def _lss_request(self, bus: Bus, link: Link, frame: Frame) -> list[Record]:
        return self._lss(frame, link, lss.decode_request, "master")

    def _lss_response(self, bus: Bus, link: Link, frame: Frame) -> list[Record]:
        return self._lss(frame, link, lss.decode_response, "slave")

    def _lss(self, frame: Frame, link: Link, decode: Callable[[bytes], Any], sender: str) -> list[Record]:
        try:
            message = decode(frame.data)
        except WireError as error:
            return self._malformed(frame, "lss", link, error)
        details = {"from": sender, "command": lss.LssCommand(frame.data[0]).name}
        return [self._record(frame, "lss", link, raw=frame.data, text=f"{sender}: {message.text}", details=details)]

    def _sdo(self, bus: Bus, link: Link, frame: Frame) -> list[Record]:
        connection = link.connection
        key = connection.node_id, connection.number
        observer = bus.observers.get(key)
        if observer is None:
            observer = bus.observers[key] = SdoObserver()
        from_client = connection.service is Service.SDO_REQUEST
        records = []
        for transfer in observer.feed(from_client, frame.data, self.frames, frame.time_ns):
            node = bus.node(connection.node_id)
            record = sdo_record(node, connection.number, frame.channel, frame.can_id, transfer)
            if record.status == "ok" and record.index is not None and record.raw is not None:
                bus.learn(node, record.index, record.subindex or 0, record.raw, transfer.kind == "write")
            records.append(record)
        return records

    def _pdo(self, bus: Bus, link: Link, frame: Frame) -> list[Record]:
        node = bus.node(link.connection.node_id)
        return bus.pdos.read(node, link, frame, self.frames, _frame_flags(frame))

    def _remote_pdo(self, bus: Bus, link: Link, frame: Frame) -> list[Record]:
        connection = link.connection
        text = f"remote frame: asks node {connection.node_id} to send {connection.label}"
        return [self._record(frame, connection.service.value.lower(), link, number=connection.number, text=text)]

    def _remote_guarding(self, bus: Bus, link: Link, frame: Frame) -> list[Record]:
        bus.node(link.connection.node_id).guard_asked = True
        return [self._record(frame, "guarding", link, text="remote frame: the master asks for the state")]

    _HANDLERS: ClassVar[dict[Service, Callable[[Decoder, Bus, Link, Frame], list[Record]]]] = {
        Service.NMT: _nmt,
        Service.SYNC: _sync,
        Service.TIME: _time,
        Service.EMCY: _emcy,
        Service.ERROR_CONTROL: _error_control,
        Service.LSS_REQUEST: _lss_request,
        Service.LSS_RESPONSE: _lss_response,
        Service.SDO_REQUEST: _sdo,
        Service.SDO_RESPONSE: _sdo,
        Service.TPDO: _pdo,
        Service.RPDO: _pdo,
    }
    _REMOTE: ClassVar[dict[Service, Callable[[Decoder, Bus, Link, Frame], list[Record]]]] = {
        Service.TPDO: _remote_pdo,
        Service.ERROR_CONTROL: _remote_guarding,
    }


def _frame_flags(frame: Frame) -> tuple[str, ...]:
    """What is special about the frame itself."""
    if not (frame.extended or frame.remote or frame.fd):
        return ()
    names = (("29-bit", frame.extended), ("remote-frame", frame.remote), ("can-fd", frame.fd))
    return tuple(name for name, is_set in names if is_set)
