"""Objects as arguments of live commands, and their values as lines."""

from __future__ import annotations

from collections.abc import Iterator

import click

from opendiag.cli import output
from opendiag.decode.records import Record
from opendiag.decode.render import row
from opendiag.errors import ObjectNotFound, SdoAborted, SdoError, SdoTimeout
from opendiag.master.node import Node
from opendiag.master.variable import NodeRecord, NodeVariable
from opendiag.wire.sdo_abort import SdoAbortCode

_END_OF_MEMBERS = (SdoAbortCode.NO_SUCH_SUBINDEX, SdoAbortCode.NO_SUCH_OBJECT)


def find(node: Node, text: str) -> NodeVariable | NodeRecord:
    """What "6041", "1018:01", "Statusword" or "Identity Object" means.

    Raises click.BadParameter for a name that nobody knows.
    """
    try:
        return node[text]
    except ObjectNotFound as error:
        raise click.BadParameter(f"{error}: expected an object such as 6041, 1018:01 or Statusword") from None


def variables(node: Node, text: str) -> Iterator[NodeVariable]:
    """As `find`; an array or record gives all its members, whose number is read from the node."""
    found = find(node, text)
    if isinstance(found, NodeVariable):
        yield found
    else:
        yield from members(found)


def members(record: NodeRecord) -> Iterator[NodeVariable]:
    """Member 0 and as many as it says."""
    first = record[0]
    yield first
    raw = record.node.upload(record.index, 0)
    for subindex in range(1, raw[0] + 1 if raw and raw[0] < 0xFF else 1):
        yield record[subindex]


def is_gap(error: SdoAborted) -> bool:
    """True for the abort of a member that is left out of an array or record."""
    return error.code in _END_OF_MEMBERS


def print_record(record: Record, printer: output.Printer) -> None:
    """One line: node, object, value and what it means."""
    made = row(record)
    head = f"{made.node:<5}  {made.object:<40}  {made.value:<14}  "
    printer.hanging(head, made.text, **output.style(made))


def failed(variable: NodeVariable, error: SdoError) -> Record:
    """The record of a read that brought no value."""
    aborted = isinstance(error, SdoAborted)
    return Record(
        "sdo.read",
        (),
        status="aborted" if aborted else "unanswered",
        node=variable.node.node_id,
        index=variable.index,
        subindex=variable.subindex,
        name=variable.name or None,
        abort_code=error.code if isinstance(error, SdoAborted) else None,
        text=_why(error),
    )


def _why(error: SdoError) -> str:
    """Without the node and the object, which have columns of their own."""
    if isinstance(error, SdoTimeout):
        return f"no answer within {error.waited_s:g} s"
    return error.text if isinstance(error, SdoAborted) else str(error)
