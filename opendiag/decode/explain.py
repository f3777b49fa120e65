"""One frame, byte by byte, in words.

The frames explained so far are the context: a later one is explained with the COB-IDs, mappings and transfers that
they showed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from opendiag.decode import error_frame
from opendiag.decode.connection_set import Link
from opendiag.decode.decoder import Decoder
from opendiag.decode.explain_sdo import explain_sdo
from opendiag.decode.node_view import NodeView
from opendiag.decode.pdo_view import Mapping, cut_pdo, mapping_index, mapping_of
from opendiag.decode.records import Record
from opendiag.decode.values import error_text, guesses, said
from opendiag.dictionary.model import object_text
from opendiag.errors import WireError
from opendiag.frame import Frame
from opendiag.wire import emcy, heartbeat, lss, nmt, sync, time_stamp
from opendiag.wire.cob_id import Connection, Service, function_code, predefined


@dataclass(frozen=True, slots=True)
class Line:
    """Some bytes of the frame and what they mean. ``part`` is empty for a remark."""

    part: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """``lines`` cover the identifier and every byte; ``sentence`` says it all in one.

    ``records`` are what the decoder made of the frame.
    """

    lines: tuple[Line, ...]
    sentence: str
    connection: Connection
    records: tuple[Record, ...] = ()


class Explainer:
    """Explains frames one after the other."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder

    def explain(self, frame: Frame) -> Explanation:
        """Never raises for what the frame holds."""
        bus = self._decoder.bus(frame.channel)
        link = bus.connections.lookup(frame)
        connection = link.connection
        node = bus.node(connection.node_id)
        head = [*_identifier(frame, link), *_kind(frame)]
        try:
            if connection.service in (Service.SDO_REQUEST, Service.SDO_RESPONSE) and not frame.remote:
                observer = bus.observers.get((connection.node_id, connection.number))
                body, sentence = explain_sdo(node, connection, frame, observer)
            else:
                body, sentence = _body(node, link, frame)
        except WireError as error:
            body = [(_bytes(frame.data) or "-", f"not what it should be: {error.reason}")]
            sentence = f"This is not a correct {connection.service.value} message."
        records = self._decoder.feed(frame)
        lines = [*head, *(Line(part, meaning) for part, meaning in body)]
        return Explanation(tuple(lines), sentence, connection, tuple(records))


def _identifier(frame: Frame, link: Link) -> Iterator[Line]:
    connection = link.connection
    if frame.error:
        yield Line(frame.id_text, "error frame: a report of this adapter, not a message from the bus")
        return
    if frame.extended:
        yield Line(frame.id_text, "29-bit identifier; the predefined connection set of CiA 301 has 11 bits")
    else:
        code, node_id = function_code(frame.can_id), frame.can_id & 0x7F
        standard = predefined(frame.can_id)
        bits = f"{code:04b} {node_id:07b}b"
        if standard.node_id:
            text = f"{bits}: function code {code} ({standard.label}), node-ID {node_id} ({node_id:02X}h)"
        elif standard.service is not Service.UNKNOWN:
            text = f"{bits}: {standard.label}"
        else:
            text = f"{bits}: function code {code}, node-ID {node_id}: not part of the predefined connection set"
        yield Line(frame.id_text, text)
    if link.source != "predefined":
        source = "the traffic" if link.source == "traffic" else "the dictionary"
        yield Line("", f"configured by {source}: {connection.label} of node {connection.node_id}")
    if link.note:
        yield Line("", link.note)


def _kind(frame: Frame) -> Iterator[Line]:
    if frame.remote:
        yield Line("RTR", f"remote frame: carries no data and asks for {frame.dlc} bytes")
    if frame.fd:
        more = (", sent at the higher bit rate (BRS)" if frame.brs else "") + (", sender error passive" * frame.esi)
        yield Line("FD", f"CAN FD frame{more}")


_Body = tuple[list[tuple[str, str]], str]


def _bytes(data: bytes) -> str:
    """All of them, however many: each byte of the frame has its line."""
    return data.hex(" ").upper()


def _body(node: NodeView, link: Link, frame: Frame) -> _Body:
    connection = link.connection
    service = connection.service
    if frame.error:
        text = error_frame.explain(frame)
        return [(_bytes(frame.data), text)], f"The adapter saw: {text}."
    if frame.remote:
        return _remote(connection)
    if service in (Service.TPDO, Service.RPDO):
        return _pdo(node, connection, frame)
    handler = _BODIES.get(service)
    if handler is None:
        more = guesses(frame.data)
        return [(_bytes(frame.data) or "-", more or "meaning unknown")], "No CANopen service that is known here."
    return handler(node, frame.data)


def _remote(connection: Connection) -> _Body:
    if connection.service is Service.ERROR_CONTROL:
        return [], f"Node guarding: the master asks node {connection.node_id} for its state."
    if connection.service is Service.TPDO:
        return [], f"Somebody asks node {connection.node_id} to send its {connection.label}."
    return [], "CANopen uses no remote frame here."


