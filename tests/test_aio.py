"""The asyncio front end: the same results as the blocking one, on a clock that runs and on one that does not."""

import ast
import asyncio
import io
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

import opendiag
import opendiag.aio
from opendiag.errors import (
    AdapterClosed,
    BadInterface,
    NotDone,
    ObjectNotFound,
    PdoTimeout,
    PlanCancelled,
    SdoAborted,
    SdoCancelled,
    SdoTimeout,
    ValueRefused,
)
from opendiag.frame import Frame
from opendiag.master.clock import ManualClock
from opendiag.master.node import ask_identity
from opendiag.services.heartbeat import BootedUp
from opendiag.services.pdo_plans import read_pdo
from opendiag.services.plans import Gather, Now, SdoRead, SdoWrite, Send, Sleep, Together, WaitFor
from opendiag.services.scan import scan_plan
from opendiag.wire.nmt import NmtState

NODE = 101
SOON_S = 20.0
DEVICE_TYPE = bytes.fromhex("92010200")
clocks = pytest.mark.parametrize("clock_of", [lambda: None, ManualClock], ids=["running", "manual"])


def on_a_bus(task, clock=None, interface="sim:stepim", **options):
    """The result of ``await task(net)``; nothing of the front end may be left then."""

    async def main():
        async with opendiag.aio.connect(interface, clock=clock, **options) as net:
            result = await asyncio.wait_for(task(net), SOON_S)
            assert len(net.network._plans) == 1, "only what waits for the end of the bus"
            assert not len(net.network.endings)
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert not left
        return result

    return asyncio.run(main())


async def ticking(ticks):
    while True:
        ticks.append(time.monotonic())
        await asyncio.sleep(0.005)


# --- plans ---


def child(number):
    yield Sleep(0.01 * number)
    return number, (yield SdoRead(NODE, 0x1000))


def grand_plan():
    """Every kind of request, errors among them."""
    results = []
    before = yield SdoRead(NODE, 0x6081)
    yield SdoWrite(NODE, 0x6081, 0, b"\x39\x30\0\0")
    results.append((yield SdoRead(NODE, 0x6081)))
    yield SdoWrite(NODE, 0x6081, 0, before)
    for request in (SdoRead(NODE, 0x5FFF), SdoWrite(NODE, 0x1000, 0, b"abcd"), SdoRead(5, 0x1000, 0, 0.02)):
        try:
            yield request
        except opendiag.OpenDiagError as error:
            results.append((type(error), error.index))
    began = yield Now()
    yield Send(Frame(0x600 + NODE, bytes.fromhex("4000100000000000")))
    frame = yield WaitFor(lambda frame: frame.can_id == 0x580 + NODE, 1.0)
    results.append(frame.data)
    results.append((yield WaitFor(lambda frame: frame.can_id == 0x7FF, 0.05)))
    results.append((yield Gather((child(3), child(1), failing()), 2))[:2])
    results.append((yield Together((child(2), child(1)))))
    try:
        yield Together((child(1), failing()))
    except SdoAborted as error:
        results.append(error.code)
    results.append((yield Now()) - began > 0.1)
    return results


def failing():
    yield SdoRead(NODE, 0x5FFF)


def test_a_plan_gives_the_same_blocking_under_asyncio_and_on_the_manual_clock():
    async def task(net):
        return await net.run(grand_plan())

    with opendiag.connect("sim:stepim") as network:
        blocking = network.run(grand_plan())
    assert blocking[0] == b"\x39\x30\0\0" and len(blocking) == 10
    assert on_a_bus(task) == blocking
    assert on_a_bus(task, ManualClock()) == blocking


def test_plans_of_the_services_run_unchanged():
    plans = [lambda: read_pdo(NODE, True, 1), lambda: ask_identity(NODE), lambda: scan_plan([NODE, 5], listen_s=0.05)]

    async def task(net):
        return [await net.run(plan()) for plan in plans]

    with opendiag.connect("sim:stepim", clock=ManualClock()) as network:
        blocking = [network.run(plan()) for plan in plans]
    for found in (on_a_bus(task), on_a_bus(task, ManualClock())):
        assert found[:2] == blocking[:2]
        assert [node.node_id for node in found[2].nodes] == [node.node_id for node in blocking[2].nodes] == [NODE]


