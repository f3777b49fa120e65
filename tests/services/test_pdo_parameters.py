"""PDO parameters out of objects, and transmission types in words."""

import pytest

from opendiag.dictionary.library import load
from opendiag.services.pdo_parameters import PdoParameters, describe, is_allowed, needs_sync
from opendiag.wire.cob_id import CobId
from opendiag.wire.pdo import SAM_MPDO, MappingEntry


def parameters(objects, transmit=True, number=1):
    return PdoParameters.from_objects(lambda index, sub: objects.get((index, sub)), transmit, number)


def test_tpdo1_of_a_stepim():
    pdo = PdoParameters.from_dictionary(load("stepim"), 101, True, 1)
    assert pdo == PdoParameters(
        True, 1, CobId(0x1E5), 255, 0.2, 0.0, 0, (MappingEntry(0x6041, 0, 16), MappingEntry(0x6061, 0, 8))
    )
    assert (pdo.name, pdo.communication, pdo.mapping, pdo.bits, pdo.length, pdo.count) == (
        "TPDO1",
        0x1800,
        0x1A00,
        24,
        3,
        2,
    )
    assert pdo.valid and pdo.active and pdo.remote_allowed


def test_units():
    pdo = parameters({(0x1805, 1): 0x185, (0x1805, 3): 15, (0x1805, 5): 250, (0x1805, 6): 3}, number=6)
    assert (pdo.name, pdo.inhibit_s, pdo.event_s, pdo.sync_start) == ("TPDO6", 0.0015, 0.25, 3)
    assert pdo.valid and not pdo.active, "there is nothing in it"


def test_a_device_without_the_objects_has_it_switched_off():
    pdo = parameters({}, transmit=False, number=512)
    assert (pdo.name, pdo.communication, pdo.mapping) == ("RPDO512", 0x15FF, 0x17FF)
    assert not (pdo.valid or pdo.active or pdo.entries or pdo.missing)


def test_an_entry_nobody_knows_leaves_no_mapping_to_be_shifted():
    pdo = parameters({(0x1800, 1): 0x185, (0x1A00, 0): 3, (0x1A00, 1): 0x6041_0010, (0x1A00, 3): 0x6061_0008})
    assert (pdo.entries, pdo.missing, pdo.count, pdo.active) == ((), (2,), 2, False)


def test_an_entry_without_bits_maps_nothing():
    pdo = parameters({(0x1A00, 0): 2, (0x1A00, 1): 0, (0x1A00, 2): 0x6041_0010})
    assert (pdo.entries, pdo.missing) == ((MappingEntry(0x6041, 0, 16),), ())


def test_multiplexed():
    pdo = parameters({(0x1800, 1): 0x185, (0x1A00, 0): 0xFE})
    assert (pdo.multiplexed, pdo.count, pdo.bits, pdo.active) == (SAM_MPDO, 0xFE, 64, True)


@pytest.mark.parametrize(
    ("kind", "tpdo", "rpdo"),
    [
        (0, "sent with the next SYNC after an event", "acts at the next SYNC"),
        (1, "sent with every SYNC", "acts at the next SYNC"),
        (2, "sent with every 2nd SYNC", "acts at the next SYNC"),
        (13, "sent with every 13th SYNC", "acts at the next SYNC"),
        (240, "sent with every 240th SYNC", "acts at the next SYNC"),
        (241, "reserved", "reserved"),
        (251, "reserved", "reserved"),
        (252, "sampled at SYNC, sent when asked for by a remote frame", "only a TPDO can have it"),
        (253, "sent when asked for by a remote frame", "only a TPDO can have it"),
        (254, "sent at an event that the manufacturer defines", "acts at once"),
        (255, "sent at an event that the device profile defines", "acts at once"),
    ],
)
def test_transmission_types_in_words(kind, tpdo, rpdo):
    assert (describe(kind), describe(kind, transmit=False)) == (tpdo, rpdo)


def test_every_type_has_words_and_a_rule():
    for kind in range(256):
        for transmit in (True, False):
            assert is_allowed(kind, transmit) == (
                describe(kind, transmit) not in ("reserved", "only a TPDO can have it")
            )
        assert needs_sync(kind) == ("SYNC" in describe(kind))
