"""What becomes of USB errors while reading and writing."""

import errno
import types

import can
import pytest
import usb.core

from opendiag.adapters import usb_stream
from opendiag.adapters.bus import QueueFull, Unplugged
from opendiag.adapters.usb_stream import Endpoints, UsbStream


class Backend:
    """``answers`` are bytes, errors, or None for silence, in turn; the last one stays."""

    def __init__(self):
        self.answers, self.cleared, self.written = [None], [], []

    def _next(self):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            raise usb.core.USBTimeoutError("Operation timed out", -7, 110)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def bulk_read(self, handle, endpoint, interface, buffer, timeout):
        assert (endpoint, timeout > 0) == (0x81, True)
        data = self._next()
        memoryview(buffer)[: len(data)] = data
        return len(data)

    def bulk_write(self, handle, endpoint, interface, data, timeout):
        assert (endpoint, timeout > 0) == (0x02, True)
        return len(self._next())

    def clear_halt(self, handle, endpoint):
        self.cleared.append(endpoint)


@pytest.fixture
def backend():
    return Backend()


@pytest.fixture
def stream(backend, monkeypatch):
    now = [0.0]
    clock = types.SimpleNamespace(monotonic=lambda: now[0], sleep=lambda s: now.__setitem__(0, now[0] + s))
    monkeypatch.setattr(usb_stream, "time", clock)
    context = types.SimpleNamespace(managed_open=lambda: object())
    device = types.SimpleNamespace(backend=backend, _ctx=context)
    stream = UsbStream(device, Endpoints(0x81, 0x02, 64), "adapter")
    stream.now = now
    return stream


def error(code, number):
    return usb.core.USBError("failed", code, number)


@pytest.mark.parametrize(
    ("code", "number"), [(-4, errno.ENODEV), (None, errno.ENODEV), (-4, None), (-1, errno.ESHUTDOWN)]
)
def test_a_device_that_is_gone_is_unplugged(stream, backend, code, number):
    backend.answers = [error(code, number)]
    with pytest.raises(Unplugged, match="adapter is gone: unplugged"):
        stream.read()
    with pytest.raises(Unplugged):
        stream.write(b"x", 1)


@pytest.mark.parametrize(("code", "number"), [(-1, errno.EIO), (-9, errno.EPIPE), (-99, None)])
def test_errors_may_pass(stream, backend, code, number):
    backend.answers = [error(code, number), error(code, number), b"data", None]
    assert [stream.read() for _ in range(4)] == [b"", b"", b"data", b""]
    assert stream.read_errors == 2
    assert backend.cleared == ([0x81] * 2 if number == errno.EPIPE else [])


def test_an_overflow_is_counted_and_costs_no_pause(stream, backend):
    backend.answers = [error(-8, errno.EOVERFLOW), b"data"]
    assert [stream.read(), stream.read()] == [b"", b"data"]
    assert (stream.read_errors, stream.now[0]) == (1, 0.0)


def test_errors_without_end_are_unplugged_after_half_a_second(stream, backend):
    backend.answers = [error(-1, errno.EIO)]
    with pytest.raises(Unplugged, match="cannot be read any more: "):
        for _ in range(100):
            stream.read()
    assert 0.5 < stream.now[0] < 0.6


def test_rare_errors_are_not_one_series(stream, backend):
    for _ in range(20):
        backend.answers = [error(-1, errno.EIO)]
        stream.read()
        stream.now[0] += 10
    assert stream.read_errors == 20


def test_a_write_that_fails_is_an_error_of_ours(stream, backend):
    backend.answers = [None]
    with pytest.raises(QueueFull, match="its memory is full"):
        stream.write(b"x", 0)
    backend.answers = [error(-9, errno.EPIPE)]
    with pytest.raises(can.CanOperationError, match="writing failed") as caught:
        stream.write(b"x", 1)
    assert caught.value.error_code == errno.EPIPE
    assert backend.cleared == [0x02]