def test_a_scan_gives_the_same_blocking_and_under_asyncio():
    interface = "sim:stepim=5,stepim=77"
    with opendiag.connect(interface, clock=ManualClock()) as network:
        blocking = network.scan(listen_s=0.2)
    found = on_a_bus(lambda net: net.scan(listen_s=0.2), ManualClock(), interface)
    assert [node.node_id for node in blocking.nodes] == [5, 77]
    assert [(node.node_id, node.vendor_id, node.name) for node in found.nodes] == [
        (node.node_id, node.vendor_id, node.name) for node in blocking.nodes
    ]


@clocks
def test_an_error_of_a_plan_comes_out(clock_of):
    def wrong():
        yield Sleep(0.01)
        raise ZeroDivisionError

    def no_plan():
        yield "a wish"

    async def task(net):
        with pytest.raises(SdoAborted):
            await net.run(failing())
        with pytest.raises(ZeroDivisionError):
            await net.run(wrong())
        with pytest.raises(TypeError, match="a wish"):
            await net.run(no_plan())
        return await net.run(child(0))

    assert on_a_bus(task, clock_of()) == (0, DEVICE_TYPE)


# --- objects ---


@clocks
def test_objects_by_number_name_and_member(clock_of):
    async def task(net):
        motor = net[NODE]
        assert motor is net[NODE] and motor.node is net.network[NODE]
        keys = [0x1000, "1000", "1018:01", (0x1018, 1), "Identity Object.Vendor ID", "Statusword", 0x1018]
        values = [await motor[key].read() for key in keys]
        values.append(await motor["Identity Object"]["Vendor ID"].read())
        values.append(await motor[0x1018][1].read())
        values.append(await net.read(NODE, "Identity Object", 1))
        await motor["Profile Velocity"].write(5000)
        await net.write(NODE, 0x6081, 5001)
        values.append(await motor[0x6081].read())
        variable = await motor["Profile Velocity"].variable()
        return values, variable.name, variable.unit

    with opendiag.connect("sim:stepim", clock=ManualClock()) as network:
        unit = network[NODE][0x6081].unit
    values, name, found_unit = on_a_bus(task, clock_of())
    device_type = int.from_bytes(DEVICE_TYPE, "little")
    assert values[:5] == [device_type, device_type, 0x2E1, 0x2E1, 0x2E1]
    assert values[6:] == [4, 0x2E1, 0x2E1, 0x2E1, 5001]
    assert (name, found_unit) == ("Profile Velocity", unit)


def test_what_is_refused_and_what_nobody_knows():
    async def task(net):
        motor = net[NODE]
        with pytest.raises(ValueRefused):
            await motor[0x6060].write(9)
        with pytest.raises(ValueRefused):
            await motor["Statusword"].write(1)
        with pytest.raises(ObjectNotFound, match="close"):
            await motor["Statuswort"].read()
        with pytest.raises(ObjectNotFound):
            await motor["Identity Object"]["Vendor"].read()
        with pytest.raises(SdoAborted):
            await motor[0x5FFF].read()
        with pytest.raises(ValueError, match=r"outside 1\.\.127"):
            net[128]

    on_a_bus(task, ManualClock())


def test_a_silent_node_is_asked_for_what_was_wanted_when_its_name_is_cia_s():
    async def task(net):
        with pytest.raises(SdoTimeout) as caught:
            await net[7]["Statusword"].read()
        assert caught.value.index == 0x6041 and caught.value.why
        with pytest.raises(SdoTimeout) as caught:
            await net[7]["My own"].read()
        assert caught.value.index == 0x1018

    on_a_bus(task, ManualClock())


