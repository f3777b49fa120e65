"""What all tests share: how hypothesis runs, and where the material is that does not live in this repository."""

import os
import subprocess
import sys
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


@pytest.fixture(scope="session")
def lab():
    """Runs a command under a second Linux kernel with SocketCAN: lab(command, ...) gives its CompletedProcess."""
    program = os.environ.get("OPENDIAG_LAB")
    if not program:
        pytest.skip("OPENDIAG_LAB is not set: it names the program that runs a command under a kernel with SocketCAN")
    if not os.access(program, os.X_OK):
        pytest.skip(f"OPENDIAG_LAB={program} cannot be executed")
    probe = subprocess.run(
        [program, "run", "--timeout", "30", "--", "true"], capture_output=True, text=True, timeout=90
    )
    if probe.returncode:
        pytest.skip(f"{program} does not run here: {probe.stderr.strip().splitlines()[-1:]}")

    def run(*command, timeout_s=60):
        return subprocess.run(
            [program, "run", "--timeout", str(timeout_s), "--", *command],
            capture_output=True,
            text=True,
            timeout=timeout_s + 60,
        )

    return run
