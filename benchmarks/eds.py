"""How long device files take to load, beside the `canopen` package, which reads the same files in the same run.

    python benchmarks/eds.py [FILES]

OPENDIAG_CORPUS names a directory of real files; the largest FILES of them (100) are read. Without it there is only the
one that comes with opendiag. What `canopen` cannot load is left out for both. Of each file the fastest round counts.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import canopen

from opendiag.dictionary import load
from opendiag.resources import bundled_path

ROUNDS = 5


def files(count: int) -> list[Path]:
    """EDS and DCF, the largest first."""
    corpus = os.environ.get("OPENDIAG_CORPUS")
    directory = Path(corpus, "dictionaries") if corpus else bundled_path("eds")
    if not corpus:
        print("OPENDIAG_CORPUS is not set: only the bundled file is read, which says little")
    found = [path for path in directory.iterdir() if path.suffix.lower() in (".eds", ".dcf")]
    return sorted(found, key=lambda path: -path.stat().st_size)[:count]


def theirs(path: Path) -> object:
    return canopen.import_od(str(path))


def can_load(path: Path) -> bool:
    try:
        theirs(path)
    except Exception:
        return False
    return True


def seconds_for(work: Callable[[Path], object], path: Path) -> float:
    start = time.perf_counter()
    work(path)
    return time.perf_counter() - start


def main() -> None:
    logging.disable(logging.CRITICAL)
    chosen = files(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
    both = [path for path in chosen if can_load(path)]
    works: dict[str, Callable[[Path], object]] = {"opendiag": load, "canopen": theirs}
    took: dict[str, list[list[float]]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        rounds: dict[str, list[float]] = {name: [] for name in works}
        for path in both:  # they take turns, so that a slow moment of the machine hits both
            for name, work in works.items():
                rounds[name].append(seconds_for(work, path))
        for name, times in rounds.items():
            took[name].append(times)
    size = sum(path.stat().st_size for path in both)
    fastest = {name: [min(times) for times in zip(*rounds, strict=True)] for name, rounds in took.items()}
    print(f"{len(chosen)} files, of which canopen loads {len(both)}: {size / 1e6:.2f} MB")
    for name, times in fastest.items():
        slowest = max(map(sum, took[name]))
        print(f"{name:10} {sum(times):6.3f} s   {size / sum(times) / 1e6:5.2f} MB/s   (slowest round {slowest:6.3f} s)")
    ratios = sorted(their / mine for mine, their in zip(fastest["opendiag"], fastest["canopen"], strict=True))
    whole = sum(fastest["canopen"]) / sum(fastest["opendiag"])
    print(f"opendiag is {whole:.2f} times as fast in sum; of single files {ratios[0]:.2f} .. {ratios[-1]:.2f}")


if __name__ == "__main__":
    main()
