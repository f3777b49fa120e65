"""`opendiag pdo map`: put objects into a PDO, and set when it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from opendiag.cli import live, output
from opendiag.cli.options import EdsChoice, eds_options, node_id
from opendiag.cli.pdo_arguments import can_id, ms, take_one_pdo
from opendiag.cli.pdo_show import as_dict, print_pdo
from opendiag.dictionary.model import object_text
from opendiag.errors import ObjectNotFound, WireError
from opendiag.master.network import Network
from opendiag.master.node import Node
from opendiag.master.node_pdo import Pdo
from opendiag.services.pdo_parameters import (
    COB_ID,
    EVENT_DRIVEN,
    EVENT_TIMER,
    INHIBIT_TIME,
    SYNC_START,
    TRANSMISSION_TYPE,
    PdoParameters,
)
from opendiag.services.sdo_channel import SdoChannel
from opendiag.wire.cob_id import UNKNOWN, CobId, Service, predefined
from opendiag.wire.pdo import MappingEntry
from opendiag.wire.sdo import DownloadInitiate

_SETTINGS = {
    TRANSMISSION_TYPE: "transmission type",
    INHIBIT_TIME: "inhibit time, in 100 us",
    EVENT_TIMER: "event timer, in ms",
    SYNC_START: "SYNC start value",
}
#: "save" as 1010h wants it.
_SAVE = 0x65766173
#: Upper three bits of the command byte of a request to write.
_WRITE = 1


@click.command("map", short_help="Put objects into a PDO, set when it is sent.")
@click.argument("node", metavar="NODE")
@click.argument("what", nargs=-1, required=True, metavar="tpdo|rpdo N [OBJECT[/BITS]...]")
@live.interface_option
@eds_options
@live.timeout_option
@click.option("--type", "kind", type=click.IntRange(0, 255), metavar="N", help="Transmission type: 0..240 by SYNC, "
              "252 and 253 by remote frame, 254 and 255 at an event.")  # fmt: skip
@click.option("--inhibit", "inhibit_s", callback=live.seconds, metavar="TIME",
              help="Least time between two, as in 5ms; at most 6.5535s.")  # fmt: skip
@click.option("--event-timer", "event_s", callback=live.seconds, metavar="TIME",
              help="Sent at least so often, as in 100ms; of an RPDO: its deadline.")  # fmt: skip
@click.option("--cob-id", "cob", callback=can_id, metavar="HEX", help="CAN-ID, as in 1E5; above 7FF it has 29 bits.")
@click.option("--sync-start", type=click.IntRange(0, 240), metavar="N", help="SYNC counter to begin with; 0: any.")
@click.option("--on", is_flag=True, help="Switch the PDO on as it is.")
@click.option("--off", is_flag=True, help="Leave the PDO switched off.")
@click.option("--empty", is_flag=True, help="Map nothing: take all objects out.")
@click.option("--pre-operational", is_flag=True, help="Send the node to PRE-OPERATIONAL first, and back afterwards.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("-q", "--quiet", is_flag=True, help="No notes on stderr.")
def map_(
    node: str,
    what: tuple[str, ...],
    interface: str | None,
    eds: EdsChoice,
    timeout_s: float,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Map OBJECTs, in wire order, into a PDO of NODE, and switch it on. Transmits SDO requests that change the node.

    OBJECT is an index (6041), with a subindex (6064:00), or a name ("Position actual value"); /BITS where it is not
    the whole object; dummy/8 leaves room in an RPDO. Without any OBJECT the mapping stays and only the settings change.

    The five steps of CiA 301: switch the PDO off, clear the mapping, write the entries, write their number, set the
    rest and switch it on. When the node refuses one of them, what was changed is put back.
    """
    number, words = node_id(node), list(what)
    transmit, pdo_number = take_one_pdo(words)
    empty = options["empty"]
    settings = _settings(words, transmit, **options)
    with live.network(interface, eds, timeout_s=timeout_s, quiet=quiet) as network:
        peer = live.node(network, number, eds)
        pdo = peer.pdo.tpdo(pdo_number) if transmit else peer.pdo.rpdo(pdo_number)
        peer.identify()
        written = _Written(network, peer.client.channel)
        network.pump.listen(written)
        try:
            pdo.map(words or ([] if empty else None), **settings)
        except ObjectNotFound as error:
            raise click.BadParameter(f"{error}: expected an object such as 6041, 1018:01 or Statusword") from None
        printer = output.Printer()
        if as_json:
            written_ = [{"index": i, "subindex": s, "value": value} for i, s, value in written.values]
            printer.json({**as_dict(pdo), "written": written_})
        else:
            for index, subindex, value in written.values:
                name = f"{_meaning(peer, pdo.parameters.communication, index, subindex, value)}"
                printer.line(f"wrote {object_text(index, subindex)} = {value:X}h  {name}".rstrip())
            print_pdo(pdo, printer)
        remarks = [*_shared(network, pdo), *_held_back(pdo.parameters)]
    if not quiet:
        for remark in remarks:
            output.note(remark)
        output.note(
            f'The node forgets this when it is reset. To keep it: opendiag write {number} 1010:01 {_SAVE:#x} ("save")'
        )


