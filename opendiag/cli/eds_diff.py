"""`opendiag eds diff`: what differs between two device files."""

from __future__ import annotations

import sys
from typing import Any

import click

from opendiag.cli import EXIT_FINDINGS, output
from opendiag.cli.device_files import json_value, read, strict_option
from opendiag.dictionary.differences import Difference, compare, text_of

_MARKS: dict[str, tuple[str, dict[str, Any]]] = {
    "added": ("+", {"fg": "green"}),
    "removed": ("-", {"fg": "red"}),
    "changed": ("~", {}),
}


@click.command(short_help="Say what differs between two device files.")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--objects", is_flag=True, help="Leave out what is said about the file, the device and its network.")
@strict_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each difference.")
def diff(a: str, b: str, objects: bool, strict: bool, as_json: bool) -> None:
    """Say what makes the device file B another than A.

    + is only in B, - only in A, ~ in both with another value. Order, lines, remarks behind ; and spelling do not
    count. Exit code 1 when they differ. One of both may be - for standard input.
    """
    if a == b == "-":
        raise click.UsageError("only one of both can be standard input")
    found = compare(read(a, strict=strict), read(b, strict=strict))
    if objects:
        found = [each for each in found if each.index is not None]
    printer = output.Printer()
    for each in found:
        if as_json:
            printer.json(to_dict(each))
        else:
            mark, colour = _MARKS[each.kind]
            printer.line(f"{mark} {_sentence(each)}", **colour)
    if found:
        sys.exit(EXIT_FINDINGS)


def _sentence(each: Difference) -> str:
    named = f"{each.where}  {each.name}".rstrip()
    if each.kind != "changed":
        return named
    return f"{named}  {each.field}: {text_of(each.field, each.old)} -> {text_of(each.field, each.new)}"


def to_dict(each: Difference) -> dict[str, Any]:
    """JSON form of a difference; ``old`` and ``new`` are null where there is nothing."""
    out: dict[str, Any] = {"kind": each.kind, "where": each.where, "name": each.name or None}
    out |= {"index": each.index, "sub": each.subindex, "field": each.field or None}
    out = {key: content for key, content in out.items() if content is not None}
    if each.kind == "changed":
        out |= {"old": _json(each.field, each.old), "new": _json(each.field, each.new)}
    return out


def _json(field: str, value: Any) -> Any:
    if isinstance(value, frozenset | tuple):
        return sorted(value) if isinstance(value, frozenset) else list(value)
    if isinstance(value, int) and not isinstance(value, bool) and (field == "data_type" or type(value) is not int):
        return text_of(field, value)
    return json_value(value)
