"""Records as CSV and Parquet: the fields of the JSON form, flat."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import click

from opendiag.decode.records import Record
from opendiag.errors import MissingDependency

#: Column -> Parquet type. ``frames``, ``flags``, ``bits`` and ``details`` are JSON text, ``value`` is text.
COLUMNS = {
    "frames": "string",
    "t": "float64",
    "t_ns": "int64",
    "ch": "string",
    "svc": "string",
    "status": "string",
    "can_id": "uint32",
    "node": "uint8",
    "number": "uint16",
    "index": "uint16",
    "sub": "uint8",
    "name": "string",
    "type": "string",
    "raw": "string",
    "value": "string",
    "number_value": "float64",
    "scaled": "float64",
    "unit": "string",
    "state": "string",
    "bits": "string",
    "text": "string",
    "names_from": "string",
    "mapping_from": "string",
    "bit_offset": "uint16",
    "bit_width": "uint16",
    "transfer": "string",
    "size": "uint32",
    "abort_code": "uint32",
    "response_ms": "float64",
    "took_ms": "float64",
    "flags": "string",
    "details": "string",
}
_BATCH = 50_000


def flat(record: Record) -> dict[str, Any]:
    """One value for each column, None where the record has nothing to say."""
    fields = record.to_dict()
    value = record.value
    out = {name: fields.get(name) for name in COLUMNS}
    out["number_value"] = float(value) if isinstance(value, (int, float)) else None
    out["value"] = None if value is None else str(fields["value"])
    for name in ("frames", "bits", "flags", "details"):
        out[name] = json.dumps(fields[name], separators=(",", ":")) if name in fields else None
    return out


def write_csv(records: Iterable[Record], live: bool) -> None:
    """To stdout, with a line of column names; ``live`` sends each line on its way at once."""
    writer = csv.DictWriter(sys.stdout, list(COLUMNS), lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow(flat(record))
        if live:
            sys.stdout.flush()


def check_target(path: Path, source: str | None) -> None:
    """Raise click.UsageError for a target that is no file to write, or is the capture itself."""
    if path.is_dir() or (path.exists() and not path.is_file()):
        raise click.UsageError(f"--parquet {path} is no file")
    if not path.parent.is_dir():
        raise click.UsageError(f"--parquet {path}: there is no directory {path.parent}")
    if path.exists() and _is_capture(path, source):
        raise click.UsageError(f"--parquet {path} would overwrite the capture")


def _is_capture(path: Path, source: str | None) -> bool:
    try:
        given = os.fstat(sys.stdin.fileno()) if source in (None, "-") else Path(str(source)).stat()
    except (OSError, ValueError):  # no such file, or no file behind standard input
        return False
    return os.path.samestat(given, path.stat())


def write_parquet(records: Iterable[Record], path: Path) -> None:
    """The file appears when it is complete. Raise MissingDependency without pyarrow."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingDependency("--parquet", "pyarrow") from None
    schema = pa.schema([(name, getattr(pa, kind)()) for name, kind in COLUMNS.items()])
    target = path.resolve()  # a link goes on pointing where it points
    with NamedTemporaryFile(dir=target.parent, prefix=f"{target.name}.", delete=False) as made:
        part = Path(made.name)
    try:
        with part.open("wb") as sink, pq.ParquetWriter(sink, schema, compression="zstd") as writer:
            for batch in _batches(records):
                writer.write_table(pa.Table.from_pylist(batch, schema=schema))
        part.chmod(0o666 & ~_umask())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _batches(records: Iterable[Record]) -> Iterator[list[dict[str, Any]]]:
    rows = map(flat, records)
    while batch := list(islice(rows, _BATCH)):
        yield batch
