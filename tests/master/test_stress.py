"""Short forms of benchmarks/soak.py: a full bus with faults, threads, and counts that must add up."""

import importlib.util
import sys
import threading
from pathlib import Path

import pytest

from opendiag.errors import SdoAborted
from opendiag.master.clock import ManualClock, RealClock
from opendiag.master.network import Network
from opendiag.master.sim_port import SimPort, SimWorld
from opendiag.simulate.bus import SimBus

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "soak.py"


@pytest.fixture(scope="module")
def soak():
    """The benchmark as a module."""
    spec = importlib.util.spec_from_file_location("soak_for_tests", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_half_a_second_of_a_full_bus_with_one_frame_in_a_hundred_hit(soak, capsys):
    run = soak.Soak(seed=1, clock=ManualClock(), bit_rate=1_000_000, rate=0.01)
    with run.network:
        run.side_by_side(0.5)
        run.finish()
        assert run.verdict() == 0, capsys.readouterr().out
    assert run.load > 0.99
    assert 0.005 < run.listed / run.bus.statistics().frames < 0.02
    assert sum(client.good for client in run.clients) > 30
    assert {"error", "drop", "duplicate", "delay", "reorder"} <= set(run.fired)


def test_the_same_seed_does_the_same_again(soak):
    def once():
        run = soak.Soak(seed=4, clock=ManualClock(), bit_rate=1_000_000, rate=0.02)
        with run.network:
            run.side_by_side(0.15)
            run.finish()
        return run.bus.statistics(), run.kinds, run.errors, run.fired

    assert once() == once()


def test_without_faults_nothing_fails_but_what_is_refused(soak, capsys):
    run = soak.Soak(seed=2, clock=ManualClock(), bit_rate=1_000_000, rate=0.0)
    with run.network:
        run.side_by_side(0.4)
        run.finish()
        assert run.verdict() == 0, capsys.readouterr().out
    assert set(run.errors) <= {"SdoAborted", "SdoCancelled"}
    assert run.errors["SdoAborted"] == run.refused
    assert not run.ambiguous
    assert not run.listed


def test_a_wrong_value_in_a_node_is_noticed(soak, capsys):
    """The judge must be able to condemn."""
    run = soak.Soak(seed=2, clock=ManualClock(), bit_rate=1_000_000, rate=0.0)
    with run.network:
        run.side_by_side(0.05)
        for client in run.clients:
            client.device.store.values[soak.U32, 0] = client.device.store.values[soak.DOMAIN, 0] = b"odd!"
        run.running = True
        run.side_by_side(0.1)
        run.finish()
        assert run.verdict() == 1
    assert "holds what nobody wrote" in capsys.readouterr().out


def test_a_thread_for_each_node_in_real_time(soak, capsys):
    run = soak.Soak(seed=3, clock=RealClock(), bit_rate=125_000, rate=0.01)
    with run.network:
        run.threaded(1.0)
        run.finish()
        assert run.verdict() == 0, capsys.readouterr().out
    assert all(client.begun for client in run.clients)


@pytest.mark.parametrize(("nodes", "manual"), [(8, True), (1, True), (8, False), (1, False)])
def test_eight_threads_get_their_own_values(soak, nodes, manual):
    """Every thread has an object of its own, whose value names it."""
    clock = ManualClock() if manual else RealClock()
    bus = SimBus(1_000_000 if manual else None, start=clock.now())
    dictionary = soak.dictionary()
    template = dictionary.objects[soak.U32].members[0]
    places = range(8)
    for place in places:
        made = soak.Variable(0x3000 + place, 0, f"of thread {place}", template.data_type, "rw")
        dictionary.objects[made.index] = soak.Object(made.index, made.name, soak.ObjectType.VAR, {0: made})
    for node in range(1, nodes + 1):
        bus.attach(soak.SimNode(dictionary, node), f"node {node}", on_event=lambda event, now: None)
    problems, turns = [], dict.fromkeys(places, 0)
    barrier = threading.Barrier(8)
    with Network(SimPort(SimWorld(bus, clock)), clock, timeout_s=5) as network:

        def work(place):
            node, index = network[place % nodes + 1], 0x3000 + place
            try:
                barrier.wait(10)
                for turn in range(60):
                    value = (place << 16 | turn).to_bytes(4, "little")
                    node.download(index, 0, value)
                    if node.upload(index) != value:
                        problems.append(f"thread {place} read another one's value")
                    if turn % 20 == 0:
                        with pytest.raises(SdoAborted):
                            node.upload(0x5FFF)
                    turns[place] = turn + 1
            except BaseException as error:
                problems.append(f"thread {place}: {error!r}")

        threads = [threading.Thread(target=work, args=(place,), daemon=True) for place in places]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads)
    assert not problems
    assert set(turns.values()) == {60}
