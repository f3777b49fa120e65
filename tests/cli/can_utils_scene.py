"""Run by test_with_can_utils.py under a kernel with SocketCAN: each function is a scene, and its name an argument."""

import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

OPENDIAG = [sys.executable, "-m", "opendiag"]
BUS = ("-i", "socketcan:vcan0")
SOON_S = 20.0


def opendiag(*arguments, code=0):
    done = subprocess.run([*OPENDIAG, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
    return done


class Running:
    """A program that listens; its output is in a file until it ends."""

    def __init__(self, *command, stop=signal.SIGTERM):
        self._stop = stop
        self._file = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with it
        self._process = subprocess.Popen(command, stdout=self._file, stderr=subprocess.STDOUT)

    def text(self):
        self._file.seek(0)
        return self._file.read()

    def wait_for(self, pattern):
        end = time.monotonic() + SOON_S
        while not re.search(pattern, self.text()):
            assert time.monotonic() < end, (pattern, self.text())
            time.sleep(0.02)
        return self.text()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._process.send_signal(self._stop)
        self._process.wait(10)
        self._file.close()


def hello(listener, pattern="7FF"):
    """Send until it is heard: then the listener is there."""
    end = time.monotonic() + SOON_S
    while not re.search(pattern, listener.text()):
        assert time.monotonic() < end, listener.text()
        subprocess.run(["cansend", "vcan0", "7FF#"], check=True)
        time.sleep(0.05)


def lines(text, without="7FF"):
    return [line for line in text.splitlines() if without not in line and not line.startswith("vcan0:")]


def raw_lines_are_those_of_candump():
    """The same frames, the same lines."""
    sent = ["123#1122", "123#", "123#R4", "12345678#AABB", "123#41", "7AA#R"]
    with (
        Running("candump", "vcan0") as theirs,
        Running(*OPENDIAG, "watch", *BUS, "--raw", "-q", stop=signal.SIGINT) as ours,
    ):
        hello(theirs)
        hello(ours)
        for text in sent:
            subprocess.run(["cansend", "vcan0", text], check=True)
        ours.wait_for("7AA")
        theirs.wait_for("7AA")
        shown = [line.rstrip() for line in lines(theirs.text())]
        assert shown == [line.rstrip() for line in lines(ours.text())], (theirs.text(), ours.text())
        assert len(shown) == len(sent)


def filters_mean_the_same_as_to_candump():
    """A mask, an inverted one, and two of them joined."""
    for text in ("120:7F0", "123~7FF", "100:700,003:00F,j"):
        with (
            Running("candump", f"vcan0,{text}") as theirs,
            Running(*OPENDIAG, "watch", *BUS, "--raw", "-q", "--filter", text, stop=signal.SIGINT) as ours,
        ):
            end = time.monotonic() + SOON_S
            rounds = 0
            while rounds < 2 and time.monotonic() < end:  # one more, when both have heard something
                rounds += bool(theirs.text() and ours.text())
                for number in (0x123, 0x124, 0x183, 0x223, 0x7E3):
                    subprocess.run(["cansend", "vcan0", f"{number:03X}#11"], check=True)
                time.sleep(0.1)
            seen = [sorted({line.split()[1] for line in lines(shown.text())}) for shown in (theirs, ours)]
            assert seen[0] and seen[0] == seen[1], (text, seen)


def gen_is_heard_by_candump():
    """All frames, in order, with their data; a full socket is waited for."""
    with Running("candump", "-L", "-r", "4000000", "vcan0") as theirs:
        hello(theirs)
        opendiag("gen", *BUS, "-n", "500", "-g", "0", "-I", "123", "-D", "i", "-L", "2", "-p", "500", "-q")
        text = theirs.wait_for("123#F301")
        heard = re.findall(r"123#(\w+)", text)
        assert heard == [(n).to_bytes(2, "little").hex().upper() for n in range(500)], heard[:5]


def without_fdf(texts):
    """Whoever sends may set the flag bit that says only that it is a CAN FD frame; we do, cangen does not."""
    return [re.sub("##(.)", lambda found: f"##{int(found[1], 16) & 3:X}", text) for text in texts]


def what_cangen_sends_is_recorded_and_replayed():
    """Recorded here, sent again here, and what candump logs of that is the same."""
    with tempfile.TemporaryDirectory() as place:
        log = Path(place) / "some.log"
        with Running(*OPENDIAG, "record", str(log), *BUS, "--count", "60", "-q", stop=signal.SIGINT) as recorder:
            end = time.monotonic() + SOON_S
            while recorder._process.poll() is None and time.monotonic() < end:
                subprocess.run(["cangen", "vcan0", "-n", "20", "-g", "5", "-m"], check=False)
        before = [line.split()[2] for line in log.read_text().splitlines()]
        assert len(before) >= 60 and any("##" in text for text in before), before  # -m: CAN FD frames among them
        with Running("candump", "-L", "vcan0") as theirs:
            hello(theirs)
            began = time.monotonic()
            opendiag("replay", str(log), *BUS, "-q", "--max-gap", "50ms")
            assert time.monotonic() - began > 0.2
            time.sleep(0.3)
            after = [line.split()[2] for line in theirs.text().splitlines() if line.startswith("(")]
        assert without_fdf(text for text in after if text != "7FF#") == without_fdf(before)


def a_queue_that_is_full_is_waited_for():
    """A slow interface: what does not fit waits, and nothing is lost."""
    shape = "tc qdisc add dev vcan1 root tbf rate 500kbit burst 1000 limit 160"
    if subprocess.run(shape.split(), capture_output=True).returncode:
        sys.stdout.write("a_queue_that_is_full_is_waited_for: not here: this kernel has no tbf\n")
        return
    with Running("candump", "-L", "-r", "4000000", "vcan1") as theirs:
        began = time.monotonic()
        done = opendiag("gen", "-i", "socketcan:vcan1", "-n", "3000", "-g", "0", "-p", "2000", "-I", "321", "-L", "8")
        assert "3000 frames sent" in done.stderr and "not sent" not in done.stderr, done.stderr
        assert time.monotonic() - began > 3000 * 128 / 500_000 * 0.9
        end = time.monotonic() + SOON_S
        while theirs.text().count(" 321#") < 3000 and time.monotonic() < end:
            time.sleep(0.1)
        assert theirs.text().count(" 321#") == 3000


def ports_and_adapter_info():
    """What the kernel tells about its interfaces."""
    text = opendiag("ports").stdout
    assert re.search(r"^socketcan:vcan0 +yes +virtual CAN interface", text, re.MULTILINE), text
    info = opendiag("adapter", "info", *BUS).stdout
    assert "vcan0, up" in info and "virtual interface" in info, info
    subprocess.run(["ip", "link", "set", "vcan1", "down"], check=True)
    done = opendiag("ports")
    assert "socketcan:vcan1: it is down\n    sudo ip link set vcan1 up" in done.stderr, done.stderr
    subprocess.run(["ip", "link", "set", "vcan1", "up"], check=True)
    assert "there is no can77" in opendiag("adapter", "info", "-i", "socketcan:can77", code=3).stderr


if __name__ == "__main__":
    for name in sys.argv[1:]:
        try:
            globals()[name]()
            said = "as it should be"
        except Exception:
            said = f"FAILED\n{traceback.format_exc()}"
        sys.stdout.write(f"{name}: {said}\n")
        sys.stdout.flush()
