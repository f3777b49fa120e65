"""To find out at which baud rate a USB-CAN Analyzer talks, and to change what it keeps.

An adapter answers nothing but the status request, and hears nothing while its light blinks: after power-on, and after
its baud rate or its stored filter was changed. So it is asked until it answers, instead of slept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import can

from opendiag.adapters.bus import describe, wrong_option
from opendiag.adapters.serial_line import SerialLine
from opendiag.adapters.usbcan_codec import (
    BAUD_RATES,
    CLEAR_FILTER,
    STATUS_REQUEST,
    Settings,
    blink_s,
    pack_baud,
    pack_settings,
)
from opendiag.adapters.usbcan_parser_codec import Parser

#: How long one status request is waited for; 40 bytes take 42 ms at 9600 baud.
_ANSWER_S = 0.15
#: How long an adapter is deaf after a configuration.
_SETTLE_S = 0.1
_QUIET_S = 0.025
_RESET = (
    "Unplug it and plug it in again; give its baud rate if it is another one; short its DEFAULT jumper at power-on, "
    "which ends transparent mode and sets 2000000 baud"
)
#: Where nothing answers, and perhaps never did.
ADVICE = f"{_RESET}. Or is it an SLCAN adapter? then slcan:"


def never() -> bool:
    return False


def answers(line: SerialLine, bauds: Sequence[int], give_up: Callable[[], bool] = never) -> bool:
    """Ask for the status until it comes, at one baud rate after the other; the line stays at the one that was right.

    Takes as long as an adapter may blink after power-on, at most. Frames that come meanwhile are thrown away.
    Raise Unplugged.
    """
    until = time.monotonic() + max(map(blink_s, bauds)) + _ANSWER_S
    asked = 0
    while not give_up() and (not asked or time.monotonic() < until):
        for baud in bauds:
            if not _at(line, baud):
                continue
            asked += 1
            if _ask(line):
                if asked > 1:  # what was asked before may be answered now, and is not the answer to what comes next
                    _drain(line)
                return True
    return False


def _at(line: SerialLine, baud: int) -> bool:
    """False: this computer's port has no such rate."""
    if line.baud != baud:
        try:
            line.set_baud(baud)
        except can.CanInitializationError:
            return False
    line.drop_input()
    return True


def _ask(line: SerialLine) -> bool:
    parser = Parser()
    line.write(STATUS_REQUEST)
    until = time.monotonic() + _ANSWER_S
    while time.monotonic() < until:
        data = line.read(_QUIET_S)
        now = time.monotonic_ns()
        if data:
            parser.feed(data, now)
        else:
            parser.silence(now)
        if parser.statuses:
            return True
    return False


def _drain(line: SerialLine) -> None:
    until = time.monotonic() + 2 * _QUIET_S
    while time.monotonic() < until:
        line.read(_QUIET_S)


def set_up(line: SerialLine, bauds: Sequence[int], settings: Settings, give_up: Callable[[], bool] = never) -> bool:
    """Configure an adapter. False: it takes part in the bus as far as can be told, but answers no status request.

    Input from before is thrown away. Raise Unplugged, can.CanInitializationError.
    """
    # Answered first: then it has taken what a program before this one left half sent, and will hear all of ours.
    found = answers(line, bauds, give_up)
    if not found and len(bauds) > 1:
        raise can.CanInitializationError(
            f"{line.port}: no USB-CAN Analyzer answers at {', '.join(map(str, bauds))} baud. {ADVICE}"
        )
    line.write(pack_settings(settings))
    if not found:
        time.sleep(_SETTLE_S)
        line.drop_input()
    elif not answers(line, (line.baud,), give_up):
        raise can.CanInitializationError(f"{line.port}: the adapter fell silent when it was configured. {_RESET}")
    return found


def initialization_error(error: can.CanError) -> can.CanInitializationError:
    """The same, for whoever opens an adapter."""
    failure = can.CanInitializationError(describe(error))
    failure.error_code = error.error_code
    return failure


@contextmanager
def _adapter(channel: str, baud: int) -> Iterator[SerialLine]:
    bauds = (baud,) if baud else BAUD_RATES
    line = SerialLine(channel, bauds[0])
    try:
        if not answers(line, bauds):
            tried = ", ".join(map(str, bauds))
            raise can.CanInitializationError(
                f"{channel}: no USB-CAN Analyzer answers at {tried} baud; nothing was changed. {ADVICE}"
            )
        yield line
    except can.CanOperationError as error:
        raise initialization_error(error) from None
    finally:
        line.close()


def _wait(channel: str, line: SerialLine, baud: int, what: str) -> None:
    time.sleep(_SETTLE_S + 10 * len(STATUS_REQUEST) / line.baud)  # all is sent before the port changes its rate
    if not answers(line, (baud,)):
        raise can.CanInitializationError(f"{channel}: the adapter does not answer after {what}. {_RESET}")


def clear_stored_filter(channel: str, baud: int = 0) -> None:
    """Let the adapter receive all identifiers again, for good; ``baud`` 0: found out.

    There is no way to read what is stored. A filter is likely where the light RX blinks and nothing is received. This
    writes to the adapter's flash memory, so it is done only when asked for. Raise can.CanInitializationError.
    """
    with _adapter(channel, baud) as line:
        line.write(CLEAR_FILTER)
        _wait(channel, line, line.baud, "its stored filter was cleared")


def set_baud_rate(channel: str, new_baud: int, baud: int = 0) -> None:
    """Change the baud rate of the adapter's serial line, for good; ``baud`` is the one it has, 0: found out.

    Raise can.CanInitializationError.
    """
    try:
        message = pack_baud(new_baud)
    except ValueError as error:
        raise wrong_option(f"{channel}: {error}") from None
    with _adapter(channel, baud) as line:
        line.write(message)
        _wait(channel, line, new_baud, f"it was set to {new_baud} baud")
