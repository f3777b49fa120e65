"""Which CAN-ID means what on one bus: predefined, as the files say, and as the traffic shows it being configured.

What the traffic says beats what a file says, and that beats the predefined connection set of CiA 301.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from opendiag.decode.node_view import NodeView
from opendiag.frame import Frame
from opendiag.wire.cob_id import (
    PREDEFINED_BROADCAST,
    REMOTE_SERVICES,
    UNKNOWN,
    CobId,
    Connection,
    Service,
    classify,
    predefined,
)

_Key = tuple[int, bool]
_PDO_AREAS = ((0x1400, Service.RPDO), (0x1800, Service.TPDO))
#: How much a source is worth.
_RANK = {"traffic": 2, "eds": 1, "predefined": 0}
#: SDO channels that only a client tells are numbered from here on.
_CLIENT_NUMBERS = 0x100
_NOT_VALID_MEANS_OFF = (Service.TPDO, Service.RPDO, Service.SDO_REQUEST, Service.SDO_RESPONSE, Service.EMCY)


@dataclass(frozen=True, slots=True)
class Link:
    """A connection on its CAN-ID. ``valid`` is False while bit 31 says that the object does not exist.

    ``source`` is traffic, eds or predefined; ``note`` says what else is to be known about this CAN-ID.
    """

    connection: Connection
    source: str = "predefined"
    valid: bool = True
    note: str = ""


class ConnectionSet:
    """All links of one bus. Call `refresh` when a communication object of a node was learned or reset."""

    def __init__(self) -> None:
        self._owned: dict[int, dict[Connection, tuple[_Key, Link]]] = {}
        self._by_id: dict[_Key, list[Link]] = {}
        self._moved: dict[Connection, _Key] = {}
        self._stale: dict[int, NodeView] = {}

    def lookup(self, frame: Frame) -> Link:
        """What this frame is. Never raises."""
        if self._stale:
            self._settle()
        standard = classify(frame)
        configured = self._by_id.get((frame.can_id, frame.extended))
        if configured is None and (not self._moved or standard not in self._moved):
            return Link(standard)
        if frame.error:
            return Link(UNKNOWN)
        candidates = [link for link in configured or () if _suits(link, frame)]
        if standard is not UNKNOWN and standard not in self._moved:
            candidates.append(Link(standard))
        if candidates:
            return _best(candidates)
        if standard is UNKNOWN:
            return Link(UNKNOWN)
        note = f"{standard.label} of node {standard.node_id} by default, but that was moved to "
        return Link(UNKNOWN, note=note + _id_text(self._moved[standard]))

    def refresh(self, node: NodeView) -> None:
        """Read the node's COB-IDs again, before the next `lookup`."""
        self._stale[node.node_id] = node

    def _settle(self) -> None:
        for node_id, node in self._stale.items():
            found = ((c, _configured(node, c, index, subindex)) for c, index, subindex in _configurable(node))
            self._owned[node_id] = {connection: link for connection, link in found if link is not None}
        self._stale.clear()
        self._by_id, self._moved = {}, {}
        for links in self._owned.values():
            for connection, (key, link) in links.items():
                self._by_id.setdefault(key, []).append(link)
                if connection.node_id:  # SYNC and TIME may differ between nodes; the default stays what it was
                    self._moved[connection] = key


def _configured(node: NodeView, connection: Connection, index: int, subindex: int) -> tuple[_Key, Link] | None:
    value, source = node.seen(index, subindex), "traffic"
    if value is None:
        value, source = node.configured(index, subindex), "eds"
    if value is None:
        return None
    cob_id = CobId.decode(value)
    if not _may_use(connection, cob_id):
        return None
    valid = not (cob_id.bit_31 and connection.service in _NOT_VALID_MEANS_OFF)
    standard = UNKNOWN if cob_id.extended or not valid else predefined(cob_id.can_id)
    if source == "eds" and standard == connection:
        return None  # the file says what the predefined set says
    if connection.number >= _CLIENT_NUMBERS and standard == replace(connection, number=1):
        return None  # this client uses the default channel
    return (cob_id.can_id, cob_id.extended), Link(connection, source, valid)


def _may_use(connection: Connection, cob_id: CobId) -> bool:
    """False for NMT's, SYNC's, TIME's and LSS' identifiers: the entry is not set, or nonsense.

    A device that names 000h or 080h for something of its own does not take them away from their owners.
    """
    owner = UNKNOWN.service if cob_id.extended else predefined(cob_id.can_id).service
    return owner is connection.service or owner not in PREDEFINED_BROADCAST.values()


def _suits(link: Link, frame: Frame) -> bool:
    """A remote frame may ask for a PDO; CAN FD carries PDOs; no other service comes in either."""
    service = link.connection.service
    if frame.remote:
        return service in REMOTE_SERVICES
    return not frame.fd or service in (Service.TPDO, Service.RPDO)


def _id_text(key: _Key) -> str:
    return f"{key[0]:08X}" if key[1] else f"{key[0]:03X}"


def _best(candidates: list[Link]) -> Link:
    """The best founded one; between equals a producer, as several devices may consume what one produces, and the
    server of an SDO channel.
    """
    best = max(candidates, key=_worth)
    others = [f"{c.connection.label} of node {c.connection.node_id}" for c in candidates if c is not best and c.valid]
    if not others:
        return best
    return Link(best.connection, best.source, best.valid, note=f"also {', '.join(others)}")


def _worth(link: Link) -> tuple[bool, int, bool, bool]:
    connection = link.connection
    producer, owner = connection.service is not Service.RPDO, connection.number < _CLIENT_NUMBERS
    return link.valid, _RANK[link.source], producer, owner


def _configurable(node: NodeView) -> Iterator[tuple[Connection, int, int]]:
    """(connection, index, subindex of its COB-ID) of everything that may be configured in this node."""
    known = node.configuring_indices()
    for index, service in ((0x1005, Service.SYNC), (0x1012, Service.TIME)):
        if index in known:
            yield Connection(service), index, 0
    if 0x1014 in known:
        yield Connection(Service.EMCY, node.node_id), 0x1014, 0
    for index in (i for i in known if 0x1200 <= i <= 0x127F):
        number = index - 0x1200 + 1
        yield Connection(Service.SDO_REQUEST, node.node_id, number), index, 1
        yield Connection(Service.SDO_RESPONSE, node.node_id, number), index, 2
    for index in (i for i in known if 0x1280 <= i <= 0x12FF):
        server = node.number(index, 3)
        if server and 1 <= server <= 127:  # a client's view of a channel: numbered apart from the server's own
            number = _CLIENT_NUMBERS * node.node_id + index - 0x1280 + 1
            yield Connection(Service.SDO_REQUEST, server, number), index, 1
            yield Connection(Service.SDO_RESPONSE, server, number), index, 2
    for first, service in _PDO_AREAS:
        for index in (i for i in known if first <= i <= first + 0x1FF):
            number = index - first + 1
            if node.number(index + 0x200, 0) == 0 and node.seen(index, 1) is None:
                continue  # an unused slot of the file
            yield Connection(service, node.node_id, number), index, 1
