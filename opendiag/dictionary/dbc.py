"""A device as a DBC file, for tools that know CAN but not CANopen: what its dictionary says about one node-ID.

One message for each PDO with its mapping, and EMCY, heartbeat, NMT, SYNC and TIME. All signals are little-endian.
Numbers are those of the dictionary at this node-ID; a PDO that is remapped on the bus needs a new DBC.
"""

from __future__ import annotations

from collections.abc import Iterator

from opendiag.dictionary.dbc_render import Message, Names, Signal, render
from opendiag.dictionary.dbc_sdo import sdo_messages
from opendiag.dictionary.dbc_signal import described, signal_of
from opendiag.dictionary.model import ObjectDictionary, check_node_id, object_text
from opendiag.dictionary.pdos import Mapped, Pdo, number_of, pdos_of
from opendiag.wire.cob_id import CobId
from opendiag.wire.emcy import CODES
from opendiag.wire.nmt import COMMAND_TEXTS, NmtState

_MAX_BITS = 64
_SYNC, _TIME, _EMCY = 0x1005, 0x1012, 0x1014
_DUMMY_TYPES = range(1, 0x20)


def dbc_text(dictionary: ObjectDictionary, node_id: int, *, sdo: bool = False) -> str:
    """Return the text of a DBC for the device as node ``node_id`` (1..127).

    PDOs that are not valid are left out, and so are those whose COB-ID or mapping the file does not say; a comment
    names them. ``sdo`` adds the SDO requests and answers as multiplexed messages, of values of up to four bytes.

    The text has only characters of Windows-1252, the encoding that tools expect.

    Raises ValueError for a node-ID outside 1..127.
    """
    check_node_id(node_id)
    device = Names().legal(f"{dictionary.device.product_name or 'Node'}_{node_id}")
    messages = [_nmt()]
    left_out = []
    for pdo in pdos_of(dictionary, node_id):
        reason = _why_not(pdo)
        if reason:
            left_out.append(f"{pdo.name} ({reason})")
        else:
            messages.append(_pdo(dictionary, pdo, node_id, device))
    messages += _services(dictionary, node_id, device)
    if sdo:
        messages += sdo_messages(dictionary, node_id, device)
    comment = f"Node {node_id}: {dictionary.name}." + f" Not here: {', '.join(left_out)}." * bool(left_out)
    return render(messages, device, comment)


def _why_not(pdo: Pdo) -> str:
    if pdo.cob_id is None:
        return "COB-ID not known"
    if not pdo.valid:
        return "not valid"
    if pdo.multiplexed:
        return "multiplexed"
    if pdo.count is None or pdo.missing or pdo.count > len(pdo.mapped):
        return "mapping not known"
    if not pdo.bits:
        return "nothing mapped"
    if pdo.bits > _MAX_BITS:
        return f"{pdo.bits} bits mapped"
    return ""


def _pdo(dictionary: ObjectDictionary, pdo: Pdo, node_id: int, device: str) -> Message:
    names = Names()
    signals = []
    for mapped in pdo.mapped:
        if mapped.entry.bits and mapped.entry.index not in _DUMMY_TYPES:  # a gap has no name
            signals.append(_signal(dictionary, mapped, node_id, names))
    assert pdo.cob_id is not None
    comment = f"{pdo.name} of node {node_id}: {pdo.communication:04X}h and {pdo.mapping:04X}h."
    length = (pdo.bits + 7) // 8
    name = f"{pdo.name}_{node_id}"
    return Message(pdo.cob_id, name, length, signals, device if pdo.transmit else "", comment)


def _signal(dictionary: ObjectDictionary, mapped: Mapped, node_id: int, names: Names) -> Signal:
    entry = mapped.entry
    known = described(dictionary, node_id, entry.index, entry.subindex)
    if known is None:
        name = names.unique(f"Object_{entry.index:04X}_{entry.subindex:02X}")
        where = object_text(entry.index, entry.subindex)
        return Signal(name, mapped.bit, entry.bits, comment=f"{where}, not in the dictionary")
    return signal_of(*known, mapped.bit, entry.bits, names)


def _nmt() -> Message:
    signals = [
        Signal("NMT_command", 0, 8, values={int(each): text for each, text in COMMAND_TEXTS.items()}),
        Signal("NMT_node", 8, 8, values={0: "all nodes"}),
    ]
    return Message(CobId(0), "NMT", 2, signals, comment="What the NMT master tells one node or all.")


def _services(dictionary: ObjectDictionary, node_id: int, device: str) -> Iterator[Message]:
    if (cob := _cob_id(dictionary, _SYNC, node_id, 0x080)) is not None:
        counter = number_of(dictionary.get(0x1019, 0), node_id)
        signals = [Signal("SYNC_counter", 0, 8)] if counter else []
        yield Message(cob, "SYNC", len(signals), signals)
    if _TIME in dictionary.objects and (cob := _cob_id(dictionary, _TIME, node_id, 0x100)) is not None:
        signals = [
            Signal("TIME_of_day", 0, 28, unit="ms", comment="Since midnight."),
            Signal("TIME_days", 32, 16, unit="days", comment="Since 1984-01-01."),
        ]
        yield Message(cob, "TIME", 6, signals)
    emcy = _cob_id(dictionary, _EMCY, node_id, 0x080 + node_id)
    if emcy is not None and not emcy.bit_31 and emcy.can_id:
        signals = [
            Signal("EMCY_code", 0, 16, values=CODES),
            Signal("EMCY_register", 16, 8, comment="1001:00"),
            Signal("EMCY_manufacturer", 24, 40),
        ]
        yield Message(emcy, f"EMCY_{node_id}", 8, signals, device, f"Emergency of node {node_id}.")
    states = {int(state): "boot-up" if not state else state.text for state in NmtState}
    signals = [
        Signal("NMT_state", 0, 7, values=states),
        Signal("NMT_toggle", 7, 1, comment="Of node guarding; 0 in a heartbeat."),
    ]
    yield Message(CobId(0x700 + node_id), f"Heartbeat_{node_id}", 1, signals, device, "Heartbeat or guarding.")


def _cob_id(dictionary: ObjectDictionary, index: int, node_id: int, usual: int) -> CobId | None:
    """As configured; the usual one when the file does not say."""
    word = number_of(dictionary.get(index, 0), node_id)
    return CobId.decode(usual if word is None else word)
