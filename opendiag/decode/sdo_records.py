"""An observed SDO transfer as a record."""

from __future__ import annotations

from typing import Any

from opendiag.decode.node_view import NodeView
from opendiag.decode.records import Record
from opendiag.decode.sdo_transfer import Outcome, Transfer
from opendiag.decode.values import guesses, interpret
from opendiag.dictionary.datatypes import byte_width
from opendiag.dictionary.model import Variable
from opendiag.wire.sdo_abort import SdoAbortCode

_CUTS = {"capture-end": "before the capture ends", "next-request": "before the client's next request"}


def sdo_record(node: NodeView, number: int, channel: str | None, can_id: int | None, transfer: Transfer) -> Record:
    """``can_id`` of the frame that ended the transfer, None when the end of the capture did."""
    fields = _object_fields(node, transfer)
    texts = [_outcome_text(transfer), fields.pop("text", ""), *transfer.problems.values()]
    return Record(
        service=f"sdo.{transfer.kind}" if transfer.kind else "sdo",
        frames=tuple(transfer.frames),
        status="damaged" if transfer.outcome is Outcome.DONE and transfer.doubtful else transfer.outcome.value,
        time_ns=transfer.start_ns,
        channel=channel,
        can_id=can_id,
        node=node.node_id,
        number=number,
        index=transfer.index,
        subindex=transfer.subindex,
        text="; ".join(filter(None, texts)),
        transfer=transfer.protocol,
        abort_code=None if transfer.abort is None else transfer.abort.code,
        response_ns=_span(transfer.start_ns, transfer.answer_ns),
        took_ns=_span(transfer.start_ns, transfer.end_ns) if len(transfer.frames) > 1 else None,
        flags=fields.pop("flags", ()) + tuple(transfer.problems),
        **fields,
    )


def _object_fields(node: NodeView, transfer: Transfer) -> dict[str, Any]:
    """Name, type, and the value where there was one: finished transfers, and expedited writes whatever came of them."""
    if transfer.index is None or transfer.subindex is None:
        return {"raw": bytes(transfer.data)} if transfer.outcome is Outcome.DONE else {}
    described = node.describe(transfer.index, transfer.subindex)
    type_name = None if described.variable is None else described.variable.type_name
    fields: dict[str, Any] = {"name": described.name, "names_from": described.names_from, "type": type_name}
    attempted = transfer.kind == "write" and transfer.protocol == "expedited"
    if transfer.outcome is not Outcome.DONE and not attempted:
        return fields
    raw = _counting(described.variable, transfer)
    fields.update(raw=raw, size=len(raw))
    if transfer.doubtful:
        return {**fields, "text": guesses(raw)}
    fields.update(interpret(node, transfer.index, transfer.subindex, raw).fields)
    if transfer.outcome is not Outcome.DONE:
        fields["text"] = f"tried: {fields['text']}" if fields["text"] else ""
    elif node.repeats((transfer.index, transfer.subindex), raw):
        fields["flags"] += ("unchanged",)
    return fields


def _counting(variable: Variable | None, transfer: Transfer) -> bytes:
    """The bytes that count. Where their number was not indicated all four came, and the type says how many of them."""
    raw = bytes(transfer.data)
    width = byte_width(variable.data_type) if variable is not None else None
    return raw[:width] if width is not None and "size-not-indicated" in transfer.problems else raw


def _outcome_text(transfer: Transfer) -> str:
    if transfer.abort is not None:
        abort = transfer.abort
        text = f"aborted by the {transfer.abort_by}: {abort.code:08X}h {abort.text}"
        if abort.code == SdoAbortCode.TIMED_OUT and len(transfer.frames) == 2 and transfer.abort_by == "client":
            text += " (no answer was captured)"
        return text
    if transfer.outcome is Outcome.UNANSWERED:
        return f"no answer {_CUTS[transfer.cut_by]}"
    if transfer.outcome is Outcome.INCOMPLETE:
        got = f"{len(transfer.data)} of {transfer.announced}" if transfer.announced else f"{len(transfer.data)}"
        return f"not finished {_CUTS[transfer.cut_by]}: {got} bytes transferred"
    return ""


def _span(start_ns: int | None, end_ns: int | None) -> int | None:
    return None if start_ns is None or end_ns is None else end_ns - start_ns
