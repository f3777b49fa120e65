"""A task that is cancelled takes its transfer or its plan with it, and the bus shows it."""

import asyncio
import time

import pytest

import opendiag
import opendiag.aio
from opendiag.errors import PlanCancelled, SdoAborted
from opendiag.frame import Frame
from opendiag.master.clock import ManualClock
from opendiag.services.plans import SdoRead, SdoWrite, Sleep
from opendiag.simulate.bus import SimBus
from opendiag.simulate.devices import make_device
from opendiag.simulate.faults import Fault

NODE = 101
SOON_S = 20.0
DEVICE_TYPE = bytes.fromhex("92010200")
clocks = pytest.mark.parametrize("clock_of", [lambda: None, ManualClock], ids=["running", "manual"])


def on_a_bus(task, clock=None, faults=(), **options):
    """Runs ``await task(net)`` with a StepIM and somebody who writes down what is on the wire, which is returned."""
    bus = SimBus(faults=faults)
    bus.attach(make_device("stepim", NODE), "node", on_event=lambda event, now: None)
    other = bus.attach(name="other")

    async def main():
        async with opendiag.aio.connect(bus, clock=clock, **options) as net:
            await asyncio.wait_for(task(net), SOON_S)
            await asyncio.wait_for(net.sleep(0.01), SOON_S)
            assert not len(net.network.endings)
            assert all(node.client.pending == 0 for node in net.network._nodes.values())

    asyncio.run(main())
    return [(frame.can_id, frame.data.hex()) for frame in other.receive() if frame.can_id & 0x7F == NODE]


