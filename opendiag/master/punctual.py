"""What a thread can ask the operating system for, to be woken on time. Each call is for the calling thread alone."""

from __future__ import annotations

import os
import sys

_PR_SET_TIMERSLACK = 29


def least_timer_slack() -> bool:
    """Linux wakes a sleeping thread up to 50 µs late, to save power: ask for 1 ns. False where that does not exist."""
    if not sys.platform.startswith("linux"):
        return False
    import ctypes

    try:
        return bool(ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False


def real_time_priority() -> bool:
    """Come before every thread without such a priority (SCHED_FIFO, the lowest of it); its children do not.

    False where the system does not have it, or does not allow it: on Linux it takes root, CAP_SYS_NICE or an rtprio
    limit.
    """
    if sys.platform.startswith("linux"):
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
        except OSError:
            return False
        return True
    return False