@clocks
def test_many_at_once(clock_of):
    items = [(5, 0x6041), (6, "Identity Object", 1), (5, 0x5FFF), (6, 0x1008)]

    async def task(net):
        results = await net.read_many(items, "return")
        with pytest.raises(SdoAborted):
            await net.read_many(items)
        return results, await net.read_many(items[1:2]), await net.read_many([])

    interface = "sim:stepim=5,stepim=6"
    with opendiag.connect(interface, clock=ManualClock()) as network:
        blocking = network.read_many(items, "return")
    results, one, none = on_a_bus(task, clock_of(), interface)
    assert results[1:2] + results[3:] == blocking[1:2] + blocking[3:]
    assert isinstance(results[2], SdoAborted)
    assert one == [0x2E1] and none == []


@clocks
def test_nodes_answer_side_by_side(clock_of):
    """Four nodes are asked by four tasks, two of them are absent."""

    async def task(net):
        began = net.network.clock.now()
        results = await asyncio.gather(*(net[n].upload(0x1000) for n in (5, 6, 7, 8)), return_exceptions=True)
        return results, net.network.clock.now() - began

    results, seconds = on_a_bus(task, clock_of(), "sim:stepim=5,stepim=6", timeout_s=0.1)
    assert results[:2] == [DEVICE_TYPE] * 2
    assert [type(error) for error in results[2:]] == [SdoTimeout] * 2
    assert seconds < (0.3 if clock_of() else 5)


@clocks
def test_streams_of_bytes_and_their_progress(clock_of):
    """Progress is told in the event loop, where it may touch whatever the tasks touch."""
    told, into = [], io.BytesIO()

    async def task(net):
        loop = threading.get_ident()
        name = await net[NODE].upload(0x1008)

        def progress(transferred, size):
            told.append((transferred, threading.get_ident() == loop))

        assert await net[NODE].upload(0x1008, into=into, progress=progress) == b""
        await net[NODE].download(0x6081, 0, io.BytesIO(b"\x10\0\0\0"), size=4)
        assert await net[NODE].upload(0x6081) == b"\x10\0\0\0"
        await net.sleep(0.01)
        return name

    assert on_a_bus(task, clock_of()) == into.getvalue()
    assert told and all(in_loop for _, in_loop in told)


def test_a_node_gets_a_dictionary_and_blocking_calls_run_on_a_thread():
    async def task(net):
        motor = await net.node(NODE, "stepim")
        assert not motor.node.needs_identity
        assert await net.call(motor.node.upload, 0x1000) == DEVICE_TYPE
        return await net.call(lambda: threading.current_thread() is threading.main_thread())

    assert on_a_bus(task, ManualClock()) is False


# --- the event loop goes on ---


def test_the_loop_goes_on_while_a_slow_node_is_awaited():
    ticks = []

    async def task(net):
        ticker = asyncio.create_task(ticking(ticks))
        with pytest.raises(SdoTimeout):
            await net[7].upload(0x1000)
        ticker.cancel()
        await asyncio.wait((ticker,))

    on_a_bus(task, timeout_s=0.25)
    assert len(ticks) >= 20


@clocks
def test_the_loop_goes_on_while_the_adapter_does_not_take_frames(clock_of, monkeypatch):
    ticks = []

    async def task(net):
        send = net.network.port.send

        def slow(frame):
            time.sleep(0.15)
            send(frame)

        monkeypatch.setattr(net.network.port, "send", slow)
        ticker = asyncio.create_task(ticking(ticks))
        await net.send(Frame(0x123))
        assert await net[NODE].upload(0x1000) == DEVICE_TYPE
        ticker.cancel()
        await asyncio.wait((ticker,))

    on_a_bus(task, clock_of())
    assert len(ticks) >= 20


# --- time ---


def test_simulated_time_takes_no_real_time_and_stands_still_while_nobody_waits():
    async def task(net):
        clock = net.network.clock
        began = time.perf_counter()
        await net.sleep(60)
        at = clock.now()
        assert at == pytest.approx(60, abs=0.001)
        await asyncio.sleep(0.02)
        assert clock.now() == at
        assert time.perf_counter() - began < SOON_S

    on_a_bus(task, ManualClock())


