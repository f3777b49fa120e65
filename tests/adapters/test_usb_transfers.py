"""Several transfers at once: against a libusb made of Python functions, called as the real one is."""

import ctypes
import errno
import functools
import threading
import time

import pytest
import usb.core

from opendiag.adapters import usb_transfers
from opendiag.adapters.usb_transfers import _CALLBACK, _FUNCTION, IN_FLIGHT, Transfers, _Transfer, start_transfers

NO_DEVICE, NO_MEMORY, INTERRUPTED = -4, -11, -10


class FakeLibUsb:
    """``coming`` holds (status, data) of the next transfers that complete; `lib` has the functions."""

    def __init__(self):
        self.lib = self
        self.ctx = ctypes.c_void_p(7)
        self.coming, self.submitted, self.cancelled, self.memory, self.freed = [], [], [], {}, []
        self.submit_code = self.events_code = 0
        self.room = IN_FLIGHT
        self.keeps = False
        pointer, number = ctypes.c_void_p, ctypes.c_int
        self.libusb_alloc_transfer = _FUNCTION(pointer, number)(self._allocate)
        self.libusb_free_transfer = _FUNCTION(None, pointer)(self.freed.append)
        self.libusb_submit_transfer = _FUNCTION(number, pointer)(self._submit)
        self.libusb_cancel_transfer = _FUNCTION(number, pointer)(self._cancel)
        self.libusb_handle_events_timeout_completed = _FUNCTION(number, pointer, pointer, pointer)(self._handle_events)

    def _allocate(self, packets):
        if len(self.memory) >= self.room:
            return 0
        transfer = _Transfer()
        self.memory[ctypes.addressof(transfer)] = transfer
        return ctypes.addressof(transfer)

    def _submit(self, address):
        if self.submit_code:
            return self.submit_code
        transfer = _Transfer.from_address(address)
        assert (transfer.endpoint, transfer.type, transfer.length, transfer.dev_handle) == (0x81, 2, 512, 42)
        self.submitted.append(address)
        return 0

    def _cancel(self, address):
        if not self.keeps:
            self.cancelled.append(address)
        return 0

    def _handle_events(self, context, limit, completed):
        for address in self.cancelled:
            self.submitted.remove(address)
            self._complete(address, 3, b"")
        self.cancelled.clear()
        while self.coming and self.submitted:
            self._complete(self.submitted.pop(0), *self.coming.pop(0))
        return self.events_code

    @staticmethod
    def _complete(address, status, data):
        transfer = _Transfer.from_address(address)
        transfer.status, transfer.actual_length = status, len(data)
        ctypes.memmove(transfer.buffer, data, len(data))
        _CALLBACK(ctypes.cast(transfer.callback, ctypes.c_void_p).value)(address)


class Handle:
    handle = ctypes.c_void_p(42)


@pytest.fixture
def libusb():
    return FakeLibUsb()


@pytest.fixture
def transfers(libusb):
    transfers = Transfers(libusb, Handle, 0x81)
    yield transfers
    transfers.close()
    assert not libusb.submitted


def failure(transfers):
    with pytest.raises(usb.core.USBError) as caught:
        transfers.read(10)
    return caught.value


def test_all_wait_for_input_at_once(libusb, transfers):
    assert len(libusb.submitted) == IN_FLIGHT


def test_transfers_come_in_their_order_and_are_started_again(libusb, transfers):
    expected = [bytes([number]) * (number + 1) for number in range(100)]
    libusb.coming = [(0, data) for data in expected]
    assert [transfers.read(10) for _ in range(100)] == expected
    assert transfers.read(10) == b""
    assert len(libusb.submitted) == IN_FLIGHT


def test_silence_is_empty(libusb, transfers):
    assert transfers.read(10) == b""
    libusb.events_code = INTERRUPTED
    assert transfers.read(10) == b""


@pytest.mark.parametrize(("status", "number"), [(1, errno.EIO), (4, errno.EPIPE), (6, errno.EOVERFLOW)])
def test_a_transfer_that_failed_is_reported_and_started_again(libusb, transfers, status, number):
    libusb.coming = [(status, b""), (0, b"next")]
    assert transfers.read(10) == b"next"
    assert failure(transfers).errno == number
    assert len(libusb.submitted) == IN_FLIGHT
    assert transfers.read(10) == b""


