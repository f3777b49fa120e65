"""`opendiag sync`: SYNC at a steady period, and how steady it was."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import click

from opendiag.cli import EXIT_BUS, live, output
from opendiag.cli.pdo_arguments import can_id
from opendiag.frame import Frame
from opendiag.master.cyclic import Cycle
from opendiag.master.network import Network
from opendiag.services.sync import as_cob_id, check_overflow
from opendiag.wire.cob_id import CobId, Service, is_restricted, predefined

#: Quantiles are of so many periods, the latest ones.
_KEPT = 100_000


def _cob_id(context: click.Context, parameter: click.Parameter, text: str) -> int:
    """The COB-ID, with its flag where it has 29 bits. Raise click.BadParameter."""
    cob = can_id(context, parameter, text) or CobId(0)
    if not cob.extended and is_restricted(cob.can_id):
        service = predefined(cob.can_id).service
        whose = "CiA 301 keeps it for itself" if service is Service.UNKNOWN else f"it belongs to {service.value}"
        raise click.BadParameter(f"CAN-ID {cob.text}h: {whose}, and SYNC may not have it")
    return cob.encode()


@click.command(short_help="Send SYNC.")
@live.interface_option
@click.option("--period", "period_s", callback=live.seconds, default="10ms", show_default=True, metavar="TIME",
              help="From one SYNC to the next.")  # fmt: skip
@click.option("--counter", "overflow", type=int, default=0, metavar="N",
              help="With a counter from 1 to N, 2..240, as 1019h has it. Without: no counter.")  # fmt: skip
@click.option("--cob-id", callback=_cob_id, default="80", show_default=True, metavar="HEX",
              help="CAN-ID; above 7FF it has 29 bits.")  # fmt: skip
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after N SYNCs.")
@click.option("--for", "seconds", metavar="TIME", callback=live.seconds, help="End after this time, as in 10s.")
@click.option("--json", "as_json", is_flag=True, help="The statistics as one JSON object.")
@click.option("-q", "--quiet", is_flag=True, help="No notes on stderr.")
def command(
    interface: str | None,
    period_s: float,
    overflow: int,
    cob_id: int,
    count: int | None,
    seconds: float | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Send SYNC until Ctrl-C, then say how steady it was. Transmits: drives in a synchronous mode move on SYNC.

    The periods are those between the moments at which the adapter took two SYNCs. A SYNC that is overdue by a whole
    period is left out. Exit code 3 when the adapter did not take them all.
    """
    if not period_s:
        raise click.BadParameter("--period 0 is none: expected one such as 10ms")
    try:
        check_overflow(overflow)
    except ValueError as error:
        raise click.BadParameter(f"--counter: {error}") from None
    with live.network(interface, unconfirmed=True, quiet=quiet) as network:
        sent = _Sent(network.clock.now, as_cob_id(cob_id).can_id, count)
        network.pump.listen(sent)
        with network.pump.lock:  # none is sent before somebody counts
            cycle = network.sync(period_s, counter_overflow=overflow, cob_id=cob_id)
            sent.stop = cycle.stop
        if sent.done:
            cycle.stop()
        try:
            _wait(network, sent, seconds)
        finally:
            cycle.stop()
            _print(_statistics(cycle, sent, period_s, cob_id), as_json)
        failed = cycle.statistics.failed
    if cycle.error is not None:
        raise cycle.error
    if failed:
        output.note(f"{failed} SYNC{'s' * (failed != 1)} not sent: the adapter did not take them")
        sys.exit(EXIT_BUS)


def _wait(network: Network, sent: _Sent, seconds: float | None) -> None:
    until = None if seconds is None else network.clock.now() + seconds
    with suppress(KeyboardInterrupt):
        network.pump.wait(sent, until)


class _Sent:
    """Listens for the SYNCs that leave. ``done`` when ``count`` of them have."""

    def __init__(self, now: Callable[[], float], can_id: int, count: int | None) -> None:
        self.sent_count = 0
        self.first_at = self.last_at = 0.0
        self.periods: deque[float] = deque(maxlen=_KEPT)
        self.min_s, self.max_s = float("inf"), 0.0
        self.stop: Callable[[], None] | None = None
        self._now = now
        self._can_id = can_id
        self._count = count

    @property
    def done(self) -> bool:
        """As many as asked for have left."""
        return self._count is not None and self.sent_count >= self._count

    def sent(self, frame: Frame, now: float) -> None:
        if frame.can_id != self._can_id or self.done:
            return
        now = self._now()
        if self.sent_count:
            period = now - self.last_at
            self.periods.append(period)
            self.min_s, self.max_s = min(self.min_s, period), max(self.max_s, period)
        else:
            self.first_at = now
        self.last_at = now
        self.sent_count += 1
        if self.done and self.stop is not None:
            self.stop()

    def received(self, frame: Frame, now: float) -> None:
        """Only what leaves counts."""

    def send_failed(self, frame: Frame, reason: str, now: float) -> None:
        """The cycle counts these."""


def _statistics(cycle: Cycle, sent: _Sent, period_s: float, cob_id: int) -> dict[str, Any]:
    """Times in ms; None before there were two SYNCs."""
    late = cycle.statistics
    periods = sorted(sent.periods)

    def quantile(part: float) -> float | None:
        return _ms(periods[min(int(len(periods) * part), len(periods) - 1)]) if periods else None

    mean = (sent.last_at - sent.first_at) / (sent.sent_count - 1) if periods else 0.0
    return {
        "cob_id": cob_id,
        "sent": sent.sent_count,
        "missed": late.missed,
        "failed": late.failed,
        "took_s": round(sent.last_at - sent.first_at, 6),
        "period_ms": {
            "wanted": _ms(period_s),
            "mean": _ms(mean) if periods else None,
            "min": _ms(sent.min_s) if periods else None,
            "p50": quantile(0.5),
            "p99": quantile(0.99),
            "max": _ms(sent.max_s) if periods else None,
        },
        "late_ms": {"p50": _ms(late.p50_s), "p99": _ms(late.p99_s), "max": _ms(late.max_s)},
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 4)


def _print(statistics: dict[str, Any], as_json: bool) -> None:
    printer = output.Printer()
    if as_json:
        printer.json(statistics)
        return
    count, missed = statistics["sent"], statistics["missed"]
    left_out = f", {missed} left out: this computer or the adapter was too slow" if missed else ""
    where = f"{CobId.decode(statistics['cob_id']).text}h"
    printer.line(f"{count} SYNC{'s' * (count != 1)} sent on {where} in {statistics['took_s']:.3f} s{left_out}")
    for name, key in (("period", "period_ms"), ("lateness", "late_ms")):
        parts = [f"{part} {value:.3f}" for part, value in statistics[key].items() if value is not None]
        if count > 1 or key == "late_ms":
            printer.line(f"{name:<9} {'   '.join(parts)}   ms")