def test_on_the_manual_clock_each_task_wakes_at_its_time():
    """What one does after it woke comes before time goes on for the others."""
    log = []

    async def sleeper(net, seconds):
        for _ in range(3):
            await net.sleep(seconds)
            log.append((seconds, round(net.network.clock.now(), 3)))

    async def task(net):
        await asyncio.gather(sleeper(net, 1.0), sleeper(net, 0.7))

    on_a_bus(task, ManualClock())
    assert log == [(0.7, 0.7), (1.0, 1.0), (0.7, 1.4), (1.0, 2.0), (0.7, 2.1), (1.0, 3.0)]


# --- frames and events ---


@clocks
def test_frames_of_both_directions_in_order(clock_of):
    async def task(net):
        seen = []
        async with net.frames() as frames:
            await net[NODE].upload(0x1000)
            await net.send(Frame(0x123, b"\x05"))
            async for frame in frames:
                if frame.can_id in (0x600 + NODE, 0x580 + NODE, 0x123):
                    seen.append((frame.can_id, frame.direction))
                if frame.can_id == 0x123:
                    break
        return seen

    assert on_a_bus(task, clock_of()) == [(0x600 + NODE, "tx"), (0x580 + NODE, "rx"), (0x123, "tx")]


@clocks
def test_a_stream_that_was_just_opened_misses_nothing_that_is_asked_afterwards(clock_of):
    async def task(net):
        frames = net.frames()
        await net.send(Frame(0x123))
        found = await frames.get()
        frames.close()
        assert await frames.get() is None
        assert [frame async for frame in frames] == []
        return found.can_id

    assert on_a_bus(task, clock_of()) == 0x123


@clocks
def test_waiting_for_a_frame_ends_in_time_on_the_bus_s_clock(clock_of):
    async def task(net):
        frames = net.frames()
        while (await frames.get(0.05)) is not None:
            pass  # until the device has nothing more to say
        began = net.network.clock.now()
        assert await frames.get(0.03) is None
        frames.close()
        return net.network.clock.now() - began

    seconds = on_a_bus(task, clock_of(), "sim:stepim")
    assert 0.03 <= seconds < (0.031 if clock_of() else 2)


def test_a_stream_that_always_has_something_lets_the_others_in():
    turns = []

    async def counting():
        while True:
            turns.append(None)
            await asyncio.sleep(0)

    async def task(net):
        async with net.frames() as frames:
            for number in range(3000):
                frames._put(Frame(number & 0x7FF))
            counter = asyncio.create_task(counting())
            for _ in range(3000):
                assert await frames.get() is not None
            assert len(turns) >= 10
        counter.cancel()
        await asyncio.wait((counter,))

    on_a_bus(task, ManualClock())


def test_frames_for_which_there_is_no_room_are_counted(monkeypatch):
    monkeypatch.setattr("opendiag.aio.streams.BACKLOG", 3)

    async def task(net):
        async with net.frames() as frames:
            for number in range(5):
                await net.send(Frame(0x100 + number))
            await net.sleep(0.01)
            assert frames.lost >= 2
            return [(await frames.get()).can_id for _ in range(3)]

    assert on_a_bus(task, ManualClock()) == [0x100, 0x101, 0x102]


@dataclass(frozen=True)
class Rang:
    node_id: int


@dataclass(frozen=True)
class Knocked:
    node_id: int


@clocks
def test_events_by_kind_and_node(clock_of):
    async def task(net):
        publish = net.network.publish
        async with net.events(Rang) as rang, net.events(Rang, Knocked, node_id=2) as second:
            for event in (Knocked(1), Rang(1), Knocked(2), Rang(2)):
                await net.call(publish, event)
            await net.sleep(0.01)
            return [(await rang.get()).node_id for _ in range(2)], [await second.get(), await second.get()]

    assert on_a_bus(task, clock_of()) == ([1, 2], [Knocked(2), Rang(2)])