def test_what_came_before_the_failure_is_not_lost(libusb, transfers):
    libusb.coming = [(6, b"part")]
    assert transfers.read(10) == b"part"


def test_a_device_that_is_gone_is_reported_for_ever(libusb, transfers):
    libusb.coming = [(0, b"last"), *[(5, b"")] * IN_FLIGHT]
    assert transfers.read(10) == b"last"
    for _ in range(3):
        assert failure(transfers).errno == errno.ENODEV
    assert len(libusb.submitted) <= 1  # that of the last; a real libusb refuses it


@pytest.mark.parametrize("status", [0, 1])
def test_a_device_that_goes_while_a_transfer_is_started_again(libusb, transfers, status):
    libusb.submit_code = NO_DEVICE
    libusb.coming = [(status, b"")]
    for _ in range(3):
        assert failure(transfers).errno in (errno.ENODEV, errno.EIO)
    assert failure(transfers).errno == errno.ENODEV


def test_an_error_of_libusb_itself_is_reported(libusb, transfers):
    libusb.events_code = -1
    assert failure(transfers).backend_error_code == -1


def test_closing_takes_all_back_and_frees_them(libusb):
    transfers = Transfers(libusb, Handle, 0x81)
    transfers.close()
    assert not libusb.submitted
    assert sorted(libusb.freed) == sorted(libusb.memory)
    transfers.close()
    assert len(libusb.freed) == IN_FLIGHT


def test_what_cannot_be_taken_back_is_not_freed(libusb, monkeypatch):
    monkeypatch.setattr(usb_transfers, "_REAP_S", 0.01)
    monkeypatch.setattr(usb_transfers, "_abandoned", [])
    libusb.keeps = True
    Transfers(libusb, Handle, 0x81).close()
    assert libusb.freed == []
    assert len(usb_transfers._abandoned) == 1


def test_events_may_be_handled_by_another_thread(libusb, transfers):
    """A thread that writes handles libusb's events too, and then the callback runs in it."""
    libusb.coming = [(0, b"one"), (0, b"two")]
    other = threading.Thread(target=libusb._handle_events, args=(None, None, None))
    other.start()
    other.join()
    assert [transfers.read(10), transfers.read(10)] == [b"one", b"two"]


def test_ctrl_c_while_the_main_thread_handles_events_is_lost_no_more_than_what_came(libusb, transfers):
    """It sends, and the callback runs in it: a function of ours would be hit by the signal, and ctypes forgets that."""
    libusb.coming = []
    address = libusb.submitted.pop(0)
    transfer = _Transfer.from_address(address)
    transfer.status, transfer.actual_length = 0, 4
    ctypes.memmove(transfer.buffer, b"came", 4)
    callback = _CALLBACK(ctypes.cast(transfer.callback, ctypes.c_void_p).value)
    with pytest.raises(KeyboardInterrupt):
        # Both from C, so that no other Python function is hit.
        calls = [functools.partial(ctypes.pythonapi.PyErr_SetInterrupt), functools.partial(callback, address)]
        list(map(functools.partial.__call__, calls))
        time.sleep(1)
    assert transfers.read(10) == b"came"
    assert len(libusb.submitted) == IN_FLIGHT


def test_without_room_for_all_it_is_one_at_a_time(libusb):
    libusb.room = 3
    assert start_transfers(libusb, Handle, 0x81) is None
    assert len(libusb.freed) == 3 and not libusb.submitted
    libusb.submit_code = NO_MEMORY
    libusb.room = 100
    assert start_transfers(libusb, Handle, 0x81) is None


def test_a_device_that_is_gone_at_the_start_is_an_error(libusb):
    libusb.submit_code = NO_DEVICE
    with pytest.raises(usb.core.USBError) as caught:
        start_transfers(libusb, Handle, 0x81)
    assert caught.value.errno == errno.ENODEV


def test_another_backend_is_read_one_at_a_time():
    assert start_transfers(object(), Handle, 0x81) is None
    without = FakeLibUsb()
    del without.libusb_alloc_transfer
    assert start_transfers(without, Handle, 0x81) is None