async def cancelled(task):
    """Cancel it and wait for its end."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def cancel_once_asked(net, awaitable):
    async with net.frames() as frames:
        task = asyncio.create_task(awaitable)
        while (await frames.get()).can_id != 0x600 + NODE:
            pass
    await cancelled(task)


ABORT = "80{}00000008"  # general error


@clocks
@pytest.mark.parametrize("way", ["upload", "read", "download", "many", "plan"])
def test_the_device_is_told_and_the_next_transfer_works(clock_of, way):
    """Its first answer is lost, so that the transfer is under way when the task is cancelled."""

    def plan():
        return (yield SdoRead(NODE, 0x1018, 2))

    async def task(net):
        motor = net[NODE]
        ways = {
            "upload": lambda: motor.upload(0x1018, 2),
            "read": lambda: motor[0x1018, 2].read(),
            "download": lambda: motor.download(0x6081, 0, b"\x07\0\0\0"),
            "many": lambda: net.read_many([(NODE, 0x1018, 2)]),
            "plan": lambda: net.run(plan()),
        }
        await cancel_once_asked(net, ways[way]())
        assert await motor.upload(0x1000) == DEVICE_TYPE

    wire = on_a_bus(task, clock_of(), [Fault("drop", service="sdo response", node=NODE, nth=1)], timeout_s=1e6)
    sdo = [(can_id, data) for can_id, data in wire if can_id in (0x600 + NODE, 0x580 + NODE)]
    asked = "2381600007000000" if way == "download" else "4018100200000000"
    place = "816000" if way == "download" else "181002"
    assert sdo == [
        (0x600 + NODE, asked),
        (0x600 + NODE, ABORT.format(place)),
        (0x600 + NODE, "4000100000000000"),
        (0x580 + NODE, "43001000" + DEVICE_TYPE.hex()),
    ]


@clocks
def test_one_that_waits_for_its_turn_is_never_sent(clock_of):
    async def task(net):
        motor = net[NODE]
        first = asyncio.create_task(motor.upload(0x1018, 1))
        second = asyncio.create_task(motor.upload(0x1018, 2))
        third = asyncio.create_task(motor.upload(0x1018, 3))
        await asyncio.sleep(0)
        await cancelled(second)
        assert await first == b"\xe1\x02\0\0"
        assert await third

    wire = on_a_bus(task, clock_of(), [Fault("delay", service="sdo response", node=NODE, nth=1, delay_s=0.2)])
    assert not [data for can_id, data in wire if can_id == 0x600 + NODE and data.startswith("40181002")]


@clocks
def test_a_task_that_is_cancelled_before_it_could_begin(clock_of):
    async def task(net):
        early = asyncio.create_task(net[NODE].upload(0x1018, 2))
        early.cancel()
        with pytest.raises(asyncio.CancelledError):
            await early
        assert await net[NODE].upload(0x1000) == DEVICE_TYPE

    on_a_bus(task, clock_of())


@clocks
def test_a_time_out_of_asyncio_s_own(clock_of):
    """It goes by real time, the bus by its own."""

    async def task(net):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(net[7].upload(0x1000), 0.05)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(net.sleep(1e9), 0.05)
        assert await net[NODE].upload(0x1000) == DEVICE_TYPE

    on_a_bus(task, clock_of(), timeout_s=1e9)


def moving(log, rest_s=0.05):
    """Brings the drive to rest, whatever happens."""
    try:
        log.append("moves")
        yield Sleep(1e9)
    except PlanCancelled as error:
        log.append(str(error))
        raise
    finally:
        yield SdoWrite(NODE, 0x6081, 0, b"\x01\0\0\0")
        yield Sleep(rest_s)
        log.append("rests")


async def once(log):
    until = time.monotonic() + SOON_S
    while not log and time.monotonic() < until:
        await asyncio.sleep(0.001)


@clocks
def test_a_plan_may_bring_to_rest_what_it_moves(clock_of):
    log = []

    async def task(net):
        running = asyncio.create_task(net.run(moving(log)))
        await once(log)
        await cancelled(running)
        assert log == ["moves", "cancelled: the caller gave up", "rests"], "before CancelledError is raised"
        assert await net[NODE].upload(0x6081) == b"\x01\0\0\0"

    on_a_bus(task, clock_of())


@clocks
def test_cancelling_again_abandons_the_plan(clock_of):
    log = []

    async def task(net):
        running = asyncio.create_task(net.run(moving(log, 1e9)))
        await once(log)
        running.cancel()
        while len(log) < 2:
            await asyncio.sleep(0.001)
        assert not running.done()
        await cancelled(running)
        await net.sleep(0.01)
        assert len(net.network._plans) == 1, "only what waits for the end of the bus"
        assert "rests" not in log

    on_a_bus(task, clock_of())


@clocks
def test_a_plan_that_ends_well_is_cancelled_all_the_same(clock_of):
    log = []

    def plan():
        try:
            log.append(True)
            yield Sleep(1e9)
        except PlanCancelled:
            return "result"

    async def task(net):
        running = asyncio.create_task(net.run(plan()))
        await once(log)
        await cancelled(running)

    on_a_bus(task, clock_of())


@clocks
def test_what_goes_wrong_in_the_cleaning_up_is_the_cause(clock_of):
    log, causes = [], []

    def plan():
        try:
            log.append(True)
            yield Sleep(1e9)
        finally:
            yield SdoWrite(NODE, 0x5FFF, 0, b"\0")

    async def noted(net):
        try:
            await net.run(plan())
        except asyncio.CancelledError as error:
            causes.append(type(error.__cause__))
            raise

    async def task(net):
        running = asyncio.create_task(noted(net))
        await once(log)
        await cancelled(running)

    on_a_bus(task, clock_of())
    assert causes == [SdoAborted]


@clocks
def test_a_stream_can_be_waited_for_again(clock_of):
    async def task(net):
        async with net.frames() as frames:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(_frame(frames, 0x7FF), 0.05)
            await net.send(Frame(0x123))
            await _frame(frames, 0x123)

    on_a_bus(task, clock_of())


async def _frame(frames, can_id):
    while (await frames.get(1e9)).can_id != can_id:
        pass


@clocks
def test_ctrl_c_and_the_end_of_the_loop_bring_the_plan_to_rest(clock_of):
    """`asyncio.run` cancels every task that is left when the first one ends: their plans clean up before it returns."""
    log = []
    bus = SimBus()
    bus.attach(make_device("stepim", NODE), "node", on_event=lambda event, now: None)
    other = bus.attach(name="other")

    async def main():
        async def left_behind():
            async with opendiag.aio.connect(bus, clock=clock_of()) as net:
                await net.run(moving(log))

        left = asyncio.create_task(left_behind())
        await once(log)
        assert not left.done()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    assert log[-1] == "rests"
    assert "2381600001000000" in [frame.data.hex() for frame in other.receive()]
