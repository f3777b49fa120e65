"""Machines on one wire, on a clock that the test winds: what one sends the others receive, at once."""

from __future__ import annotations

from typing import Any

from opendiag.frame import Frame


class Wire:
    """``sent`` holds (time, frame); ``events`` what each machine has told."""

    def __init__(self, *machines: Any, now: float = 0.0) -> None:
        self.machines = list(machines)
        self.now = now
        self.sent: list[tuple[float, Frame]] = []
        self.events: dict[int, list[Any]] = {id(machine): [] for machine in machines}
        #: Machines whose frames get lost.
        self.mute: set[int] = set()

    def told(self, machine: Any) -> list[Any]:
        """What the machine has told since the last call."""
        events, self.events[id(machine)] = self.events[id(machine)], []
        return events

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        for _ in range(100_000):
            self.settle()
            due = min((d for m in self.machines if (d := m.deadline()) is not None), default=None)
            if due is None or due > end:
                break
            self.now = max(self.now, due)
            for machine in self.machines:
                machine.tick(self.now)
        else:
            raise AssertionError("the machines never come to rest")
        self.now = end
        for machine in self.machines:
            machine.tick(end)
        self.settle()

    def send(self, frame: Frame, sender: Any = None) -> None:
        self.sent.append((self.now, frame))
        for machine in self.machines:
            if machine is not sender:
                machine.receive(frame, self.now)

    def settle(self) -> None:
        busy = True
        while busy:
            busy = False
            for machine in self.machines:
                frames = machine.frames_to_send()
                self.events[id(machine)] += machine.events()
                for frame in frames:
                    busy = True
                    if id(machine) not in self.mute:
                        self.send(frame, machine)

    def lines(self) -> list[tuple[float, str]]:
        """Time, and the frame as in "705#7F" or "705#R1"."""
        return [(round(at, 6), line(frame)) for at, frame in self.sent]


def line(frame: Frame) -> str:
    return f"{frame.can_id:03X}#" + (f"R{frame.dlc}" if frame.remote else frame.data.hex().upper())


def frame(text: str, **more: Any) -> Frame:
    """A frame from such a line."""
    can_id, _, data = text.partition("#")
    if data.startswith("R"):
        return Frame(int(can_id, 16), remote=True, dlc=int(data[1:] or 0), **more)
    return Frame(int(can_id, 16), bytes.fromhex(data), **more)
