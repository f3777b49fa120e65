"""`opendiag pdo watch`: what PDOs carry, live."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import ExitStack
from typing import Any

import click

from opendiag.cli import EXIT_FINDINGS, live, output
from opendiag.cli.options import EdsChoice, eds_options, node_id
from opendiag.cli.pdo_arguments import take_pdo, tell_state, value_text, with_interface
from opendiag.cli.pdo_show import chosen
from opendiag.diagnose.situation import seconds as seconds_text
from opendiag.dictionary.datatypes import Value
from opendiag.master.network import Network
from opendiag.master.node_pdo import Pdo, PdoSample, PdoStream

#: How often it is looked whether a silent node has told its state.
_LOOK_S = 0.5


@click.command(short_help="Show what PDOs carry, live.")
@click.argument("node", metavar="NODE")
@click.argument("which", nargs=-1, metavar="[tpdo|rpdo [N]]...")
@live.interface_option
@eds_options
@live.timeout_option
@click.option("--changes", is_flag=True, help="Only what differs from the time before.")
@click.option("--for", "seconds", metavar="TIME", callback=live.seconds, help="End after this time, as in 10s.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after N PDOs.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each PDO, on a line.")
@click.option("-q", "--quiet", is_flag=True, help="No notes on stderr.")
def watch(
    node: str,
    which: tuple[str, ...],
    interface: str | None,
    eds: EdsChoice,
    timeout_s: float,
    changes: bool,
    seconds: float | None,
    count: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Show the values in the PDOs of NODE until Ctrl-C. Transmits SDO read requests to learn the mapping.

    It starts nothing: a node sends PDOs when it is OPERATIONAL. Without more: all TPDOs that are switched on; tpdo 1:
    that one. Exit code 1 when none came.
    """
    number, words = node_id(node), list(which)
    wanted: list[tuple[bool, int | None]] = []
    while words:
        wanted.append(take_pdo(words))
    with live.network(interface, eds, timeout_s=timeout_s, quiet=quiet) as network:
        pdos = chosen(live.node(network, number, eds), wanted or [(True, None)])
        watched = [pdo for pdo in pdos if pdo.parameters.active or any(number for _, number in wanted)]
        if not watched:
            raise click.UsageError(f"node {number} has no PDO that is switched on and carries something")
        session = _Session(network, number, watched, output.Printer(live=True), as_json, changes, quiet, interface)
        shown = session.run(seconds, count)
    if not quiet and not shown:
        first = watched[0]
        why = f"`opendiag pdo why {number} {first.name[:4].lower()} {first.number}`"
        output.note(with_interface(f"None came. {why} says why.", interface))
    if not shown:
        sys.exit(EXIT_FINDINGS)


class _Any:
    """Waited for until one of several streams has something."""

    def __init__(self, streams: list[PdoStream]) -> None:
        self._streams = streams

    @property
    def done(self) -> bool:
        return any(stream.done for stream in self._streams)


class _Session:
    """``run`` gives how many PDOs came."""

    def __init__(
        self,
        network: Network,
        node_id: int,
        pdos: list[Pdo],
        printer: output.Printer,
        as_json: bool,
        changes: bool,
        quiet: bool,
        interface: str | None,
    ) -> None:
        self._network = network
        self._interface = interface
        self._node_id = node_id
        self._pdos = pdos
        self._printer = printer
        self._as_json = as_json
        self._changes = changes
        self._told = quiet
        self._quiet = quiet
        self._seen: dict[str, bytes] = {}
        self._counts: Counter[str] = Counter()
        self._came = 0
        self._started = network.clock.now()

    def run(self, seconds: float | None, count: int | None) -> int:
        until = None if seconds is None else self._started + seconds
        with ExitStack() as stack:
            streams = [stack.enter_context(pdo.samples()) for pdo in self._pdos]
            self._look()
            try:
                while not self._over(until, count):
                    self._wait(_Any(streams), until)
                    self._take(streams, count)
            except KeyboardInterrupt:
                pass
            lost = sum(stream.lost for stream in streams)
        if self._came and not self._quiet:
            counts = ", ".join(f"{count} {name}" for name, count in sorted(self._counts.items()))
            output.note(f"{counts} in {seconds_text(self._network.clock.now() - self._started)}.")
        if lost:
            output.note(f"{lost} PDOs came faster than they could be shown, and are left out.")
        return self._came

    def _over(self, until: float | None, count: int | None) -> bool:
        enough = count is not None and self._came >= count
        return enough or (until is not None and self._network.clock.now() >= until)

    def _wait(self, waiter: _Any, until: float | None) -> None:
        limit = self._network.clock.now() + _LOOK_S
        self._network.pump.wait(waiter, limit if until is None else min(limit, until))
        self._look()

    def _look(self) -> None:
        """Say once that nothing will come, when the node has told."""
        if not (self._told or self._came):
            self._told = tell_state(self._network, self._node_id, "sends no PDOs", self._interface)

    def _take(self, streams: list[PdoStream], count: int | None) -> None:
        """What has come, in the order in which it came."""
        waiting: list[tuple[float, PdoSample, Pdo]] = []
        for stream, pdo in zip(streams, self._pdos, strict=True):
            while stream.done and (sample := stream.get(0.0)) is not None:
                waiting.append((sample.at, sample, pdo))
        for _, sample, pdo in sorted(waiting, key=lambda each: each[0]):
            if count is not None and self._came >= count:
                return
            self._came += 1
            self._counts[sample.name] += 1
            if self._changes and self._seen.get(sample.name) == sample.raw:
                continue
            self._seen[sample.name] = sample.raw
            self._show(sample, pdo)

    def _show(self, sample: PdoSample, pdo: Pdo) -> None:
        if self._as_json:
            self._printer.json(_as_dict(sample, self._started))
            return
        values = "  ".join(_values(sample, pdo)) or sample.raw.hex(" ").upper() or "no data"
        flags = f"  ({', '.join(sample.flags)})" if sample.flags else ""
        head = f"{sample.at - self._started:10.3f}  {sample.name:<6}  "
        self._printer.hanging(head, f"{values}{flags}", **({"fg": "yellow"} if flags else {}))


def _values(sample: PdoSample, pdo: Pdo) -> list[str]:
    """As in "Statusword 0x0250"; with the unit or the name of the value where there is one."""
    texts = []
    for place in pdo.show():
        value = sample.values.get(place.name)
        if value is None:
            continue
        variable = pdo.node.variable((place.index, place.subindex))
        description = variable.description
        if description is None or isinstance(value, bytes):
            texts.append(f"{place.name} {_plain(value)}")
            continue
        size = (place.bits + 7) // 8
        whole = int.from_bytes(sample.raw, "little") >> place.bit & (1 << place.bits) - 1
        texts.append(f"{place.name} {value_text(variable, whole.to_bytes(size, 'little')) or _plain(value)}")
    return texts


def _plain(value: Value) -> str:
    return value.hex(" ").upper() if isinstance(value, bytes) else str(value)


def _as_dict(sample: PdoSample, started: float) -> dict[str, Any]:
    values = {name: value.hex() if isinstance(value, bytes) else value for name, value in sample.values.items()}
    return {
        "time_s": round(sample.at - started, 6),
        "node": sample.node_id,
        "pdo": sample.name,
        "values": values,
        "raw": sample.raw.hex(),
        "flags": list(sample.flags),
    }
