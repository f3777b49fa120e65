"""Two simulated axes in csp with a SYNC of 1 ms: on simulated time, and in real time on this computer.

On simulated time nothing may be missed. In real time the master shares the processors, and one interpreter, with the
simulation of bus, drives and motors. What is missed is counted: set-points that did not leave on time, and answers of
the drives that came too late.

With --interface the drives 5 and 6 are on another bus: that of a simulation in a process of its own, or real ones.

    python benchmarks/csp.py [--seconds 60] [--real | --simulated] [--period 0.001] [--interface socketcan:can0]
"""

import sys
import time

import opendiag
from opendiag.cia402 import power
from opendiag.cia402.cyclic_motion import Rules
from opendiag.cia402.link import DriveLink
from opendiag.cia402.trajectory import Chain, s_curve
from opendiag.master.clock import ManualClock
from opendiag.master.drive_cyclic import CyclicFollower
from opendiag.simulate.bus import SimBus
from opendiag.simulate.drive import SimDrive
from opendiag.simulate.servo import servo_dictionary

NODES = (5, 6)
TURN = 4096


def argument(name, default):
    return type(default)(sys.argv[sys.argv.index(name) + 1]) if name in sys.argv else default


SECONDS, PERIOD_S = argument("--seconds", 60.0), argument("--period", 0.001)


def way(turns):
    there = s_curve(0, turns * TURN, 10 * TURN, 50 * TURN, 1000 * TURN)
    back = s_curve(turns * TURN, 0, 10 * TURN, 50 * TURN, 1000 * TURN)
    return Chain([there, back] * max(1, round(SECONDS / (2 * there.duration_s))))


def run(network, rules):
    links = [DriveLink(node_id) for node_id in NODES]
    network.sleep(0.2)
    for link in links:
        network.run(power.enable(link))
    follower = CyclicFollower(network, links, [way(5), way(-5)], PERIOD_S, "csp", relative=True, rules=rules)
    began, processor = time.perf_counter(), time.process_time()
    try:
        network.run(follower.plan())
    except opendiag.errors.DriveError as error:
        print(f"ENDED: {error}")
    print(follower.report.text)
    wall, processor = time.perf_counter() - began, time.process_time() - processor
    print(f"took {wall:.1f} s, of the processor {processor:.1f} s")
    return follower.report


def simulated_bus():
    bus = SimBus()
    for node_id in NODES:
        drive = SimDrive(servo_dictionary(), node_id)
        drive.switches.negative, drive.switches.positive = -1000.0, 1000.0
        bus.attach(drive, f"drive {node_id}", on_event=lambda event, now: None)
    return bus


def main():
    if "--real" not in sys.argv:
        print(f"--- simulated time, {PERIOD_S * 1000:g} ms")
        with opendiag.connect(simulated_bus(), clock=ManualClock()) as network:
            report = run(network, Rules())
        answers = sum(axis.tpdos_missed for axis in report.axes)
        good = report.finished and not report.missed and not answers
        print(f"no set-point missed: {'met' if good else 'MISSED'}")
    if "--simulated" not in sys.argv:
        print(f"--- real time, {PERIOD_S * 1000:g} ms")
        with opendiag.connect(argument("--interface", "") or simulated_bus()) as network:
            report = run(network, Rules(silent_cycles=1000))
            priority = "real-time" if network.cyclic.real_time else "ordinary"
        share = report.missed / max(1, report.cycles * len(report.axes))
        answers = sum(axis.tpdos_missed for axis in report.axes)
        print(f"{priority} priority; {report.missed} set-points missed ({share:.3%}), {answers} answers late")


if __name__ == "__main__":
    main()
