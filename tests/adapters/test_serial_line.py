import contextlib
import errno
import os
import threading
import time
import tty
from pathlib import Path

import can
import pytest
from emulators.pty_port import PtyPort

from opendiag.adapters.bus import QueueFull, Unplugged
from opendiag.adapters.serial_line import SerialLine


class Recorder:
    """Keeps what the host wrote."""

    def __init__(self):
        self.got = bytearray()

    def receive(self, data):
        self.got += data


@pytest.fixture
def port():
    port = PtyPort(Recorder())
    yield port
    port.close()


@pytest.fixture
def line(port):
    line = SerialLine(port.path, 2_000_000)
    yield line
    line.close()


def wait_for(condition):
    until = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < until, "it did not happen within 5 s"
        time.sleep(0.002)


def read_all(line, count):
    data, until = b"", time.monotonic() + 5
    while len(data) < count and time.monotonic() < until:
        data += line.read()
    return data


def open_files():
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def test_bytes_go_both_ways_unchanged(port, line):
    every = bytes(range(256)) * 4
    port.transmit(every)
    assert read_all(line, len(every)) == every
    line.write(every)
    wait_for(lambda: len(port.device.got) == len(every))
    assert port.device.got == every


def test_more_than_any_buffer_holds_arrives_in_full(port, line):
    big = os.urandom(300_000)
    sender = threading.Thread(target=port.transmit, args=(big,))
    sender.start()
    assert read_all(line, len(big)) == big
    sender.join()
    line.write(big)
    wait_for(lambda: len(port.device.got) == len(big))
    assert port.device.got == big


@pytest.mark.parametrize("wait_s", [0, 0.01, 0.1])
def test_silence_is_no_bytes_after_the_time_given(line, wait_s):
    began = time.monotonic()
    assert line.read(wait_s) == b""
    assert wait_s <= time.monotonic() - began < wait_s + 0.5


def test_the_first_byte_ends_the_wait(port, line):
    threading.Timer(0.02, port.transmit, [b"x"]).start()
    began = time.monotonic()
    assert line.read(5) == b"x"
    assert time.monotonic() - began < 2


def test_input_that_is_dropped_does_not_come(port, line):
    port.transmit(b"old")
    line.drop_input()
    port.transmit(b"new")
    assert read_all(line, 3) == b"new"


def test_the_rate_can_be_changed_while_it_is_open(port, line):
    for baud in (1_228_800, 115_200, 9600):
        line.set_baud(baud)
        assert line.baud == baud
    port.transmit(b"x")
    assert line.read(1) == b"x"


def test_a_rate_that_cannot_be_set_is_refused(line):
    with pytest.raises(can.CanInitializationError, match=line.port):
        line.set_baud(-1)
    assert line.baud == 2_000_000


# --- the plug is pulled


def test_unplugged_while_it_reads(port, line):
    threading.Timer(0.05, port.unplug).start()
    began = time.monotonic()
    with pytest.raises(Unplugged) as raised:
        while time.monotonic() - began < 5:
            line.read(5)
    assert time.monotonic() - began < 1
    assert raised.value.error_code == errno.ENODEV
    assert str(raised.value) == f"{line.port} is gone: unplugged"


@pytest.mark.parametrize(
    "act",
    [SerialLine.read, lambda line: line.write(b"x"), SerialLine.drop_input, lambda line: line.set_baud(115_200)],
    ids=["read", "write", "drop_input", "set_baud"],
)
def test_unplugged_before_each_call_is_told_every_time(port, line, act):
    port.unplug()
    began = time.monotonic()
    for _ in range(3):
        with pytest.raises(Unplugged, match=f"{line.port} is gone: unplugged"):
            act(line)
    assert time.monotonic() - began < 1


def test_what_came_before_the_unplug_is_read_or_the_unplug_is_told(port, line):
    """Never silence: a terminal may throw away its buffer when it is hung up."""
    port.transmit(b"last words")
    port.unplug()
    with pytest.raises(Unplugged):
        assert line.read() == b"last words"
        line.read()


def test_unplugged_between_finding_and_opening(port):
    path = port.path
    port.unplug()
    before = open_files()
    with pytest.raises(can.CanInitializationError, match=path) as raised:
        SerialLine(path, 115_200)
    assert raised.value.error_code in (errno.ENOENT, errno.EIO)
    assert isinstance(raised.value.__cause__, OSError)
    assert open_files() == before


def test_no_such_port_is_said_in_a_sentence():
    with pytest.raises(can.CanInitializationError) as raised:
        SerialLine("/dev/ttyUSB99", 115_200)
    assert str(raised.value) == "/dev/ttyUSB99: No such file or directory"
    assert raised.value.error_code == errno.ENOENT


def test_a_port_that_is_no_terminal_is_refused(tmp_path):
    file = tmp_path / "file"
    file.touch()
    before = open_files()
    with pytest.raises(can.CanInitializationError, match=str(file)):
        SerialLine(str(file), 115_200)
    assert open_files() == before


