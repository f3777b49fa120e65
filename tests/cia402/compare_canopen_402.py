"""What the safety property of `test_safety.py` finds in `BaseNode402` of the package canopen, on the same drive.

Run by hand, in real time: ``python tests/cia402/compare_canopen_402.py [part of a script's name]``. The same scenes are
then played with the calls of this package that do the same, on a manual clock. Not collected: the result is about
another project, and changes with its versions.
"""

import contextlib
import logging
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

import canopen
from canopen.profiles.p402 import BaseNode402
from safety_world import NODE, Call, Refusal, World, energising, play, unsafe

from opendiag.cia402 import homing_plans, mode_change, power
from opendiag.cia402.states import PdsState
from opendiag.errors import SdoError
from opendiag.master.clock import RealClock
from opendiag.simulate.faults import Fault

OBJECTS = canopen.import_od(str(Path(__file__).parents[2] / "eds" / "stepim.eds"))
#: Seconds for putting the drive into its state, attempt by attempt: on a busy machine it takes long.
_PATIENCE_S = (1.0, 3.0, 6.0, 10.0)
TARGETS = ("SWITCH ON DISABLED", "READY TO SWITCH ON", "SWITCHED ON", "QUICK STOP ACTIVE", "DISABLE VOLTAGE")
MISSPELT = ("OPERATION ENABLE", "SWITCHED OF", "DISABLED", "Switched on")
MODES = ("PROFILED VELOCITY", "CYCLIC SYNCHRONOUS VELOCITY")
SCRIPTS = {
    "no fault": ((), ()),
    "one answer lost": ((Fault("drop", service="sdo response", nth=3),), ()),
    "answers lost for 1 s after the third": (
        (Fault("drop", service="sdo response", from_s=0.004, until_s=1.0),),
        (),
    ),
    "a controlword refused": ((), (Refusal(0x6040, nth=2, last=2),)),
    "the statusword refused": ((), (Refusal(0x6041, write=False, nth=4, last=8),)),
    # it reads the statusword up to eight times for one look: these come when words have been sent
    "a later answer lost": ((Fault("drop", service="sdo response", nth=9),), ()),
    "answers lost for 1 s from 10 ms on": ((Fault("drop", service="sdo response", from_s=0.01, until_s=1.0),), ()),
    "the statusword refused later": ((), (Refusal(0x6041, write=False, nth=9, last=16),)),
}


def _set(name, value):
    return lambda world: setattr(world.node, name, value)


CALLS = [
    Call("state = OPERATION ENABLED", _set("state", "OPERATION ENABLED"), enables=True),
    *(Call(f"state = {target}", _set("state", target), stops=True) for target in TARGETS),
    *(Call(f"state = {target}", _set("state", target)) for target in MISSPELT),
    Call("reset_from_fault()", lambda world: world.node.reset_from_fault()),
    Call("state", lambda world: world.node.state),
    Call("is_homed()", lambda world: world.node.is_homed()),
    *(Call(f"op_mode = {mode}", _set("op_mode", mode)) for mode in MODES),
]


def _run(plan):
    return lambda world: world.run(plan(world.link))


def _reach(target):
    return _run(lambda link: power.reach(link, target))


#: What does the same here.
OURS = [
    Call("state = OPERATION ENABLED", _run(power.enable), enables=True),
    *(Call(f"state = {target}", _reach(target), stops=True) for target in TARGETS[:3]),
    Call("state = QUICK STOP ACTIVE", _run(power.quick_stop), stops=True),
    Call("state = DISABLE VOLTAGE", _run(power.disable), stops=True),
    *(Call(f"state = {target}", _reach(target), stops=target == "Switched on") for target in MISSPELT),
    Call("reset_from_fault()", _run(power.reset_fault)),
    Call("state", _run(lambda link: link.status())),
    Call("is_homed()", _run(homing_plans.supported_methods)),
    *(
        Call(f"op_mode = {mode}", _run(lambda link, m=m: mode_change.set_mode(link, m)))
        for mode, m in zip(MODES, (3, 9), strict=True)
    ),
]


def scene(state, call, script):
    """(what was not safe, what the call did); None on a machine that is too busy to get the drive into that state."""
    for patience_s in _PATIENCE_S:
        with contextlib.suppress(SdoError):
            return one_scene(state, call, script, patience_s)
    return None


def one_scene(state, call, script, patience_s):
    faults, refusals = SCRIPTS[script]
    with World(faults, refusals, clock=RealClock(0.0), begin_s=patience_s) as world:
        network = world.network.canopen()
        world.node = BaseNode402(NODE, OBJECTS)
        network.add_node(world.node)
        world.put(state)
        if world.network.clock.now() > patience_s + 0.05:
            raise SdoError(NODE, 0, 0, "read", "the faults began too early")
        outcome = play(world, call, 0.3, Exception)
        return unsafe(outcome), outcome


def our_scene(state, call, script):
    faults, refusals = SCRIPTS[script]
    with World(faults, refusals) as world:
        world.put(state)
        outcome = play(world, call, 1.0, Exception)
        return unsafe(outcome), outcome


def tell(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def describe(script, state, call, outcome):
    words = [f"{word:02X}" for word in energising(outcome.words)]
    tell(
        f"{script}; {state.value}; {call.name}: ends in {outcome.state.value}, energising words {words}, "
        f"raised {outcome.error!r:.90}"
    )


def theirs(scenes):
    """Counters by script and by call, and how many scenes could not be played."""
    by_script, by_call, left_out = Counter(), Counter(), 0
    with ThreadPoolExecutor(4) as pool:
        played = pool.map(lambda each: scene(*each), scenes)
        for (state, call, script), result in zip(scenes, played, strict=True):
            if result is None:
                left_out += 1
            elif result[0]:
                by_script[script] += 1
                by_call[call.name] += 1
                describe(script, state, call, result[1])
    return by_script, by_call, left_out


def ours(scenes):
    by_script, by_call = Counter(), Counter()
    for state, call, script in scenes:
        problems, outcome = our_scene(state, call, script)
        if problems:
            by_script[script] += 1
            by_call[call.name] += 1
            describe(script, state, call, outcome)
    return by_script, by_call, 0


def main():
    logging.disable(logging.CRITICAL)
    wanted = [script for script in SCRIPTS if not sys.argv[1:] or sys.argv[1] in script]
    for who, calls, count in (("opendiag", OURS, ours), (f"canopen {canopen.__version__}", CALLS, theirs)):
        scenes = [(state, call, script) for script in wanted for state in PdsState for call in calls]
        by_script, by_call, left_out = count(scenes)
        tell(f"\n{who}: {sum(by_script.values())} of {len(scenes) - left_out} scenes are not safe, {left_out} left out")
        for script in wanted:
            tell(f"  {by_script[script]:3} {script}")
        for name, number in by_call.most_common():
            tell(f"      {number:3} {name}")


if __name__ == "__main__":
    main()
