"""gs_usb on a real USB stack: Linux's own driver, and ours through libusb, meet emulated adapters over USB/IP."""

import json
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.lab

NEEDED = (
    "cd /sys/bus/usb/drivers/gs_usb && cd /sys/devices/platform/vhci_hcd.0 && PATH=$PATH:/usr/sbin command -v usbip"
)


@pytest.fixture(scope="module")
def scene(lab):
    """What the scene says, as its last line of JSON."""
    if lab("sh", "-c", NEEDED).returncode:
        pytest.skip("the lab's kernel has no USB/IP or no gs_usb driver: `make lab` builds one that has")

    said = {}

    def run(file, name):
        if (file, name) in said:
            return said[file, name]
        done = lab(sys.executable, str(Path(__file__).with_name(file)), name, timeout_s=60)
        assert done.returncode == 0, done.stdout + done.stderr
        said[file, name] = json.loads(done.stdout.splitlines()[-1])
        return said[file, name]

    return run


def test_the_kernel_binds_an_emulated_candlelight_and_exchanges_classic_and_fd_frames(scene):
    report = scene("gs_usb_kernel_scene.py", "candlelight")
    link = report["link"]
    assert link["clock"] == 40_000_000
    assert _segments(link["bittiming"]) == (1, 34, 35, 10)
    assert _segments(link["data_bittiming"]) == (1, 7, 7, 5)
    assert link["termination"] == 0
    long = bytes(range(16)).hex()
    assert report["heard"] == [[0x123, False, False, "1122"], [0x321, True, True, long]]
    assert [got[0] for got in report["received"]] == [0x123, 0x124, 0x321, 0x322]
    assert [got[3] for got in report["received"]] == ["1122", "1122", long, long]
    assert report["complaints"] == []


def test_the_kernel_reads_the_emulators_error_frames_as_changes_of_state(scene):
    report = scene("gs_usb_kernel_scene.py", "candlelight")
    assert report["states"] == ["ERROR-WARNING", "ERROR-PASSIVE", "BUS-OFF", "ERROR-ACTIVE"]
    assert report["restarts"] == 1


def test_the_kernel_takes_the_emulated_cantact_pro_for_one(scene):
    """Its two quirks are only applied to the very device: request 8 for the data timing, 77 bytes for a frame."""
    report = scene("gs_usb_kernel_scene.py", "pro")
    for link in report["links"]:
        assert link["clock"] == 24_000_000
        assert _segments(link["bittiming"]) == (3, 6, 7, 2)
        assert _segments(link["data_bittiming"]) == (1, 4, 4, 3)
    for channel in (0, 1):
        assert [65, 1, channel, "0600000007000000020000000100000003000000"] in report["requests"]
        assert [65, 8, channel, "0400000004000000030000000100000001000000"] in report["requests"]
        assert [65, 2, channel, "0100000000010000"] in report["requests"]
    assert [len(out) // 2 for out in report["outs"]] == [77, 77]
    assert report["outs"][1].startswith("000000005544339f0f010600")
    long = bytes(range(64)).hex()
    assert report["heard"] == [[0x123, False, False, "1122334455667788"], [0x1F334455, True, True, long]]
    for own in (report["first"], report["second"]):
        assert [got[0] & 0x1FFFFFFF for got in own] == [0x123, 0x124, 0x1F334455, 0x1F334456]
    assert report["second runs"] is True
    assert report["complaints"] == []


def test_the_kernel_takes_cannectivitys_empty_echoes(scene):
    report = scene("gs_usb_kernel_scene.py", "cannectivity")
    assert report["link"]["clock"] == 80_000_000
    assert report["bus_off"] >= 1
    assert report["received"] == [[0x123, 2, None, "1122"], [0x124, 2, None, "1122"]]
    assert report["complaints"] == []


def test_our_driver_uses_both_channels_of_a_cantact_pro_with_fd_through_libusb(scene):
    report = scene("gs_usb_libusb_scene.py", "pro")
    assert report["found"] == [["CANtact Pro", None, 2, 24_000_000, True, ["can0", "can1"]]]
    assert "detach_kernel_driver" in report["without detaching"]
    assert report["interfaces while open"] == []
    long = bytes(range(64)).hex()
    assert report["heard"] == [[0x123, False, False, "1122"], [0x1F334455, True, True, long]]
    assert sorted(got[0] for got in report["first"]) == [0x124, 0x1F334455, 0x1F334456]
    assert sorted(got[0] for got in report["second"]) == [0x123, 0x124, 0x1F334456]
    assert report["outs"] == [77, 77]
    assert report["first runs"] == [True, False], "closing one channel must not stop the other"
    assert [got[0] for got in report["after closing one"]] == [0x123]
    assert [65, 8, 0, "0400000004000000030000000100000001000000"] in report["requests"]
    assert report["complaints"] == []


def test_our_driver_notices_within_a_second_that_the_plug_was_pulled(scene):
    report = scene("gs_usb_libusb_scene.py", "pro")
    assert len(report["reader"]) == 2
    for name, seconds, sentence, typed in report["reader"]:
        assert typed, (name, sentence)
        assert seconds < 1.4  # 0.3 s of which it still was plugged in
    assert report["send"][0] == "Unplugged"


def test_the_kernels_driver_is_attached_again_after_ours(scene):
    report = scene("gs_usb_libusb_scene.py", "given_back")
    assert report["driver"] is True
    assert [[got[0] for got in answers] for answers in report["answers"]] == [[0x123, 0x124]] * 2
    assert report["gap_s"] < 0.5, "the time of a frame is the time of day"
    assert report["complaints"] == []


def test_our_driver_loses_nothing_of_two_busy_channels_through_libusb(scene):
    report = scene("gs_usb_libusb_scene.py", "load")
    assert report["offered"] == report["delivered"] == 3000
    assert report["dropped"] == 0
    assert report["counts"] == [1500, 1500]


def test_a_program_that_does_not_close_its_bus_ends_as_any_other(scene):
    """libusb was ended under the thread that reads, and its assertions aborted the program."""
    report = scene("gs_usb_libusb_scene.py", "ends")
    assert report["codes"][:3] == [0, 0, 0], report["errors"]
    assert all(code != -6 for code in report["codes"]), report["errors"]
    assert report["errors"][3:] == [["KeyboardInterrupt"]] * 2


def _segments(timing):
    return tuple(timing[name] for name in ("brp", "prop_seg", "phase_seg1", "phase_seg2"))
