"""`opendiag od dump`: everything that nodes hold, read side by side."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from opendiag.cli import EXIT_SDO, export, live, objects, output
from opendiag.cli.options import EdsChoice, eds_options, node_id
from opendiag.cli.progress import counted
from opendiag.decode.records import Record
from opendiag.dictionary import builtin, datatypes
from opendiag.errors import SdoError, SdoTimeout
from opendiag.master.network import Network
from opendiag.master.node import Node
from opendiag.master.transfers import PendingTransfer
from opendiag.master.variable import NodeVariable

#: Without an EDS these are asked for: what CiA 301 and CiA 402 give a device that is not huge.
_AREAS = (
    range(0x1000, 0x1030),
    range(0x1200, 0x1210),
    range(0x1280, 0x1290),
    *(range(first, first + 8) for first in (0x1400, 0x1600, 0x1800, 0x1A00)),
    range(0x6000, 0x6800),
)
#: Read requests that wait in a node's queue.
_AHEAD = 4


@click.group(short_help="Read whole object dictionaries.")
def command() -> None:
    """Read whole object dictionaries."""


@command.command(short_help="Read every object of nodes.")
@click.argument("nodes", nargs=-1, required=True, metavar="NODE...")
@live.interface_option
@eds_options
@live.timeout_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on each line.")
@click.option("--csv", "as_csv", is_flag=True, help="Comma separated values.")
@click.option("-q", "--quiet", is_flag=True, help="No summary on stderr.")
def dump(
    nodes: tuple[str, ...],
    interface: str | None,
    eds: EdsChoice,
    timeout_s: float,
    as_json: bool,
    as_csv: bool,
    quiet: bool,
) -> None:
    """Read every object of NODEs that may be read. Transmits SDO requests, to all nodes at the same time.

    The objects are those of the node's EDS (--eds, or the one its identity chooses); without one, those of CiA 301 and
    CiA 402 that the node has. Redirect it into a file: a dump is a backup that can be compared.
    """
    if as_json and as_csv:
        raise click.UsageError("choose one of --json and --csv")
    numbers = list(dict.fromkeys(map(node_id, nodes)))
    with live.network(interface, eds, timeout_s=timeout_s, quiet=quiet) as network:
        dumps = [_Dump(live.node(network, number, eds)) for number in numbers]
        if len(dumps) == 1 and dumps[0].lost is not None:
            raise dumps[0].lost
        with counted("reading", sum(len(one.wanted) for one in dumps)) as advance:
            records = _together(network, dumps, advance)
            if as_csv:
                export.write_csv(records, live=False)
            else:
                printer = output.Printer()
                for record in records:
                    if as_json:
                        printer.json(record.to_dict())
                    else:
                        objects.print_record(record, printer)
        for one in dumps:
            if one.lost is not None or not quiet:
                output.note(one.summary())
    if any(one.lost for one in dumps):
        sys.exit(EXIT_SDO)


class _Dump:
    """One node: what is asked for, and how it went. ``lost`` is the error that ended it early."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.read = self.refused = 0
        self.lost: SdoError | None = None
        self.known = False
        self.wanted: list[NodeVariable] = []
        try:
            self.known = node.dictionary is not None
            self.wanted = list(_wanted(node))
        except SdoTimeout as error:  # it did not even say who it is
            self.lost = error
        self._members: dict[int, int] = {}
        self._next = iter(self.wanted)
        self._pending: list[tuple[NodeVariable, PendingTransfer]] = []

    def fill(self) -> None:
        """Keep the node's queue supplied. Members that the object's member 0 excludes are left out."""
        while self.lost is None and len(self._pending) < _AHEAD and (variable := next(self._next, None)) is not None:
            if self.known or variable.subindex <= self._members.get(variable.index, 0xFF):
                self._pending.append((variable, self.node.begin_upload(variable.index, variable.subindex)))

    def take(self) -> tuple[NodeVariable, bytes | SdoError] | None:
        """The oldest result, None when there are no more."""
        self.fill()
        if not self._pending:
            return None
        variable, pending = self._pending.pop(0)
        try:
            raw = pending.result()
        except SdoTimeout as error:
            self.lost = error
            for _, other in self._pending:
                other.cancel()
            self._pending.clear()
            return variable, error
        except SdoError as error:
            self.refused += 1
            if not variable.subindex:
                self._members[variable.index] = 0
            return variable, error
        self.read += 1
        if not variable.subindex and len(raw) == 1:
            self._members[variable.index] = raw[0]
        return variable, raw

    def summary(self) -> str:
        if self.lost is not None and not self.read:
            return f"node {self.node.node_id}: nothing read: {self.lost}"
        source = "its EDS" if self.known else "CiA 301 and CiA 402: no EDS fits this node"
        said = f"node {self.node.node_id}: {self.read} objects read ({source})"
        if self.refused and self.known:
            said += f", {self.refused} refused"
        return f"{said}; given up: {self.lost}" if self.lost is not None else said


def _together(network: Network, dumps: list[_Dump], advance: object) -> Iterator[Record]:
    """The nodes answer side by side; the records come node after node, those of the first one as it answers."""
    for one in dumps:
        one.fill()
    waiting = list(dumps)
    turn = 0
    kept: dict[int, list[Record]] = {one.node.node_id: [] for one in dumps}
    while waiting:
        for one in list(waiting):
            taken = one.take()
            if taken is None:
                waiting.remove(one)
                continue
            variable, result = taken
            if callable(advance):
                advance()
            if not isinstance(result, SdoError):
                kept[one.node.node_id].append(variable.record(result))
            elif one.known or isinstance(result, SdoTimeout):
                kept[one.node.node_id].append(objects.failed(variable, result))
        while turn < len(dumps):
            yield from kept[dumps[turn].node.node_id]
            kept[dumps[turn].node.node_id].clear()
            if dumps[turn] in waiting:
                break
            turn += 1


def _wanted(node: Node) -> Iterator[NodeVariable]:
    """What is worth asking for: readable, and no domain, which may be as large as a firmware."""
    dictionary = node.dictionary
    if dictionary is not None:
        for variable in dictionary.variables():
            if variable.access != "wo" and variable.data_type != datatypes.DataType.DOMAIN:
                yield NodeVariable(node, variable.index, variable.subindex)
        return
    for area in _AREAS:
        for index in area:
            for subindex in range(0xFF):
                standard = builtin.get(index, subindex)
                if standard is not None and standard.access != "wo":
                    yield NodeVariable(node, index, subindex)
