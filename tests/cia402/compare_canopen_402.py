"""What the safety property of `test_safety.py` finds in `BaseNode402` of the package canopen, on the same drive.

Run by hand, in real time: ``python tests/cia402/compare_canopen_402.py [part of a script's name]``, on a machine with
nothing else to do. Not collected: the result is about another project, and changes with its versions.
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

from opendiag.cia402.states import PdsState
from opendiag.errors import SdoError
from opendiag.master.clock import RealClock
from opendiag.simulate.faults import Fault

OBJECTS = canopen.import_od(str(Path(__file__).parents[2] / "eds" / "stepim.eds"))
_TRIES = 5
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


def scene(state, call, script):
    """(what was not safe, what the call did); on a busy machine the drive may not be ready in time: once more then."""
    for _ in range(_TRIES):
        with contextlib.suppress(SdoError):
            return one_scene(state, call, script)
    raise RuntimeError("this machine is too busy for a comparison in real time")


def one_scene(state, call, script):
    faults, refusals = SCRIPTS[script]
    with World(faults, refusals, clock=RealClock(0.0), begin_s=3.0) as world:
        network = world.network.canopen()
        world.node = BaseNode402(NODE, OBJECTS)
        network.add_node(world.node)
        world.put(state)
        outcome = play(world, call, 0.3, Exception)
        return unsafe(outcome), outcome


def tell(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main():
    logging.disable(logging.CRITICAL)
    wanted = [script for script in SCRIPTS if not sys.argv[1:] or sys.argv[1] in script]
    scenes = [(state, call, script) for script in wanted for state in PdsState for call in CALLS]
    found: Counter = Counter()
    with ThreadPoolExecutor(3) as pool:
        for (state, call, script), (problems, outcome) in zip(
            scenes, pool.map(lambda each: scene(*each), scenes), strict=True
        ):
            if not problems:
                continue
            found[call.name] += 1
            words = [f"{word:02X}" for word in energising(outcome.words)]
            tell(
                f"{script}; {state.value}; {call.name}: ends in {outcome.state.value}, energising words {words}, "
                f"raised {outcome.error!r:.90}"
            )
    tell(f"\n{sum(found.values())} of {len(scenes)} scenes are not safe:")
    for name, count in found.most_common():
        tell(f"  {count:3} {name}")


if __name__ == "__main__":
    main()