def _settings(words: list[str], transmit: bool, **options: Any) -> dict[str, Any]:
    """What `Pdo.map` takes. Raises click.BadParameter, click.UsageError."""
    empty, on, off = options["empty"], options["on"], options["off"]
    if on and off:
        raise click.UsageError("--on and --off: take one")
    if empty and words:
        raise click.UsageError("--empty maps nothing: leave out the objects")
    asked = [options[name] for name in ("kind", "inhibit_s", "event_s", "cob", "sync_start")]
    if not (words or empty or on or off) and all(each is None for each in asked):
        raise click.UsageError("say what to map, or a setting such as --type 1; --on switches it on as it is")
    if (options["inhibit_s"] or 0) > 6.5535:
        raise click.BadParameter("--inhibit is at most 6.5535s")
    if (options["event_s"] or 0) > 65.535:
        raise click.BadParameter("--event-timer is at most 65.535s")
    if not transmit and options["sync_start"] is not None:
        raise click.BadParameter("--sync-start is for TPDOs")
    return {
        "transmission_type": options["kind"],
        "inhibit_s": options["inhibit_s"],
        "event_s": options["event_s"],
        "cob_id": _word(options["cob"]),
        "sync_start": options["sync_start"],
        "enable": not off,
        "pre_operational": options["pre_operational"],
    }


def _shared(network: Network, pdo: Pdo) -> Iterator[str]:
    """Who else has its CAN-ID, by the predefined connection set or because frames came with it."""
    cob, node_id = pdo.parameters.cob, pdo.node.node_id
    if cob.bit_31:
        return
    default = UNKNOWN if cob.extended else predefined(cob.can_id)
    if default.service in (Service.TPDO, Service.RPDO) and default.node_id != node_id:
        there = any(node.node_id == default.node_id for node in network.watch.heard_nodes())
        known = "which is on this bus" if there else "if there is one"
        yield (
            f"CAN-ID {cob.text}h is that of {default.label} of node {default.node_id} by default, {known}: "
            f"{_MEETING[pdo.transmit, default.service is Service.TPDO].format(default.node_id)}."
        )


#: (is ours a TPDO, is the other one) -> what comes of one CAN-ID for both.
_MEETING = {
    (True, True): "two senders of one CAN-ID destroy each other's frames. Give one of them another (--cob-id)",
    (True, False): "node {} takes what this one sends",
    (False, True): "this node takes what node {} sends",
    (False, False): "both take what is sent there",
}


def _held_back(parameters: PdoParameters) -> Iterator[str]:
    """An event timer that the inhibit time does not let through."""
    p = parameters
    if p.transmit and p.transmission_type in EVENT_DRIVEN and 0 < p.event_s < p.inhibit_s:
        yield (
            f"The event timer of {ms(p.event_s)} is shorter than the inhibit time of {ms(p.inhibit_s)}: {p.name} comes "
            f"no sooner than every {ms(p.inhibit_s)}. --inhibit 0 takes the limit away."
        )


def _word(cob: CobId | None) -> int | None:
    """The number alone, so that the node's own bit 30 stays."""
    return None if cob is None else cob.can_id


class _Written:
    """Listens for the objects that are written to a node: (index, subindex, value)."""

    def __init__(self, network: Network, channel: SdoChannel) -> None:
        self.values: list[tuple[int, int, int]] = []
        self._can_id = channel.request_id
        self._extended = channel.request_extended

    def sent(self, frame: Any, now: float) -> None:
        of_node = (frame.can_id, frame.extended) == (self._can_id, self._extended)
        if not of_node or not frame.data or frame.data[0] >> 5 != _WRITE:
            return
        try:
            request = DownloadInitiate.decode(frame.data)
        except WireError:
            return
        self.values.append((request.index, request.subindex, int.from_bytes(request.data or b"", "little")))

    def received(self, frame: Any, now: float) -> None:
        """Only what leaves counts."""

    def send_failed(self, frame: Any, reason: str, now: float) -> None:
        """The transfer says it."""


def _meaning(peer: Node, communication: int, index: int, subindex: int, value: int) -> str:
    if index == communication:
        if subindex == COB_ID:
            cob = CobId.decode(value)
            return "switched off" if cob.bit_31 else f"CAN-ID {cob.text}h, switched on"
        return _SETTINGS.get(subindex, "")
    if not subindex:
        return f"{value} object{'s' * (value != 1)}" if value else "mapping cleared"
    entry = MappingEntry.decode(value)
    name = "dummy" if entry.is_dummy else peer.describe(entry.index, entry.subindex).name or ""
    return f"{object_text(entry.index, entry.subindex)} {name}, {entry.bits} bits".replace(" ,", ",")
