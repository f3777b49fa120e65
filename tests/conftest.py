"""What all tests share: how hypothesis runs, and where the material is that does not live in this repository."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

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
    """Directory of the scripts that run a command under a second Linux kernel with SocketCAN."""
    return _directory("OPENDIAG_LAB", "the scripts of a second Linux kernel with SocketCAN")