def _pdo(node: NodeView, connection: Connection, frame: Frame) -> _Body:
    mapping = mapping_of(node, connection)
    who = f"Node {node.node_id} sends" if connection.service is Service.TPDO else f"Node {node.node_id} receives"
    if mapping.source is None or mapping.multiplexed:
        index = mapping_index(connection)
        more = guesses(frame.data)
        text = "process data" + (f"; {more}" if more else "")
        hint = f"{index:04X}h tells which objects these are: give --eds {node.node_id}=FILE"
        if mapping.multiplexed:
            hint = "it is a multiplexed PDO, which names its object in bytes 1 to 3"
        return [(_bytes(frame.data) or "-", text)], f"{who} {connection.label}; {hint}."
    lines = list(_mapped(node, mapping, frame.data))
    source = "the traffic" if mapping.source == "traffic" else "the dictionary"
    objects = ", ".join(_mapped_names(node, mapping)) or "nothing"
    return lines, f"{who} {connection.label}, which carries {objects} (mapping from {source})."


def _mapped_names(node: NodeView, mapping: Mapping) -> Iterator[str]:
    for entry in mapping.entries:
        name = node.describe(entry.index, entry.subindex).name
        yield name or object_text(entry.index, entry.subindex)


def _mapped(node: NodeView, mapping: Mapping, data: bytes) -> Iterator[tuple[str, str]]:
    cut = cut_pdo(node, mapping, data)
    end = 0
    for entry, offset, raw in cut:
        end = offset + entry.bits
        aligned = not offset % 8 and not entry.bits % 8
        part = _bytes(data[offset // 8 : end // 8]) if aligned else f"bits {offset}..{end - 1}"
        where = object_text(entry.index, entry.subindex)
        if entry.is_dummy:
            yield part, f"{where} dummy: not used by the receiver"
            continue
        name = node.describe(entry.index, entry.subindex).name or "not in the dictionary"
        yield part, f"{where} {name} = {said(node, entry.index, entry.subindex, raw, entry.bits)}"
    rest = _bytes(data[end // 8 :])
    if len(cut) < len(mapping.entries):
        missing = mapping.entries[len(cut)]
        where = object_text(missing.index, missing.subindex)
        yield rest or "-", f"too short: {where}, which comes next, has {missing.bits} bits"
    elif rest:
        yield rest, "beyond the mapping"


def _nmt(node: NodeView, data: bytes) -> _Body:
    message = nmt.NmtMessage.decode(data)
    who = "all nodes" if message.node_id == nmt.ALL_NODES else f"node {message.node_id}"
    lines = [(f"{data[0]:02X}", f"command: {message.command.text}"), (f"{data[1]:02X}", f"for {who}")]
    return lines, f"The NMT master tells {who}: {message.command.text}."


def _sync(node: NodeView, data: bytes) -> _Body:
    message = sync.Sync.decode(data)
    lines = [] if message.counter is None else [(f"{data[0]:02X}", f"counter {message.counter}")]
    return lines, "SYNC: synchronous PDOs are sampled and take effect now."


def _time(node: NodeView, data: bytes) -> _Body:
    stamp = time_stamp.TimeOfDay.decode(data)
    lines = [
        (_bytes(data[:4]), f"{stamp.ms} ms after midnight"),
        (_bytes(data[4:]), f"{stamp.days} days after 1984-01-01"),
    ]
    return lines, f"The time is {stamp.isoformat()}."


def _emcy(node: NodeView, data: bytes) -> _Body:
    message = emcy.Emcy.decode(data)
    text = error_text(node, message.code)
    register = ", ".join(emcy.error_register_names(message.register)) or "no bit set"
    lines = [
        (_bytes(data[:2]), f"error code {message.code:04X}h: {text}"),
        (_bytes(data[2:3]), f"error register: {register}"),
        (_bytes(data[3:]), "manufacturer specific"),
    ]
    if message.code == 0:
        return lines, f"Node {node.node_id} reports that its error is gone."
    return lines, f"Node {node.node_id} reports an emergency: {text}."


def _error_control(node: NodeView, data: bytes) -> _Body:
    message = heartbeat.ErrorControl.decode(data)
    if message.is_boot_up:
        return [("00", "boot-up message")], f"Node {node.node_id} has just started."
    toggle = ", toggle bit set (an answer to node guarding)" if message.toggle else ""
    lines = [(f"{data[0]:02X}", f"NMT state {message.state.text}{toggle}")]
    return lines, f"Node {node.node_id} is {message.state.text}."


def _lss_request(node: NodeView, data: bytes) -> _Body:
    return _lss(data, lss.decode_request(data), "The LSS master")


def _lss_response(node: NodeView, data: bytes) -> _Body:
    return _lss(data, lss.decode_response(data), "An LSS slave")


def _lss(data: bytes, message: Any, who: str) -> _Body:
    command = lss.LssCommand(data[0])
    lines = [(f"{data[0]:02X}", command.name.replace("_", " ").lower()), (_bytes(data[1:]), message.text)]
    return lines, f"{who}: {message.text}."


_BODIES: dict[Service, Callable[[NodeView, bytes], _Body]] = {
    Service.NMT: _nmt,
    Service.SYNC: _sync,
    Service.TIME: _time,
    Service.EMCY: _emcy,
    Service.ERROR_CONTROL: _error_control,
    Service.LSS_REQUEST: _lss_request,
    Service.LSS_RESPONSE: _lss_response,
}
