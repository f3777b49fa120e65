"""opendiag.services.emcy.emcy_text: from the most specific text to that of the class."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.dictionary import load
from opendiag.dictionary.tables.error_codes import CIA402_CODES, SERVOTRONIX, VENDOR_CODES
from opendiag.services.emcy import emcy_text
from opendiag.wire.emcy import CODES, code_text

#: First byte of the codes of the profile: current, voltage, temperature, hardware, software, modules, monitoring.
CLASSES = [
    *(0x21, 0x22, 0x23, 0x31, 0x32, 0x33, 0x41, 0x42, 0x43, 0x44),
    *(0x51, 0x52, 0x53, 0x54, 0x55, 0x60, 0x63),
    *(0x71, 0x72, 0x73, 0x74, 0x75, 0x76),
    *(0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0xF0),
]


def error_text(code, vendor_id=None):
    return emcy_text(code, 402, vendor_id)


@pytest.mark.parametrize("code", CIA402_CODES, ids=lambda code: f"{code:04X}")
def test_codes_are_within_their_classes(code):
    assert code >> 8 in CLASSES
    assert code not in CODES  # those of CiA 301 are not repeated
    assert code_text(code) != "unlisted error"
    text = CIA402_CODES[code]
    assert text and text == text.strip() and not text.endswith(".")


@pytest.mark.parametrize(
    ("code", "vendor", "text"),
    [
        (0x0000, None, "error reset or no error"),
        (0x3120, None, "mains under-voltage"),
        (0x3120, SERVOTRONIX, "under-voltage"),
        (0x3120, 0x1234, "mains under-voltage"),
        (0x7381, SERVOTRONIX, "Nikon encoder"),
        (0x7381, None, "sensor"),  # its class, 7300h
        (0x3225, None, "DC link under-voltage"),  # its group, 3220h
        (0x8130, None, "life guard error or heartbeat error"),
        (0x8130, SERVOTRONIX, "CAN heartbeat lost"),
        (0x5112, SERVOTRONIX, "24 V supply"),  # not in the vendor's list
        (0x2219, None, "current inside the device"),  # CiA 301's class
        (0x630F, None, "data record no. 15"),
        (0xFF04, SERVOTRONIX, "power stage"),
        (0xFF04, None, "device specific"),
    ],
)
def test_the_most_specific_text_wins(code, vendor, text):
    assert error_text(code, vendor) == text


def text_by_questions(code, vendor):
    """Vendor, exact code, the code's tens, its hundreds, and what CiA 301 says, in that order."""
    own = VENDOR_CODES.get(vendor, {})
    for table, key in ((own, code), (CIA402_CODES, code), (CIA402_CODES, code // 16 * 16)):
        if key in table:
            return table[key]
    return CIA402_CODES[code // 256 * 256] if code // 256 * 256 in CIA402_CODES else code_text(code)


@pytest.mark.parametrize("vendor", [None, 0, SERVOTRONIX, 0xFFFFFFFF])
def test_every_code_has_the_text_that_fits_it_best(vendor):
    texts = [error_text(code, vendor) for code in range(0x10000)]
    assert all(texts)
    assert texts == [text_by_questions(code, vendor) for code in range(0x10000)]


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF).filter(lambda vendor: vendor not in VENDOR_CODES))
def test_a_vendor_we_do_not_know_changes_nothing(code, vendor):
    assert error_text(code, vendor) == error_text(code)


@pytest.mark.parametrize("code", [0x0000, 0x00FF])
def test_class_00_is_no_error(code):
    assert error_text(code) == "error reset or no error"


@given(st.integers(0, 0xFFFF))
def test_a_text_comes_from_the_class_of_the_code(code):
    text = error_text(code)
    sources = [known for known, said in {**CODES, **CIA402_CODES}.items() if said == text]
    assert text == "unlisted error" or any(known >> 12 == code >> 12 for known in sources)


@pytest.mark.parametrize("vendor", VENDOR_CODES)
def test_vendor_tables(vendor):
    codes = VENDOR_CODES[vendor]
    assert all(0 < code <= 0xFFFF and text for code, text in codes.items())
    assert all(error_text(code, vendor) == text for code, text in codes.items())


def test_the_vendor_is_the_one_of_the_bundled_drive():
    assert load("stepim").device.vendor_id == SERVOTRONIX == 0x2E1


@pytest.mark.parametrize("code", [0x3120, 0x7305, 0xF001])
def test_only_what_may_be_a_drive_has_the_texts_of_the_drive_profile(code):
    assert emcy_text(code, 401) == code_text(code) != emcy_text(code)
    assert emcy_text(code, None) == emcy_text(code, 402)


def test_a_vendors_text_does_not_ask_for_the_profile():
    assert emcy_text(0x7381, 401, SERVOTRONIX) == "Nikon encoder"


def test_a_program_may_add_a_vendor(monkeypatch):
    monkeypatch.setitem(VENDOR_CODES, 0x1234, {0xFF01: "out of ink"})
    assert emcy_text(0xFF01, 401, 0x1234) == "out of ink"
    assert emcy_text(0xFF01, 401, 0x1235) == "device specific"
