"""What stops a drive goes before whatever else is read from it or written to it."""

import pytest
from safety_world import NODE, World

from opendiag.cia402 import motion, power
from opendiag.cia402.states import PdsState

STOPPING = [
    ("disable", power.disable),
    ("quick stop", power.quick_stop),
    ("halt", power.halt),
    ("reach", lambda link: power.reach(link, "ready to switch on")),
    ("make safe", power.make_safe),
    ("stop", motion.stop),
]


@pytest.mark.parametrize(("name", "plan"), STOPPING, ids=[name for name, _ in STOPPING])
def test_whatever_stops_a_drive_does_not_wait_behind_somebody_s_upload(name, plan):
    with World() as world:
        world.put(PdsState.SWITCH_ON_DISABLED)
        world.run(power.enable(world.link))
        read = world.drive.store.read
        world.drive.store.read = lambda index, sub, now: bytes(1_000_000) if index == 0x1008 else read(index, sub, now)
        long = world.network[NODE].begin_upload(0x1008, block=True)
        world.network.sleep(0.05)
        began = world.network.clock.now()
        world.run(plan(world.link))
        assert world.network.clock.now() - began < 0.3
        assert long.done
        assert not world.link.hurry