@clocks
def test_waiting_for_an_event(clock_of):
    def ring():
        yield Sleep(0.05)

    async def task(net):
        async def ringing():
            await net.run(ring())
            for event in (Knocked(1), Rang(1), Rang(2)):
                net.network.publish(event)

        found = await asyncio.gather(
            net.wait_for(Rang, 5.0),
            net.wait_for((Rang, Knocked), 5.0, node_id=2),
            net.wait_for(lambda event: getattr(event, "node_id", 0) == 2, 5.0),
            ringing(),
        )
        began = net.network.clock.now()
        with pytest.raises(NotDone):
            await net.wait_for(Rang, 0.05)
        assert net.network.clock.now() - began >= 0.0499
        return found[:3]

    assert on_a_bus(task, clock_of()) == [Rang(1), Rang(2), Rang(2)]


@clocks
def test_samples_of_a_pdo(clock_of):
    """Mapped here, sent by the event timer."""

    async def task(net):
        pdo = net[NODE].pdo.tpdo(1)
        parameters = await pdo.map(["Statusword", "Velocity Actual Value"], transmission_type=255, event_s=0.02)
        found = []
        async with pdo.samples() as samples:
            await net.send(Frame(0, bytes([1, NODE])))  # NMT start
            async for sample in samples:
                found.append(sample)
                if len(found) == 3:
                    break
        assert {sample.node_id for sample in found} == {NODE}
        assert parameters.event_s == pytest.approx(0.02)
        assert found[2].at - found[1].at >= 0.015
        status = await net[NODE]["Statusword"].read()
        return list(found[-1].values), found[-1].values["Statusword"] == status

    names, same = on_a_bus(task, clock_of())
    assert names[0] == "Statusword" and len(names) == 2 and same


# --- the end ---


@clocks
def test_closing_ends_what_is_awaited(clock_of):
    async def main():
        net = await opendiag.aio.connect("sim:stepim", clock=clock_of(), timeout_s=1e9)

        async def frames():
            return [frame.can_id async for frame in net.frames() if frame.can_id == 0x7FF]

        def plan():
            yield Sleep(1e9)

        tasks = [asyncio.create_task(awaited) for awaited in (net[7].upload(0x1000), net.run(plan()), frames())]
        await asyncio.sleep(0.05)
        await asyncio.gather(net.close(), net.close())
        results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), SOON_S)
        await net.close()
        assert [type(result) for result in results[:2]] == [SdoCancelled, PlanCancelled]
        assert results[2] == []
        for late in (net[NODE].upload(0x1000), net.run(plan()), net.sleep(1), net.send(Frame(1)), net.frames().get()):
            with pytest.raises(AdapterClosed):
                await asyncio.wait_for(late, SOON_S)

    asyncio.run(main())


def test_no_thread_is_left():
    before = set(threading.enumerate())

    async def task(net):
        await net[NODE].upload(0x1000)

    on_a_bus(task)
    on_a_bus(task, ManualClock())
    until = time.monotonic() + SOON_S
    while (left := set(threading.enumerate()) - before) and time.monotonic() < until:
        time.sleep(0.01)
    assert not left


@clocks
def test_the_end_of_the_bus_reaches_everybody_who_waits(clock_of):
    async def main():
        async with opendiag.aio.connect("sim:stepim", clock=clock_of()) as net:

            async def frames():
                async for frame in net.frames():
                    assert frame

            def plan():
                yield Sleep(1e9)

            tasks = [asyncio.create_task(awaited) for awaited in (net.run(plan()), frames(), net.wait_for(Rang, None))]
            await asyncio.sleep(0.02)

            def unplugged(until):
                raise AdapterClosed("sim", "unplugged")

            net.network.port.receive = unplugged
            results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), SOON_S)
            assert [str(error) for error in results] == ["sim:stepim: unplugged"] * 3 or [
                str(error) for error in results
            ] == ["sim: unplugged"] * 3
            with pytest.raises(AdapterClosed, match="unplugged"):
                await net[NODE].upload(0x1000)

    asyncio.run(main())


