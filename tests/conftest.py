"""What all tests share: how hypothesis runs, and where the material is that does not live in this repository."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

# Tests share the adapters that are only emulated: `from emulators.bus_model import BusModel`.
sys.path.append(str(Path(__file__).parent))

# "ci" draws the same examples in every run; HYPOTHESIS_PROFILE=dev searches on.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("dev", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def _directory(variable, what):
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set: it names the directory with {what}")
    if not Path(value).is_dir():
        pytest.skip(f"{variable}={value} is not a directory: it names the one with {what}")
    return Path(value)


@pytest.fixture(scope="session")
def corpus():
    """Directory of real vendor files and captures."""
    return _directory("OPENDIAG_CORPUS", "device files and captures of real devices")


class Lab:
    """lab(command, ...) runs a command under a second Linux kernel with SocketCAN and gives its CompletedProcess.

    ``kernel`` is its version; ``has_usb``: it also has USB, USB/IP and the drivers of USB adapters.
    """

    #: What the summary of a test run says about the lab; None while nobody asked for it.
    told = None
    _PROBE = "uname -r; test -d /sys/bus/platform/drivers/vhci_hcd && echo usbip"

    def __init__(self, program):
        self.program = program
        done = self("sh", "-c", self._PROBE + "; true", timeout_s=60)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
            raise RuntimeError(f"{program} does not run here ({last}): `make lab` sets it up")
        self.kernel, *found = done.stdout.split()
        self.has_usb = "usbip" in found

    def __call__(self, *command, timeout_s=60):
        return subprocess.run(
            [self.program, "run", "--timeout", str(timeout_s), "--", *command],
            capture_output=True,
            text=True,
            timeout=timeout_s + 60,
        )

    def need_usb(self):
        """Skip the test where the kernel can do CAN only."""
        if not self.has_usb:
            pytest.skip(f"the lab's kernel ({self.kernel}) is the prebuilt one, without USB: `make lab` builds another")

    def __str__(self):
        part = "CAN and USB" if self.has_usb else "CAN only, without USB (prebuilt)"
        return f"kernel {self.kernel}, {part}"


@pytest.fixture(scope="session")
def lab():
    """A second Linux kernel; skips where there is none, and never builds one."""
    program = os.environ.get("OPENDIAG_LAB")
    try:
        if not program:
            raise RuntimeError("OPENDIAG_LAB is not set: it names the program that runs a command under such a kernel")
        if not os.access(program, os.X_OK):
            raise RuntimeError(f"OPENDIAG_LAB={program} cannot be executed")
        found = Lab(program)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        Lab.told = f"not run: {error}"
        pytest.skip(str(error))
    Lab.told = str(found)
    return found


def pytest_terminal_summary(terminalreporter):
    """Nobody should believe that the lab's tests ran when they did not."""
    if Lab.told is None:
        return
    reports = {
        outcome: [report for report in terminalreporter.stats.get(outcome, ()) if "lab" in report.keywords]
        for outcome in ("passed", "failed", "error", "skipped")
    }
    numbers = ", ".join(f"{len(found)} {outcome}" for outcome, found in reports.items() if found)
    terminalreporter.write_line(f"lab: {Lab.told}: {numbers}")
    reasons = Counter(str(report.longrepr[2]).removeprefix("Skipped: ") for report in reports["skipped"])
    for reason, number in reasons.items():
        if reason not in Lab.told:
            terminalreporter.write_line(f"lab: {number} skipped: {reason}")