def test_a_port_that_another_program_has_open_is_not_shared(port, line):
    before = open_files()
    with pytest.raises(can.CanInitializationError, match="in use by another program") as raised:
        SerialLine(port.path, 115_200)
    assert raised.value.error_code == errno.EBUSY
    assert open_files() == before


def test_it_can_be_opened_again_after_a_replug(tmp_path):
    port = PtyPort(Recorder(), link=str(tmp_path / "adapter"))
    line = SerialLine(port.path, 115_200)
    before = open_files()
    port.unplug()
    with pytest.raises(Unplugged):
        line.read()
    with pytest.raises(can.CanInitializationError):
        line.open()
    with pytest.raises(Unplugged, match="closed"):
        line.read()
    port.replug()
    line.open()
    port.transmit(b"again")
    assert read_all(line, 5) == b"again"
    assert open_files() == before
    line.close()
    port.close()


# --- computing time


def test_silence_costs_no_computing_time(line):
    began, cpu = time.monotonic(), time.thread_time()
    while time.monotonic() - began < 0.5:
        line.read()
    assert time.thread_time() - cpu < 0.05


def test_a_port_that_takes_nothing_fails_in_time_without_a_busy_loop():
    """pyserial alone tries to write some 100 000 times a second while the buffer is full."""
    master, slave = os.openpty()
    line = SerialLine(os.ttyname(slave), 115_200)
    line.write(bytes(200_000))  # it takes a part of that, which cannot be taken back
    began, cpu = time.monotonic(), time.thread_time()
    with pytest.raises(QueueFull, match="takes no bytes") as raised:
        line.write(bytes(200_000))
    assert 0.5 < time.monotonic() - began < 2
    assert time.thread_time() - cpu < 0.2
    assert raised.value.error_code == errno.ENOBUFS
    line.close()
    os.close(slave)
    os.close(master)


def test_bytes_that_just_fit_are_written(monkeypatch):
    """pyserial reports a time-out when the port is full after the last byte."""
    master, slave = os.openpty()
    line = SerialLine(os.ttyname(slave), 115_200)
    monkeypatch.setattr("opendiag.adapters.serial_line._WRITE_S", 0.2)
    written = 0
    with pytest.raises(QueueFull):
        while written < 1_000_000:
            line.write(b"x")
            written += 1
    os.set_blocking(master, False)
    got = 0
    while got < written:
        got += len(os.read(master, 65536))
    assert got == written
    line.close()
    os.close(slave)
    os.close(master)


@pytest.mark.parametrize("who", ["the next writer", "the reader"])
def test_what_was_written_in_part_goes_on_before_anything_else(monkeypatch, who):
    """Half a message, and the adapter takes the next one for the rest of it: another frame on the bus."""
    master, slave = os.openpty()
    tty.setraw(master)
    line = SerialLine(os.ttyname(slave), 115_200)
    monkeypatch.setattr("opendiag.adapters.serial_line._WRITE_S", 0.1)
    sent = []
    with pytest.raises(QueueFull):
        while True:
            message = b"<%011d>" % len(sent)
            line.write(message)
            sent.append(message)
    os.set_blocking(master, False)
    got, until = os.read(master, 65536), time.monotonic() + 5
    while len(got) < sum(map(len, sent)) and time.monotonic() < until:
        if who == "the reader":
            line.read(0.01)
        else:
            line.write(b"!")
            sent.append(b"!")
            who = "the next writer, who is done"
        with contextlib.suppress(BlockingIOError):
            got += os.read(master, 65536)
    assert got == b"".join(sent)
    line.close()
    os.close(slave)
    os.close(master)


def test_half_a_message_is_forgotten_when_the_port_is_opened_again(port, line):
    line._begun = b"half"
    line.open()
    line.write(b"whole")
    wait_for(lambda: port.device.got)
    assert port.device.got == b"whole"


# --- closing


def test_closing_again_does_nothing_and_leaves_no_files(port):
    before = open_files()
    line = SerialLine(port.path, 115_200)
    line.close()
    line.close()
    assert open_files() == before
    for act in (line.read, lambda: line.write(b"x"), line.drop_input):
        with pytest.raises(Unplugged, match="closed"):
            act()


def test_several_threads_write_whole_pieces(port, line):
    pieces = [bytes([65 + number]) * 50 + b"\r" for number in range(4)]

    def write(piece):
        for _ in range(50):
            line.write(piece)

    threads = [threading.Thread(target=write, args=(piece,)) for piece in pieces]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_for(lambda: len(port.device.got) == 4 * 50 * 51)
    assert sorted(set(bytes(port.device.got).split(b"\r"))) == [b"", *(piece[:-1] for piece in pieces)]


def test_a_port_behind_an_url_of_pyserial():
    line = SerialLine("loop://", 115_200)
    line.write(b"there and back")
    assert read_all(line, 14) == b"there and back"
    assert line.read(0.01) == b""
    line.drop_input()
    line.close()
    with pytest.raises(Unplugged):
        line.read()


def test_an_url_that_leads_nowhere_is_an_error_of_opening():
    with pytest.raises(can.CanInitializationError):
        SerialLine("socket://127.0.0.1:1", 115_200)
    with pytest.raises(can.CanInitializationError):
        SerialLine("nonsense://x", 115_200)
