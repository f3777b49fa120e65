"""The udev rules and the table of USB identities."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from opendiag.adapters import gs_usb_find, udev

LINE = re.compile(
    r'SUBSYSTEM=="(usb|tty)"(, ENV\{DEVTYPE\}=="usb_device")?, ATTRS?\{idVendor\}=="[0-9a-f]{4}", '
    r'ATTRS?\{idProduct\}=="[0-9a-f]{4}"(, (MODE|GROUP)="\w+")*(, TAG\+="uaccess")?(, ENV\{ID_MM_\w+\}="1")*'
)


def test_every_line_is_a_rule_or_a_remark() -> None:
    for line in udev.rules().splitlines():
        assert not line or line.startswith("# ") or LINE.fullmatch(line), line


def test_the_file_comes_before_the_one_that_gives_access() -> None:
    assert Path(udev.RULES_FILE).name < "73-seat-late.rules"
    assert udev.RULES_FILE in udev.INSTALL[0]


@pytest.mark.parametrize("identity", [*udev.GS_USB, *udev.SERIAL])
def test_every_known_adapter_gets_access(identity: tuple[int, int]) -> None:
    vendor, product = (f'=="{number:04x}"' for number in identity)
    lines = [line for line in udev.rules().splitlines() if vendor in line and product in line]
    assert any('TAG+="uaccess"' in line for line in lines)


def test_modemmanager_leaves_slcan_adapters_alone_and_keeps_real_modems() -> None:
    ignored = [line for line in udev.rules().splitlines() if 'ENV{ID_MM_DEVICE_IGNORE}="1"' in line]
    assert any("ad50" in line and "60c4" in line for line in ignored)
    assert not any("1a86" in line or "0403" in line for line in ignored)


def test_what_is_looked_for_is_what_gets_access() -> None:
    assert gs_usb_find.GS_USB is udev.GS_USB
    assert gs_usb_find.BOOT_LOADERS is udev.BOOT_LOADERS
    rules = udev.rules()
    assert all(f'"{vendor:04x}"' in rules and f'"{product:04x}"' in rules for vendor, product in udev.GS_USB)
