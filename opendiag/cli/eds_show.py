"""`opendiag eds show`: what is in a device file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from opendiag.cli import output
from opendiag.cli.device_files import json_value, read, strict_option
from opendiag.cli.options import object_key
from opendiag.dictionary import builtin, datatypes
from opendiag.dictionary.datatypes import Value
from opendiag.dictionary.eds_spelling import formula_text
from opendiag.dictionary.model import NodeIdPlus, Object, ObjectDictionary, ObjectType, Variable
from opendiag.dictionary.names import plain
from opendiag.errors import ObjectNotFound

#: A value, or an object that has none.
Shown = Variable | Object
_WITH_MEMBERS = (ObjectType.ARRAY, ObjectType.RECORD, ObjectType.DEFSTRUCT)
#: ObjFlags of CiA 306.
_FLAGS = {0: "not to be written with a configuration", 1: "not to be read when the device is scanned"}


@click.command(short_help="Show all objects, some, or one in full.")
@click.argument("file", metavar="FILE|NAME|-")
@click.argument("what", required=False, metavar="[OBJECT|TEXT]")
@strict_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each value of the dictionary.")
def show(file: str, what: str | None, strict: bool, as_json: bool) -> None:
    """Show a dictionary: all objects, those with TEXT in their name, or one OBJECT (6041, 1018:01) in full.

    FILE is an EDS, DCF, XDD, XDC or XPD; - is standard input.
    """
    dictionary = read(file, strict=strict)
    chosen, in_full = _choose(dictionary, what)
    if as_json:
        for each in chosen:
            if isinstance(each, Variable):
                output.Printer().json(to_dict(dictionary, each))
    elif in_full:
        for place, each in enumerate(chosen):
            found = dictionary.objects[each.index]
            if isinstance(each, Object) or (not place and len(chosen) > 1 and found.object_type in _WITH_MEMBERS):
                _print_object(found)
            if isinstance(each, Variable):
                _print_full(dictionary, each, blank=bool(place) or len(chosen) > 1)
    else:
        if what is None:
            _print_device(dictionary)
        _print_tree(dictionary, chosen)
    for finding in dictionary.findings:
        output.note(str(finding))


def _choose(dictionary: ObjectDictionary, what: str | None) -> tuple[list[Shown], bool]:
    """What was asked for, and whether to show it in full. "feed" may be an index, and is more often a word."""
    everything = list(_everything(dictionary))
    if what is None:
        return everything, False
    key = _key(what)
    if key is not None:
        index, subindex = key
        chosen = [each for each in everything if each.index == index and subindex in (None, _sub(each))]
        if chosen:
            return chosen, True
    chosen = [each for each in everything if plain(what) in plain(_name(dictionary, each))] if plain(what) else []
    if not chosen:
        raise ObjectNotFound(what if key is not None else f"with {what!r} in its name", dictionary.name)
    return chosen, False


def _everything(dictionary: ObjectDictionary) -> Iterator[Shown]:
    for found in dictionary:
        if not found.members:
            yield found
        for subindex in sorted(found.members):
            yield found.members[subindex]


def _sub(each: Shown) -> int | None:
    return each.subindex if isinstance(each, Variable) else None


def _name(dictionary: ObjectDictionary, each: Shown) -> str:
    return dictionary.name_of(each) if isinstance(each, Variable) else each.name


def _key(what: str) -> tuple[int, int | None] | None:
    try:
        return object_key(what)
    except click.BadParameter:
        return None


def _print_device(dictionary: ObjectDictionary) -> None:
    device = dictionary.device
    facts = [
        ("device", f"{device.product_name or '-'} by {device.vendor_name or '-'}"),
        ("vendor-ID", _hex(device.vendor_id)),
        ("product code", _hex(device.product_code)),
        ("revision", _hex(device.revision)),
        ("bit rates", f"{', '.join(map(str, device.bit_rates))} kbit/s" if device.bit_rates else "-"),
        ("objects", f"{len(dictionary)} with {sum(1 for _ in dictionary.variables())} values"),
    ]
    if dictionary.node_id is not None:
        facts.append(("node-ID", str(dictionary.node_id)))
    for name, fact in facts:
        click.echo(output.visible(f"{name:<13} {fact}"))
    click.echo()


def _print_tree(dictionary: ObjectDictionary, chosen: list[Shown]) -> None:
    rows = []
    last = None
    for variable in chosen:
        found = dictionary.objects[variable.index]
        is_var = isinstance(variable, Variable) and found.object_type not in _WITH_MEMBERS
        if not is_var and variable.index != last:
            rows.append([f"{variable.index:04X}", found.name, found.object_type.name, "", "", "", "", ""])
        last = variable.index
        if isinstance(variable, Object):
            continue
        where = variable.text if is_var else f"  :{variable.subindex:02X}"
        rows.append(
            [
                where,
                variable.name,
                variable.type_name,
                variable.access,
                "PDO" if variable.pdo_mappable else "",
                _value_text(variable.default, variable.data_type),
                _unit_text(variable),
                _value_text(variable.value, variable.data_type),
            ]
        )
    headings = ["object", "name", "type", "access", "", "default", "unit", "set to"]
    if not any(
        isinstance(each, Variable) and each.value is not None for each in chosen
    ):  # only a DCF says what a device is set to
        rows, headings = [cells[:-1] for cells in rows], headings[:-1]
    output.table(rows, headings)


def _print_object(found: Object) -> None:
    """What is said about an array or record itself."""
    count = len(found.members)
    members = "no members" if not count else f"{count} member{'s' * (count != 1)}"
    facts = [
        ("object", f"{found.index:04X}     {found.name}"),
        ("kind", f"{found.object_type.name}, {members}"),
    ]
    if found.links:
        facts.append(("links", ", ".join(f"{index:04X}" for index in found.links)))
    _print_facts([*facts, *_remarks(found)])


def _remarks(thing: Object | Variable) -> list[tuple[str, str]]:
    """What few files say."""
    facts = []
    if thing.denotation:
        facts.append(("called", thing.denotation))
    if thing.flags:
        known = [text for bit, text in _FLAGS.items() if thing.flags >> bit & 1]
        facts.append(("flags", f"0x{thing.flags:X}" + f" ({', '.join(known)})" * bool(known)))
    facts += [(key, text) for key, text in thing.extra.items()]
    if thing.line is not None:
        facts.append(("line", str(thing.line)))
    return facts


def _print_facts(facts: list[tuple[str, str]]) -> None:
    for name, fact in facts:
        click.echo(output.visible(f"{name:<10} {fact}"))


def _print_full(dictionary: ObjectDictionary, variable: Variable, blank: bool) -> None:
    standard = builtin.get(variable.index, variable.subindex)
    low, high = (_value_text(limit, variable.data_type) for limit in (variable.low, variable.high))
    facts: list[tuple[str, str]] = [
        ("object", f"{variable.text}  {dictionary.name_of(variable)}"),
        ("type", variable.type_name),
        ("access", variable.access or "not said"),
        ("PDO", "can be mapped" if variable.pdo_mappable else "cannot be mapped"),
        ("default", _value_text(variable.default, variable.data_type) or "none"),
        ("limits", f"{low or 'none'} .. {high or 'none'}"),
        ("unit", _unit_text(variable) or "not said"),
    ]
    if variable.value is not None:
        facts.append(("set to", _value_text(variable.value, variable.data_type)))
    facts += [("bit " + str(bit), name) for bit, name in variable.bits.items()]
    facts += [("value " + str(value), name) for value, name in variable.values.items()]
    facts += _remarks(variable)
    if standard is not None:
        facts.append((standard.source, f"{builtin.name_of(standard)}, {standard.type_name}, {standard.access}"))
        facts += [("bit " + str(bit), name) for bit, name in standard.bits.items()]
        facts += [("value " + str(value), name) for value, name in standard.values.items()]
    if blank:
        click.echo()
    _print_facts(facts)


def to_dict(dictionary: ObjectDictionary, variable: Variable) -> dict[str, Any]:
    """JSON form of a value of the dictionary."""
    out: dict[str, Any] = {
        "index": variable.index,
        "sub": variable.subindex,
        "name": dictionary.name_of(variable),
        "type": variable.type_name,
        "access": variable.access,
        "pdo": variable.pdo_mappable,
        "default": json_value(variable.default),
        "low": json_value(variable.low),
        "high": json_value(variable.high),
        "value": json_value(variable.value),
        "unit": variable.unit or None,
        "factor": variable.factor,
        "denotation": variable.denotation or None,
        "flags": variable.flags or None,
        "extra": dict(variable.extra) or None,
        "line": variable.line,
    }
    return {key: content for key, content in out.items() if content is not None}


def _value_text(value: Value | NodeIdPlus | None, data_type: int) -> str:
    if value is None:
        return ""
    if isinstance(value, NodeIdPlus):
        return formula_text(value)
    if isinstance(value, bytes):
        return value.hex(" ").upper()
    if isinstance(value, int) and abs(value) > 0xFFFF:
        bits = datatypes.bit_width(data_type) or 64
        return f"{value} (0x{value & (1 << bits) - 1:X})"
    return str(value)


def _unit_text(variable: Variable) -> str:
    if not variable.unit:
        return ""
    unit = variable.unit if variable.factor == 1 else f"{variable.factor:g} {variable.unit}"
    return f"{unit} (also {variable.alt_unit})" if variable.alt_unit else unit


def _hex(number: int | None) -> str:
    return "-" if number is None else f"0x{number:X} ({number})"
