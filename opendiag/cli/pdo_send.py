"""`opendiag pdo send`: give values to a node by one of its RPDOs."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import click

from opendiag.cli import EXIT_BUS, EXIT_FINDINGS, live, output
from opendiag.cli.options import EdsChoice, eds_options, node_id
from opendiag.cli.pdo_arguments import take_one_pdo, tell_state, value_text, with_interface
from opendiag.diagnose.pdo_why_facts import told_state
from opendiag.dictionary import names
from opendiag.dictionary.datatypes import Value
from opendiag.dictionary.model import object_text
from opendiag.dictionary.value_text import parse_value
from opendiag.errors import AdapterError, SdoError, ValueRefused
from opendiag.master.network import Network
from opendiag.master.node_pdo import PdoRow, Rpdo
from opendiag.services.pdo_parameters import COB_ID, needs_sync
from opendiag.services.plans import Plan, SdoRead, WaitFor

#: A heartbeat is waited for a bit longer than its period, and no longer than a usual one.
_MARGIN, _HEARTBEAT_S = 1.2, 2.5


# Negative numbers are values, not options.
@click.command(short_help="Send an RPDO.", context_settings={"ignore_unknown_options": True})
@click.argument("node", metavar="NODE")
@click.argument("what", nargs=-1, required=True, metavar="rpdo N [NAME=VALUE]...")
@live.interface_option
@eds_options
@live.timeout_option
@click.option("--every", "period_s", callback=live.seconds, metavar="TIME", help="Again and again, as in 10ms.")
@click.option("--sync", "by_sync", is_flag=True, help="With every SYNC on the bus.")
@click.option("--for", "seconds", metavar="TIME", callback=live.seconds, help="End after this time, as in 5s; without "
              "it: at Ctrl-C.")  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="No notes on stderr.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def send(
    node: str,
    what: tuple[str, ...],
    interface: str | None,
    eds: EdsChoice,
    timeout_s: float,
    period_s: float | None,
    by_sync: bool,
    seconds: float | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Send an RPDO of NODE: once, every so often, or with every SYNC. Transmits it: a drive may move.

    NAME is an object that is mapped in it, by name or number: Controlword=0x0F, 607A=1000. What is not given keeps
    the value that the device holds, read by SDO first. VALUE is as `opendiag write` takes it.
    """
    number, words = node_id(node), list(what)
    for word in words:
        if word.startswith("--"):
            raise click.NoSuchOption(word)
    transmit, pdo_number = take_one_pdo(words)
    if transmit:
        raise click.UsageError("a TPDO is sent by the node: `opendiag pdo watch` shows it; to send is rpdo N")
    if period_s is not None and by_sync:
        raise click.UsageError("choose one of --every and --sync")
    if period_s == 0:
        raise click.BadParameter("--every 0 is no period: expected one such as 10ms")
    if seconds is not None and period_s is None and not by_sync:
        raise click.UsageError("--for needs --every or --sync: without them it is sent once")
    given = _split(words)
    with live.network(interface, eds, timeout_s=timeout_s, unconfirmed=True, quiet=quiet) as network:
        rpdo = live.node(network, number, eds).pdo.rpdo(pdo_number)
        _check_on(rpdo, interface)
        values = _values(rpdo, given)
        if len(values) < len([row for row in rpdo.show() if row.name != "dummy"]):
            rpdo.load()
        rpdo.set(values)
        told = quiet or tell_state(network, number, "takes no PDOs", interface)

        def look() -> None:
            if not told:
                tell_state(network, number, "takes no PDOs", interface)

        count = _send(network, rpdo, period_s, by_sync, seconds, look)
        if not (told or period_s or by_sync) and told_state(network.watch, number, network.clock.now()).state is None:
            network.run(_hear_state(number, timeout_s))
            look()
        _print(rpdo, count, output.Printer(), as_json)
        if not quiet and needs_sync(rpdo.known.transmission_type) and not by_sync:
            output.note(f"{rpdo.text} {rpdo.known.meaning} (type {rpdo.known.transmission_type}).")
    if by_sync and not count:
        said = "Nothing was sent: no SYNC came. `opendiag sync --period 100ms` sends SYNC."
        output.note(with_interface(said, interface))
        sys.exit(EXIT_FINDINGS)
    if isinstance(rpdo.failure, AdapterError):
        output.note(f"opendiag: {rpdo.failure}")
        sys.exit(EXIT_BUS)


def _check_on(rpdo: Rpdo, interface: str | None) -> None:
    """Raise click.UsageError."""
    if not rpdo.parameters.cob.bit_31:
        return
    where = object_text(rpdo.known.communication, COB_ID)
    advice = f"`opendiag pdo map {rpdo.node.node_id} rpdo {rpdo.number} --on` switches it on"
    raise click.UsageError(with_interface(f"{rpdo.text} is switched off (bit 31 of {where}): {advice}", interface))