def test_a_mistake_while_simulated_time_passes_ends_the_network_and_is_logged(caplog):
    """Nobody waits on the helper thread who could be told."""

    async def task(net):
        def wrong(until):
            raise ZeroDivisionError

        net.network.port.receive = wrong
        with pytest.raises(PlanCancelled):
            await net.sleep(1)

    async def main():
        async with opendiag.aio.connect("sim:stepim", clock=ManualClock()) as net:
            await asyncio.wait_for(task(net), SOON_S)

    asyncio.run(main())
    assert "ZeroDivisionError" in caplog.text


def test_what_cannot_be_opened_says_so():
    async def main():
        with pytest.raises(BadInterface):
            async with opendiag.aio.connect("nonsense"):
                pass
        with pytest.raises(ValueError, match="not positive"):
            await opendiag.aio.connect("sim:stepim", timeout_s=0)

    asyncio.run(main())


def test_who_gives_up_while_it_is_opened_leaves_nothing_open(monkeypatch):
    opened = []
    real = opendiag.aio.network.connect_blocking

    def slowly(*arguments, **options):
        time.sleep(0.1)
        opened.append(real(*arguments, **options))
        return opened[0]

    monkeypatch.setattr("opendiag.aio.network.connect_blocking", slowly)

    async def main():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(opendiag.aio.connect("sim:stepim")._connect(), 0.02)
        until = time.monotonic() + SOON_S
        while not (opened and opened[0].pump._over) and time.monotonic() < until:
            await asyncio.sleep(0.01)
        assert opened[0].pump._over

    asyncio.run(main())


# --- what is loaded ---


def test_asyncio_is_loaded_by_the_front_end_only():
    code = "import opendiag, opendiag.master.connect, sys; opendiag.connect; sys.exit('asyncio' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    package = Path(opendiag.__file__).parent
    users = set()
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            named = [name.name for name in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                named = [node.module or ""]
            if any(name.split(".")[0] == "asyncio" for name in named):
                users.add(file.relative_to(package).parts[0])
    assert users == {"aio"}


@clocks
def test_what_a_node_does_beside_its_objects(clock_of):
    async def task(net):
        node, tpdo = net[NODE], net[NODE].pdo.tpdo(1)
        await node[0x1017].write(50)
        await tpdo.map(["Statusword"], transmission_type=255, event_s=0.02)
        await node.nmt.start()
        assert node.nmt.state is NmtState.OPERATIONAL and not node.nmt.lost
        assert (await tpdo.wait(1)).name == "TPDO1"
        assert await tpdo.why(0.1) == []
        assert (await tpdo.request(1)).name == "TPDO1"
        await node.nmt.pre_operational()
        with pytest.raises(PdoTimeout, match=f"`opendiag pdo why {NODE} tpdo 1`"):
            await tpdo.wait(0.1)
        await net.nmt.start()
        await node.nmt.wait_for("OPERATIONAL", 1)
        with pytest.raises(NotDone, match=f"BootedUp of node {NODE} did not come within"):
            await net.wait_for(BootedUp, 0.01, NODE)
        await node.nmt.stop()
        await node.nmt.reset()
        await node.emcy.clear()
        assert await node.emcy.history() == []
        assert (node.emcy.received, node.emcy.active) == ([], [])

    on_a_bus(task, clock_of())


def test_a_mistake_is_said_at_once():
    async def task(net):
        for wrong in ("5", True):
            with pytest.raises(TypeError, match="node-ID"):
                net[wrong]
        with pytest.raises(TypeError, match=r"node\[True\]"):
            net[NODE][True]
        with pytest.raises(TypeError, match="a plan is expected"):
            await net.run(42)
        with pytest.raises(TypeError, match="event class"):
            await net.wait_for("boot", 1)

    on_a_bus(task, ManualClock())
