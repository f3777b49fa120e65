"""opendiag.cia402.io_plans: inputs and outputs by name, and the brake."""

import pytest
from motion_world import Bench

from opendiag.cia402.io_plans import Inputs, brake_hint, read_inputs, read_outputs, set_brake, write_outputs
from opendiag.errors import NotEnabled, UnknownTarget


def test_inputs_by_name_and_by_bit():
    with Bench(enabled=False) as bench:
        switches = bench.drive.switches
        switches.negative, switches.home_range, switches.inputs = 1.0, (0.5, 2.0), 0b101
        found = bench.run(read_inputs(bench.link, {"door": 16}))
        assert found["negative limit"] and not found["positive limit"] and not found["home"]
        assert found["door"] and found[18] and not found[17]
        assert found.active == ("negative limit", "door", "input 18")
        with pytest.raises(KeyError):
            found["window"]
        assert found.raw == 0x50001


def test_no_inputs():
    assert Inputs(0).active == ()


def test_outputs_leave_the_others_alone_and_are_unblocked():
    with Bench("servo", enabled=False) as bench:
        bench.write(0x60FE, 0x20000, 1)
        assert bench.run(write_outputs(bench.link, {"lamp": True, 18: True}, {"lamp": 16})) == 0x70000
        outputs, mask = bench.run(read_outputs(bench.link))
        assert outputs & 0x70000 == 0x70000 and mask & 0x50000 == 0x50000
        bench.drain()
        assert bench.run(write_outputs(bench.link, {17: False, 18: False})) == 0x10000
        order = [index for index, _ in bench.wire()]
        assert order[0] == 0x60FE


@pytest.mark.parametrize("key", ["lamp", "brake", 0, 1, 15, 32, -1])
def test_outputs_that_there_are_not(key):
    with Bench(enabled=False) as bench:
        with pytest.raises(UnknownTarget):
            bench.run(write_outputs(bench.link, {key: True}))
        assert bench.wire() == []


def test_the_brake_is_let_go_only_of_an_enabled_drive():
    with Bench(enabled=False) as bench:
        with pytest.raises(NotEnabled):
            bench.run(set_brake(bench.link, engaged=False))
        assert {index for index, _ in bench.wire()} <= {0x6041}
        bench.run(set_brake(bench.link, engaged=True))
    with Bench() as bench:
        assert bench.run(brake_hint(bench.link)) is None
        bench.run(set_brake(bench.link, engaged=True))
        assert "60FE:01 bit 0 is 1" in bench.run(brake_hint(bench.link))
        bench.run(set_brake(bench.link, engaged=False))
        assert bench.run(brake_hint(bench.link)) is None
