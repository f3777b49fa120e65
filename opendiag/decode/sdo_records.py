"""An observed SDO transfer as a record."""

from __future__ import annotations

from typing import Any

from opendiag.decode.node_view import NodeView
from opendiag.decode.records import Record
from opendiag.decode.sdo_transfer import Outcome, Transfer
from opendiag.decode.values import guesses, interpret
from opendiag.wire.sdo_abort import SdoAbortCode

_CUTS = {"capture-end": "before the capture ends", "next-request": "before the client's next request"}


def sdo_record(node: NodeView, number: int, channel: str | None, can_id: int | None, transfer: Transfer) -> Record:
    """``can_id`` of the frame that ended the transfer, None when the end of the capture did."""
    status = "damaged" if transfer.outcome is Outcome.DONE and transfer.doubtful else transfer.outcome.value
    problems = list(transfer.problems.values())
    flags = tuple(transfer.problems)
    fields: dict[str, Any] = {}
    index, subindex = transfer.index, transfer.subindex
    if index is not None and subindex is not None:
        described = node.describe(index, subindex)
        fields.update(name=described.name, names_from=described.names_from)
        if described.variable is not None:
            fields["type"] = described.variable.type_name
    text = _outcome_text(transfer)
    if transfer.outcome is Outcome.DONE:
        fields["raw"] = raw = bytes(transfer.data)
        fields["size"] = len(raw)
        if status == "ok" and index is not None:
            meaning = interpret(node, index, subindex or 0, raw)
            fields.update(meaning.fields())
            text, flags = meaning.text, meaning.flags + flags
            if node.repeats((index, subindex), raw):
                flags += ("unchanged",)
        else:
            text = guesses(raw)
    return Record(
        service=f"sdo.{transfer.kind}" if transfer.kind else "sdo",
        frames=tuple(transfer.frames),
        status=status,
        time_ns=transfer.start_ns,
        channel=channel,
        can_id=can_id,
        node=node.node_id,
        number=number,
        index=index,
        subindex=subindex,
        text="; ".join(part for part in (text, *problems) if part),
        transfer=transfer.protocol,
        abort_code=None if transfer.abort is None else transfer.abort.code,
        response_ns=_span(transfer.start_ns, transfer.answer_ns),
        took_ns=_span(transfer.start_ns, transfer.end_ns) if len(transfer.frames) > 1 else None,
        flags=flags,
        **{key: value for key, value in fields.items() if key not in ("text", "flags")},
    )


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
