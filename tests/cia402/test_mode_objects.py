"""opendiag.cia402.mode_objects: what each mode needs, and what a drive lacks."""

import pytest
from motion_world import KINDS, Bench

from opendiag.cia402.mode_objects import MODE_OBJECTS, ask_lacking, lacking, object_text
from opendiag.cia402.modes import Mode
from opendiag.cia402.objects import SET_POINTS
from opendiag.dictionary import builtin


def test_every_mode_has_its_objects_and_they_are_in_the_dictionary():
    assert set(MODE_OBJECTS) == set(Mode) - {Mode.NONE}
    for objects in MODE_OBJECTS.values():
        assert all(builtin.get(*key) is not None for key in (*objects.needed, *objects.useful))
        assert not set(objects.needed) & set(objects.useful)


@pytest.mark.parametrize("mode", [mode for mode in Mode if mode])
def test_what_a_mode_follows_is_among_what_it_needs(mode):
    needed = MODE_OBJECTS[mode].needed
    follows = SET_POINTS.get(mode, ())
    assert not follows or any((index, subindex) in needed for index, subindex, _ in follows)


def test_what_is_lacking():
    assert lacking(Mode.PP, lambda index, subindex: True) == ()
    assert lacking(Mode.PP, lambda index, subindex: index != 0x607A) == ((0x607A, 0),)
    assert (0x6087, 0) in lacking(Mode.TQ, lambda index, subindex: False, useful=True)
    assert lacking(-1, lambda index, subindex: False) == ()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", [Mode.PP, Mode.PV, Mode.TQ, Mode.HM])
def test_the_drive_itself_and_its_dictionary_say_the_same(kind, mode):
    with Bench(kind, enabled=False) as bench:
        for useful in (False, True):
            asked = bench.run(ask_lacking(bench.link, mode, useful=useful))
            has = bench.drive.store.variables
            assert asked == lacking(mode, lambda *key, has=has: key in has, useful=useful)
        assert bench.run(ask_lacking(bench.link, mode)) == ()


def test_a_stepim_has_no_torque_slope():
    with Bench(enabled=False) as bench:
        assert (0x6087, 0) in bench.run(ask_lacking(bench.link, Mode.TQ, useful=True))


def test_text():
    assert object_text((0x607A, 0)) == "607A:00 Target position"
    assert object_text((0x2000, 1)) == "2000:01"
