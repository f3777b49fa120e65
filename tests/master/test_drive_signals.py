"""Signals while drives are energised: one that has to wait for its moment is not forgotten."""

import signal
from types import SimpleNamespace

from opendiag.master import drive_signals
from opendiag.master.drive_signals import SignalWatch


def test_a_signal_that_is_put_off_is_noted_before_the_thread_is_told(monkeypatch):
    """The thread comes back to what is noted when it is told: what was noted later, it never looked at again."""
    watch, seen = SignalWatch(), []
    monkeypatch.setattr(watch, "_tell", lambda number: seen.append(dict(watch._pending)))
    watch._before = {signal.SIGINT: signal.default_int_handler}
    ours = SimpleNamespace(f_code=SimpleNamespace(co_filename=drive_signals.__file__))
    watch._handle(signal.SIGINT, ours)
    assert seen == [{signal.SIGINT: signal.default_int_handler}]
