"""How fast captures are read: slowest and fastest of three rounds; the ratio compares the fastest.

    python benchmarks/logs.py [FRAMES]

python-can's CanutilsLogReader reads the same file in the same run. Console output it does not read.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from can.io import CanutilsLogReader

from opendiag.frame import Frame
from opendiag.logs import format_log_line, open_log

ROUNDS = 3


def frames(count: int) -> Iterator[Frame]:
    draw = random.Random(1)
    for place in range(count):
        time_ns = 1_700_000_000_000_000_000 + place * 237_000
        yield Frame(
            draw.randrange(0x800), draw.randbytes(draw.choice((8, 8, 8, 4, 2))), channel="can0", time_ns=time_ns
        )


def console_line(frame: Frame) -> str:
    seconds, rest = divmod(frame.time_ns or 0, 1_000_000_000)
    data = frame.data.hex(" ").upper()
    return f" ({seconds:010d}.{rest // 1000:06d})  {frame.channel}  {frame.id_text}   [{len(frame.data)}]  {data}"


def seconds_for(work: Callable[[], int], count: int) -> float:
    start = time.perf_counter()
    assert work() == count
    return time.perf_counter() - start


def measured(name: str, works: dict[str, Callable[[], int]], count: int) -> None:
    """Rounds take turns, so that a slow moment of the machine hits everybody."""
    took: dict[str, list[float]] = {key: [] for key in works}
    for _ in range(ROUNDS):
        for key, work in works.items():
            took[key].append(seconds_for(work, count))
    fastest = {key: count / min(times) / 1000 for key, times in took.items()}
    for key, times in took.items():
        slowest = count / max(times) / 1000
        ratio = ""
        if key != "python-can" and "python-can" in took:
            ratio = f"   {fastest[key] / fastest['python-can']:4.2f} x python-can"
        print(f"{name:16} {key:12} {slowest:4.0f} .. {fastest[key]:4.0f} k frames/s{ratio}")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as directory:
        log, console, bare = (Path(directory) / name for name in ("log.log", "console.txt", "bare.txt"))
        log.write_text("".join(f"{format_log_line(frame)}\n" for frame in frames(count)))
        lines = [console_line(frame) for frame in frames(count)]
        console.write_text("".join(f"{line}\n" for line in lines))
        bare.write_text("".join(f"{line.split(')', 1)[1]}\n" for line in lines))

        def ours(path: Path) -> Callable[[], int]:
            return lambda: sum(1 for _ in open_log(path))

        def theirs() -> int:
            with CanutilsLogReader(log) as reader:
                return sum(1 for _ in reader)

        measured("candump -L", {"opendiag": ours(log), "python-can": theirs}, count)
        measured("candump -ta", {"opendiag": ours(console)}, count)
        measured("candump", {"opendiag": ours(bare)}, count)


if __name__ == "__main__":
    main()
