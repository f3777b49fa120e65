import threading
import time

import can
import pytest

from opendiag.adapters import reader as reader_module
from opendiag.adapters.bus import Unplugged
from opendiag.adapters.reader import Reader


class FakeLink:
    """Reads what `reads` says, one after the other: None is silence, an error is raised; then silence."""

    def __init__(self, *reads, reopens=()):
        self.reads, self.reopens = list(reads), list(reopens)
        self.calls = []
        self.ended = threading.Event()

    def _next(self, answers):
        answer = answers.pop(0) if answers else None
        if isinstance(answer, Exception):
            raise answer

    def read(self):
        if not self.reads:
            time.sleep(0.002)
        self.calls.append("read")
        self._next(self.reads)

    def reopen(self):
        self.calls.append("reopen")
        self._next(self.reopens)

    def gone(self, reason):
        self.calls.append(f"gone {reason}")

    def lost(self, failure):
        self.failure = failure
        self.calls.append("lost")
        self.ended.set()

    def told(self):
        return [call for call in self.calls if call != "read"]


@pytest.fixture
def run():
    readers = []

    def run(link, **options):
        readers.append(Reader(link, "fake", **options))
        readers[-1].start()
        return readers[-1]

    yield run
    for reader in readers:
        reader.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "opendiag fake"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(reader_module, "RETRY_S", 0.01)


def wait_for(condition):
    until = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < until, "it did not happen within 5 s"
        time.sleep(0.002)


def test_unplugged_is_told_once_and_reading_ends(run):
    link = FakeLink(None, Unplugged("pulled"))
    run(link)
    assert link.ended.wait(5)
    wait_for(lambda: not [thread for thread in threading.enumerate() if thread.name == "opendiag fake"])
    assert link.calls == ["read", "read", "lost"]
    assert isinstance(link.failure, Unplugged)


def test_an_adapter_that_comes_back_is_read_on(run):
    link = FakeLink(Unplugged("pulled"), reopens=[can.CanInitializationError("not there"), can.CanOperationError("x")])
    reader = run(link, reconnect_s=5)
    wait_for(lambda: reader.reconnects == 1 and link.calls[-1] == "read")
    assert link.told() == ["gone pulled", "reopen", "reopen", "reopen"]


def test_it_may_come_back_again_and_again(run):
    link = FakeLink(Unplugged("one"), None, Unplugged("two"))
    reader = run(link, reconnect_s=float("inf"))
    wait_for(lambda: reader.reconnects == 2 and link.calls[-1] == "read")
    assert link.told() == ["gone one", "reopen", "gone two", "reopen"]


def test_an_adapter_that_does_not_come_back_is_given_up(run):
    link = FakeLink(Unplugged("pulled"), reopens=[can.CanInitializationError("not there")] * 1000)
    began = time.monotonic()
    run(link, reconnect_s=0.1)
    assert link.ended.wait(5)
    assert time.monotonic() - began >= 0.1
    assert str(link.failure).startswith("pulled")
    assert 1 <= link.calls.count("reopen") <= 10


def test_an_error_of_a_library_ends_reading_and_is_told(run):
    link = FakeLink(RuntimeError("a defect"))
    run(link, reconnect_s=5)
    assert link.ended.wait(5)
    assert type(link.failure) is can.CanOperationError
    assert str(link.failure) == "fake: RuntimeError: a defect"
    assert isinstance(link.failure.__cause__, RuntimeError)


def test_an_error_of_a_library_while_it_is_looked_for_is_told_too(run):
    link = FakeLink(Unplugged("pulled"), reopens=[RuntimeError("a defect")])
    run(link, reconnect_s=5)
    assert link.ended.wait(5)
    assert str(link.failure) == "fake: RuntimeError: a defect"


def test_looking_for_it_costs_no_computing_time(run, monkeypatch):
    monkeypatch.setattr(reader_module, "RETRY_S", 0.25)
    link = FakeLink(Unplugged("pulled"), reopens=[can.CanInitializationError("not there")] * 1000)
    run(link, reconnect_s=60)
    began = time.process_time()
    time.sleep(0.6)
    assert time.process_time() - began < 0.15
    assert link.calls.count("reopen") <= 3


@pytest.mark.parametrize("reconnect_s", [0.0, 60.0])
def test_stop_ends_it_at_once_and_nothing_is_told(run, reconnect_s):
    link = FakeLink()
    reader = run(link, reconnect_s=reconnect_s)
    wait_for(lambda: link.calls)
    reader.stop()
    assert reader.stopping
    before = len(link.calls)
    time.sleep(0.01)
    assert len(link.calls) == before
    assert link.told() == []


def test_stop_while_it_is_looked_for_tells_nothing(run, monkeypatch):
    monkeypatch.setattr(reader_module, "RETRY_S", 60)
    link = FakeLink(Unplugged("pulled"))
    reader = run(link, reconnect_s=600)
    wait_for(lambda: link.told() == ["gone pulled"])
    began = time.monotonic()
    reader.stop()
    assert time.monotonic() - began < 1
    assert link.told() == ["gone pulled"]


def test_unplugged_because_it_is_being_closed_is_no_news(run):
    link = FakeLink()
    reader = run(link, reconnect_s=60)
    wait_for(lambda: link.calls)
    reader._stop.set()
    link.reads.append(Unplugged("closed by ourselves"))
    reader.stop()
    assert link.told() == []


def test_stop_from_its_own_thread_and_before_start():
    link = FakeLink()
    reader = Reader(link, "fake")
    reader.stop()
    link.read = reader.stop
    reader._stop.clear()
    reader.start()
    reader._thread.join(5)
    assert not reader._thread.is_alive()


def test_going_away_and_coming_back_is_told_at_once(run, caplog):
    caplog.set_level("INFO", "opendiag.adapters")
    link = FakeLink(Unplugged("pulled"), reopens=[can.CanInitializationError("not there"), None])
    reader = run(link, reconnect_s=30.0)
    wait_for(lambda: reader.reconnects == 1)
    wait_for(lambda: len(caplog.messages) == 2)
    assert caplog.messages == ["pulled; looking for it for 30 s", "fake is back"]


def test_an_adapter_that_nobody_looks_for_is_not_announced(run, caplog):
    caplog.set_level("INFO", "opendiag.adapters")
    link = FakeLink(Unplugged("pulled"))
    run(link)
    assert link.ended.wait(5)
    assert caplog.messages == []
