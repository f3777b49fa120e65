"""A capture file as records: `logs` reads it, `decode` says what it means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from opendiag.decode.decoder import Decoder
from opendiag.decode.records import Record
from opendiag.dictionary.library import Library, load
from opendiag.dictionary.model import ObjectDictionary
from opendiag.logs import LogReader
from opendiag.logs import open_log as open_frames


class Capture:
    """Iterate over it once for the records. ``log`` counts what was read, ``decoder`` holds what was learned.

    One that is not read to its end is closed by `close` or by leaving a ``with`` block.
    """

    def __init__(self, log: LogReader, decoder: Decoder) -> None:
        self.log = log
        self.decoder = decoder

    def __iter__(self) -> Iterator[Record]:
        """Raises NotALog at the end when there was no frame at all."""
        for frame in self.log:
            yield from self.decoder.feed(frame)
        yield from self.decoder.finish()

    def close(self) -> None:
        """Close the file. Closing again does nothing."""
        self.log.close()

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def open_log(
    source: str | Path | IO[str] | IO[bytes],
    dictionaries: Mapping[int, str | Path | ObjectDictionary] | None = None,
    eds_dir: str | Path | None = None,
    time: str | None = None,
) -> Capture:
    """Open a capture file (or a stream) for decoding.

    ``dictionaries`` gives a node its EDS or DCF: a path, a bundled name such as "stepim", or an ObjectDictionary.
    ``eds_dir`` is searched for the identity (1018h) that the traffic shows; the bundled files always are.
    ``time`` is "a", "z" or "d" where candump's -t a, z and d cannot be told apart.

    Raises LogNotFound, UnknownDictionary, DictionaryFileError, and ValueError for a node-ID outside 1..127.
    """
    by_node = {
        node_id: given if isinstance(given, ObjectDictionary) else load(given)
        for node_id, given in (dictionaries or {}).items()
    }
    decoder = Decoder(by_node, library=Library(eds_dir))
    return Capture(open_frames(source, time=time), decoder)
