"""An SDO message byte by byte."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opendiag.decode.node_view import NodeView
from opendiag.decode.sdo_observer import SdoObserver
from opendiag.decode.values import hex_text, said
from opendiag.dictionary.datatypes import byte_width
from opendiag.dictionary.model import object_text
from opendiag.frame import Frame
from opendiag.wire import sdo, sdo_block
from opendiag.wire.cob_id import Connection, Service, predefined

_ACCESS = {
    "ro": "read only",
    "wo": "write only",
    "rw": "read and write",
    "rwr": "read and write",
    "rww": "read and write",
    "const": "constant",
}
_SOURCES = {"cia301": "CiA 301", "cia302": "CiA 302", "cia402": "CiA 402"}
_Lines = list[tuple[str, str]]


def explain_sdo(
    node: NodeView, connection: Connection, frame: Frame, observer: SdoObserver | None
) -> tuple[_Lines, str]:
    """Lines and a sentence. Raise WireError for bytes that are no SDO message."""
    from_client = connection.service is Service.SDO_REQUEST
    data = frame.data
    if observer is not None and observer.expects_data(from_client, data):
        message: Any = sdo_block.BlockSegment.decode(data)
    else:
        message = sdo.decode_request(data) if from_client else sdo.decode_response(data)
    handler = _HANDLERS[type(message)]
    lines, sentence = handler(node, message, data, frame.can_id)
    for word in ("node", "Node"):  # not str.format: names and values may hold braces of their own
        sentence = sentence.replace(f"{{{word}}}", f"{word} {node.node_id}")
    return lines, sentence


def _object_lines(node: NodeView, message: Any, data: bytes) -> _Lines:
    described = node.describe(message.index, message.subindex)
    text = f"index {message.index:04X}h (low byte first)"
    if described.variable is None:
        text += ": not in the dictionary"
    else:
        variable = described.variable
        facts = [described.name or "", variable.type_name, _ACCESS.get(variable.access, "")]
        source = described.names_from or ""
        text += f": {', '.join(f for f in facts if f)} ({_SOURCES.get(source, source.removeprefix('eds:') + ' EDS')})"
    return [(hex_text(data[1:3]), text), (hex_text(data[3:4]), f"subindex {message.subindex}")]


def _name(node: NodeView, message: Any) -> str:
    name = node.describe(message.index, message.subindex).name
    where = object_text(message.index, message.subindex)
    return f"{name} ({where})" if name else f"object {where}"


def _unused(data: bytes, start: int, why: str = "unused") -> _Lines:
    return [(hex_text(data[start:]), why)] if len(data) > start else []


def _value_lines(node: NodeView, message: Any, data: bytes) -> tuple[_Lines, str]:
    raw = message.data
    text = said(node, message.index, message.subindex, raw)
    order = "low byte first: " if len(raw) > 1 else ""
    return [(hex_text(raw), order + text), *_unused(data, 4 + len(raw))], text


def _upload_initiate(node: NodeView, m: sdo.UploadInitiate, data: bytes, can_id: int) -> tuple[_Lines, str]:
    lines = [(hex_text(data[:1]), "initiate upload: read an object"), *_object_lines(node, m, data)]
    lines += _unused(data, 4, "unused in a read request; not a value")
    variable = node.describe(m.index, m.subindex).variable
    width = byte_width(variable.data_type) if variable is not None else None
    answer_id = f"{can_id - 0x80:03X}" if predefined(can_id).service is Service.SDO_REQUEST else "answer"
    expected = "41 .. with the size, then segments" if variable is not None else "4x .."
    if width is not None and width <= 4:
        command = 0x43 | (4 - width) << 2
        expected = f"{command:02X} {hex_text(data[1:4])} <{width} byte{'s' * (width > 1)}>"
    return lines, f"The client asks {{node}} for its {_name(node, m)}. Expected answer: {answer_id} [8] {expected}."


def _upload_initiated(node: NodeView, m: sdo.UploadInitiated, data: bytes, can_id: int) -> tuple[_Lines, str]:
    mux = _object_lines(node, m, data)
    if m.data is None:
        lines = [(hex_text(data[:1]), "upload response, segmented: the data follow in segments"), *mux, *_size(m, data)]
        return lines, f"{{Node}} answers: {_name(node, m)} comes in segments{_bytes(m.size)}."
    sized = _count(len(m.data)) if m.sized else "number of bytes not indicated"
    tail, value = _value_lines(node, m, data)
    lines = [(hex_text(data[:1]), f"upload response, expedited: {sized}, here they are"), *mux, *tail]
    return lines, f"{{Node}} answers: {_name(node, m)} is {value}."


def _download_initiate(node: NodeView, m: sdo.DownloadInitiate, data: bytes, can_id: int) -> tuple[_Lines, str]:
    mux = _object_lines(node, m, data)
    if m.data is None:
        lines = [(hex_text(data[:1]), "initiate download, segmented: write an object"), *mux, *_size(m, data)]
        return lines, f"The client will write {_name(node, m)} of {{node}} in segments{_bytes(m.size)}."
    sized = _count(len(m.data)) if m.sized else "number of bytes not indicated"
    tail, value = _value_lines(node, m, data)
    lines = [(hex_text(data[:1]), f"initiate download, expedited: write {sized}"), *mux, *tail]
    return lines, f"The client writes {_name(node, m)} of {{node}}: {value}."


def _download_initiated(node: NodeView, m: sdo.DownloadInitiated, data: bytes, can_id: int) -> tuple[_Lines, str]:
    lines = [(hex_text(data[:1]), "download response: accepted"), *_object_lines(node, m, data), *_unused(data, 4)]
    return lines, f"{{Node}} accepts the write of {_name(node, m)}."


def _segment(node: NodeView, m: sdo.Segment, data: bytes, can_id: int) -> tuple[_Lines, str]:
    last = "the last one" if m.last else "more follow"
    lines = [(hex_text(data[:1]), f"segment, toggle {int(m.toggle)}, {_count(len(m.data))} of data, {last}")]
    if m.data:
        lines.append((hex_text(m.data), _ascii(m.data)))
    return lines + _unused(data, 1 + len(m.data)), f"A piece of a segmented transfer with {{node}}: {last}."


def _segment_request(node: NodeView, m: sdo.SegmentRequest, data: bytes, can_id: int) -> tuple[_Lines, str]:
    lines = [(hex_text(data[:1]), f"upload segment request, toggle {int(m.toggle)}"), *_unused(data, 1)]
    return lines, "The client asks {node} for the next segment."


def _segment_ack(node: NodeView, m: sdo.SegmentAck, data: bytes, can_id: int) -> tuple[_Lines, str]:
    lines = [(hex_text(data[:1]), f"download segment response, toggle {int(m.toggle)}"), *_unused(data, 1)]
    return lines, "{Node} has the segment."


def _abort(node: NodeView, m: sdo.Abort, data: bytes, can_id: int) -> tuple[_Lines, str]:
    lines = [(hex_text(data[:1]), "abort: the transfer is over"), *_object_lines(node, m, data)]
    lines.append((hex_text(data[4:8]), f"abort code {m.code:08X}h (low byte first): {m.text}"))
    who = "The client" if predefined(can_id).service is Service.SDO_REQUEST else "{Node}"
    return lines, f"{who} aborts the transfer of {_name(node, m)}: {m.text}."


def _block_initiate(node: NodeView, m: Any, data: bytes, can_id: int) -> tuple[_Lines, str]:
    write = isinstance(m, sdo_block.BlockDownloadInitiate)
    what = "initiate block download: write an object" if write else "block upload response: the object comes in blocks"
    crc = "CRC supported" if m.crc else "no CRC"
    lines = [(hex_text(data[:1]), f"{what}; {crc}"), *_object_lines(node, m, data), *_size(m, data)]
    verb = "The client will write" if write else "{Node} will send"
    return lines, f"{verb} {_name(node, m)} in blocks{_bytes(m.size)}."


def _block_sizes(node: NodeView, m: Any, data: bytes, can_id: int) -> tuple[_Lines, str]:
    read = isinstance(m, sdo_block.BlockUploadInitiate)
    crc = "CRC supported" if m.crc else "no CRC"
    what = "initiate block upload: read an object" if read else "block download response: send the data"
    lines = [(hex_text(data[:1]), f"{what}; {crc}"), *_object_lines(node, m, data)]
    lines.append((hex_text(data[4:5]), f"{m.block_size} segments in a sub-block"))
    if read:
        lines.append((hex_text(data[5:6]), f"protocol switch threshold: {m.switch_below} bytes"))
        return lines + _unused(data, 6), f"The client asks {{node}} for its {_name(node, m)}, in blocks."
    return lines + _unused(data, 5), f"{{Node}} is ready to receive {_name(node, m)} in blocks."


def _block_start(node: NodeView, m: Any, data: bytes, can_id: int) -> tuple[_Lines, str]:
    return [(hex_text(data[:1]), "start of the block upload"), *_unused(data, 1)], "The client says: start sending."


def _block_segment(node: NodeView, m: sdo_block.BlockSegment, data: bytes, can_id: int) -> tuple[_Lines, str]:
    last = ", the last one" if m.last else ""
    lines = [(hex_text(data[:1]), f"block segment {m.sequence}{last}"), (hex_text(m.data), _ascii(m.data))]
    return lines, "A piece of a block transfer with {node}."


def _block_ack(node: NodeView, m: sdo_block.BlockAck, data: bytes, can_id: int) -> tuple[_Lines, str]:
    lines = [
        (hex_text(data[:1]), "acknowledge of a sub-block"),
        (hex_text(data[1:2]), f"segments up to {m.sequence} have arrived"),
        (hex_text(data[2:3]), f"the next sub-block may have {m.block_size} segments"),
    ]
    return lines + _unused(data, 3), f"The receiver has got segments up to {m.sequence}."


def _block_end(node: NodeView, m: sdo_block.BlockEnd, data: bytes, can_id: int) -> tuple[_Lines, str]:
    lines = [
        (hex_text(data[:1]), f"end of the block transfer; {m.unused} bytes of the last segment are padding"),
        (hex_text(data[1:3]), f"CRC {m.crc:04X}h"),
    ]
    return lines + _unused(data, 3), "The sender of the data says: that was all."


def _block_ended(node: NodeView, m: Any, data: bytes, can_id: int) -> tuple[_Lines, str]:
    return [(hex_text(data[:1]), "end of the block transfer confirmed"), *_unused(data, 1)], "The receiver has it all."


def _size(m: Any, data: bytes) -> _Lines:
    if m.size is None:
        return _unused(data, 4, "unused: the size is not said")
    return [(hex_text(data[4:8]), f"size: {m.size} bytes (low byte first)")]


def _count(number: int) -> str:
    return f"{number} byte{'s' * (number != 1)}"


def _bytes(size: int | None) -> str:
    return "" if size is None else f", {size} bytes"


def _ascii(data: bytes) -> str:
    """Data, and as text where it is text."""
    text = data.rstrip(b"\0")
    return f"data: {text.decode('ascii')!r}" if text and all(32 <= b < 127 for b in text) else "data"


_HANDLERS: dict[type, Callable[[NodeView, Any, bytes, int], tuple[_Lines, str]]] = {
    sdo.UploadInitiate: _upload_initiate,
    sdo.UploadInitiated: _upload_initiated,
    sdo.DownloadInitiate: _download_initiate,
    sdo.DownloadInitiated: _download_initiated,
    sdo.Segment: _segment,
    sdo.SegmentRequest: _segment_request,
    sdo.SegmentAck: _segment_ack,
    sdo.Abort: _abort,
    sdo_block.BlockDownloadInitiate: _block_initiate,
    sdo_block.BlockUploadInitiated: _block_initiate,
    sdo_block.BlockUploadInitiate: _block_sizes,
    sdo_block.BlockDownloadInitiated: _block_sizes,
    sdo_block.BlockUploadStart: _block_start,
    sdo_block.BlockSegment: _block_segment,
    sdo_block.BlockAck: _block_ack,
    sdo_block.BlockEnd: _block_end,
    sdo_block.BlockEnded: _block_ended,
}