def _split(words: list[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    if not words:
        raise click.UsageError("say what to send, as in Controlword=0x0F")
    for word in words:
        name, separator, value = word.partition("=")
        if not (separator and name and value):
            raise click.BadParameter(f"{word!r} gives no value: expected NAME=VALUE, as in Controlword=0x0F")
        if name in given:
            raise click.BadParameter(f"{name} is given twice")
        given[name] = value
    return given


def _values(rpdo: Rpdo, given: dict[str, str]) -> dict[str | int | tuple[int, int], Value]:
    """By the names in the mapping. Raises click.BadParameter for what is not mapped, ValueRefused, SdoError."""
    rows = [row for row in rpdo.show() if row.name != "dummy"]
    values: dict[str | int | tuple[int, int], Value] = {}
    for name, text in given.items():
        row = _row(rows, name)
        if row is None:
            mapped = ", ".join(f"{each.name} ({each.text})" for each in rows) or "nothing"
            raise click.BadParameter(f"{name!r} is not in {rpdo.text}: mapped there is {mapped}")
        variable = rpdo.node.variable((row.index, row.subindex))
        try:
            raw = parse_value(text, variable.description, node_id=rpdo.node.node_id, what=variable.text)
        except ValueRefused as error:  # by `write --force`, not here
            raise ValueRefused(error.what, error.reason.replace(" (can be forced)", "")) from error
        if row.name in values:
            raise click.BadParameter(f"{row.name} ({row.text}) is given twice, the second time as {name!r}")
        values[row.name] = raw if variable.description is None else variable.decode(raw)
    return values


def _row(rows: list[PdoRow], name: str) -> PdoRow | None:
    """By name as it is written, with other spelling, or by number."""
    wanted = names.number_of(name)
    for row in rows:
        if names.plain(row.name) == names.plain(name):
            return row
    if wanted is None:
        return None
    index, subindex = wanted
    found = [row for row in rows if row.index == index and subindex in (None, row.subindex)]
    return found[0] if len(found) == 1 else None


def _hear_state(node_id: int, timeout_s: float) -> Plan[None]:
    """Wait for the next heartbeat of a node that has one."""
    can_id = 0x700 + node_id
    try:
        period_s = int.from_bytes((yield SdoRead(node_id, 0x1017, 0, timeout_s))[:2], "little") / 1000
    except SdoError:
        return
    if period_s:
        heartbeat_s = min(_MARGIN * period_s, _HEARTBEAT_S)
        yield WaitFor(lambda frame: frame.can_id == can_id and not (frame.remote or frame.extended), heartbeat_s)


def _send(
    network: Network,
    rpdo: Rpdo,
    period_s: float | None,
    by_sync: bool,
    seconds: float | None,
    look: Callable[[], None],
) -> int:
    """How many were sent. ``look`` is called when the node should have told its state, while it goes on."""
    counted = _Sent(rpdo)
    network.pump.listen(counted)
    if period_s is None and not by_sync:
        rpdo.send()
        return counted.count
    if by_sync:
        rpdo.on_sync()
    else:
        rpdo.every(period_s or 0.0)
    try:
        until = math.inf if seconds is None else network.clock.now() + seconds
        network.pump.wait(_NEVER, min(until, network.clock.now() + _HEARTBEAT_S))
        look()
        if network.clock.now() < until:
            network.pump.wait(_NEVER, None if seconds is None else until)
    except KeyboardInterrupt:
        pass
    finally:
        rpdo.stop()
    return counted.count


class _Never:
    done = False


_NEVER = _Never()


class _Sent:
    """Counts the frames of an RPDO that leave."""

    def __init__(self, rpdo: Rpdo) -> None:
        self.count = 0
        self._cob = rpdo.known.cob

    def sent(self, frame: object, now: float) -> None:
        if (getattr(frame, "can_id", None), getattr(frame, "extended", None)) == (self._cob.can_id, self._cob.extended):
            self.count += 1

    def received(self, frame: object, now: float) -> None:
        """Only what leaves counts."""

    def send_failed(self, frame: object, reason: str, now: float) -> None:
        """The RPDO tells that."""


def _text(rpdo: Rpdo, place: PdoRow, value: Value) -> str:
    variable = rpdo.node.variable((place.index, place.subindex))
    if isinstance(value, bytes):
        return value.hex(" ").upper()
    return str(value) if variable.description is None else value_text(variable, variable.encode(value, force=True))


def _print(rpdo: Rpdo, count: int, printer: output.Printer, as_json: bool) -> None:
    values = {row.name: rpdo[row.index, row.subindex] for row in rpdo.show() if row.name != "dummy"}
    cob = rpdo.known.cob
    if as_json:
        plain = {name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()}
        printer.json(
            {"node": rpdo.node.node_id, "pdo": rpdo.name, "can_id": cob.can_id, "sent": count, "values": plain}
        )
        return
    texts = [f"{place.name} {_text(rpdo, place, values[place.name])}" for place in rpdo.show() if place.name in values]
    sent = "not sent" if not count else f"sent on {cob.text}h" + (f", {count} times" if count > 1 else "")
    printer.line(f"{rpdo.name} {sent}: {'  '.join(texts)}")
