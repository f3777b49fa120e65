"""A TPDO does not come, an object cannot be mapped: the reasons, in words.

Run it from anywhere: python examples/08_why_no_pdo.py
"""

import opendiag
from opendiag.errors import PdoMappingRefused, PdoTimeout

with opendiag.connect("sim:stepim", clock=opendiag.ManualClock()) as network:
    motor = network[101]
    try:
        motor.pdo.tpdo(4).wait(timeout_s=1.0)
    except PdoTimeout as error:
        print(error)
        for finding in motor.pdo.tpdo(4).why():
            print(f"  {finding.code}: {finding.sentence}")

    try:
        motor.pdo.tpdo(4).map(["Control Effort", "Identity Object.Serial number"])
    except PdoMappingRefused as error:
        print(f"step {error.step} was refused: {error}")
