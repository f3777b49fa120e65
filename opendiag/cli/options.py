"""Options and arguments that several commands share."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import click

from opendiag.decode.decoder import Decoder
from opendiag.dictionary.library import Library, load
from opendiag.dictionary.model import ObjectDictionary

_OBJECT = re.compile(r"(?:0x)?([0-9a-f]{4})h?(?::(?:0x)?([0-9a-f]{1,2})h?)?")


def node_id(text: str) -> int:
    """A node-ID, decimal or 0x..; raises click.BadParameter outside 1..127."""
    try:
        number = int(text, 16 if text.lower().startswith("0x") else 10)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no node-ID: expected a number from 1 to 127") from None
    if not 1 <= number <= 127:
        raise click.BadParameter(f"node-ID {number} is outside 1..127")
    return number


def object_key(text: str) -> tuple[int, int | None]:
    """As in "6041", "6041h" or "6041:00", hexadecimal with or without 0x; subindex None means all of them."""
    found = _OBJECT.fullmatch(text.lower())
    if found is None:
        raise click.BadParameter(f"{text!r} is no object: expected an index in hexadecimal, as in 6041:00")
    return int(found[1], 16), int(found[2], 16) if found[2] else None


@dataclass(frozen=True)
class EdsChoice:
    """What --eds and --eds-dir ask for."""

    by_node: dict[int, ObjectDictionary]
    fallback: ObjectDictionary | None
    library: Library

    def decoder(self) -> Decoder:
        return Decoder(self.by_node, self.fallback, self.library)

    def oddities(self) -> Iterator[str]:
        """What is worth saying about the files themselves."""
        given = (*self.by_node.values(), self.fallback)
        for name in dict.fromkeys(d.name for d in given if d is not None and d.findings):
            yield f"{name} has oddities: opendiag eds show {name} lists them."
        yield from map(str, self.library.findings)

    def sentence(self, decoder: Decoder) -> str:
        """As in "EDS: node 101 stepim, node 5 axis (by its identity)."; it says so when there is none."""
        parts = [f"node {node} {dictionary.name}" for node, dictionary in sorted(self.by_node.items())]
        for bus in decoder.buses.values():
            for node_id, node in sorted(bus.nodes.items()):
                if node_id not in self.by_node and node.dictionary not in (None, self.fallback):
                    parts.append(f"node {node_id} {node.dictionary.name} (by its identity)")
        if self.fallback is not None:
            parts.append(f"all other nodes {self.fallback.name}" if parts else f"all nodes {self.fallback.name}")
        return f"EDS: {', '.join(dict.fromkeys(parts))}." if parts else "No EDS: names from built-in CiA 301/402."


def _choose(eds: tuple[str, ...], eds_dir: str | None) -> EdsChoice:
    if eds_dir == "":
        raise click.BadParameter("--eds-dir names no directory")
    by_node: dict[int, ObjectDictionary] = {}
    fallback = None
    for given in eds:
        node, separator, name = given.partition("=")
        if not separator or Path(given).exists():
            node, name = "", given
        if not name:
            raise click.BadParameter(f"--eds {given!r} names no file")
        number = node_id(node) if node else None
        dictionary = load(name)
        number = dictionary.node_id if number is None else number  # a DCF says which node it configures
        if number in by_node:
            raise click.BadParameter(f"{by_node[number].name} and {name} are both for node {number}")
        if number is not None:
            by_node[number] = dictionary
        elif fallback is not None:
            raise click.BadParameter(
                f"{fallback.name} and {given} are both for all nodes: say which, as in 101={given}"
            )
        else:
            fallback = dictionary
    return EdsChoice(by_node, fallback, Library(eds_dir))


def eds_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--eds and --eds-dir; the command gets an `EdsChoice` as ``eds``."""
    from functools import wraps

    @click.option(
        "--eds",
        "eds",
        multiple=True,
        metavar="[N=]FILE",
        help="EDS or DCF of node N, by path or bundled name (101=stepim). Without N: of the node a DCF "
        "is for, or of all nodes. May be repeated.",
    )
    @click.option(
        "--eds-dir",
        metavar="DIR",
        help="Find the EDS by the identity (1018h) that the traffic shows.",
    )
    @wraps(command)
    def wrapped(*args: Any, eds: tuple[str, ...], eds_dir: str | None, **kwargs: Any) -> Any:
        return command(*args, eds=_choose(eds, eds_dir), **kwargs)

    return wrapped


def source(file: str | None) -> tuple[str | IO[bytes], str]:
    """The capture to read and its name. Without a file: standard input, unless that is a terminal."""
    if file is None and sys.stdin.isatty():
        raise click.UsageError("give a capture FILE, or - for standard input")
    if file == "":
        raise click.UsageError("the file name is empty")
    if file is None or file == "-":
        return sys.stdin.buffer, "standard input"
    return file, file
