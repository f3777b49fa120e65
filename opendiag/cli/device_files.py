"""What the commands of `opendiag eds` share: reading device files, writing results."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from opendiag.cli import output
from opendiag.cli.options import node_id as parse_node_id
from opendiag.dictionary.datatypes import Value
from opendiag.dictionary.eds_spelling import formula_text
from opendiag.dictionary.library import load, load_bytes
from opendiag.dictionary.model import NodeIdPlus, ObjectDictionary
from opendiag.errors import DictionaryFileError, DictionaryFindings

STDIN_NAME = "standard input"

strict_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--strict", is_flag=True, help="Refuse a file with oddities (warnings and errors of its reader)."
)
force_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--force", is_flag=True, help="Overwrite the file."
)


def read(file: str, *, strict: bool = False) -> ObjectDictionary:
    """A device file by path or bundled name, or of standard input ("-"). Raises a subclass of DictionaryError."""
    if file == "":
        raise click.UsageError("the file name is empty")
    try:
        if file == "-":
            return load_bytes(sys.stdin.buffer.read(), STDIN_NAME, strict=strict)
        return load(file, strict=strict)
    except DictionaryFindings as error:  # each on a line of its own, not all in one sentence
        output.log_notes(error.findings)
        raise DictionaryFileError(error.file, None, error.reason) from error


def node_option(help_text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--node N; the command gets ``node`` as a number of 1..127 or None."""
    return click.option("--node", metavar="N", callback=_node, help=help_text)


def _node(context: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
    return None if text is None else parse_node_id(text)


def json_value(value: Value | NodeIdPlus | None) -> bool | int | float | str | None:
    """A value of a dictionary in JSON, which has no infinite numbers: those are text, as formulas are."""
    if isinstance(value, NodeIdPlus):
        return formula_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value.hex() if isinstance(value, bytes) else value


def written(target: Path, data: bytes) -> None:
    """Write a file. Raise DictionaryFileError when that cannot be done."""
    try:
        target.write_bytes(data)
    except OSError as error:
        raise DictionaryFileError(str(target), None, f"cannot be written: {error.strerror or error}") from error


def check_target(target: Path, force: bool) -> None:
    """Raise click.UsageError when the file is there already, or cannot be made."""
    if target.is_dir():
        raise click.UsageError(f"{target} is a directory")
    if target.exists() and not force:
        raise click.UsageError(f"{target} is there already and was left as it is; --force overwrites it")
    if not target.parent.is_dir():
        raise click.UsageError(f"{target}: there is no directory {target.parent}")
