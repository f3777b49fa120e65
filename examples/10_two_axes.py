"""Two drives that belong together: they set off together, and when one fails both are brought to rest.

Run it from anywhere: python examples/10_two_axes.py
"""

import opendiag
from opendiag.errors import DriveError

with opendiag.connect("sim:stepim=5,stepim=6") as net, net.drives(5, 6) as axes:
    axes.enable()  # both, or none stays enabled
    axes.home(35)
    axes.move_to([1.0, -0.5], "rev", velocity="300 rpm")
    print("positions:", *(f"{position:.3f} rev" for position in axes.positions))

    # One that cannot do its part keeps the other from doing its own.
    x, y = axes
    try:
        axes.move_to([0.0, 20.0], "rev", velocity="120 rpm", timeout_s=1.0)
    except DriveError as error:
        print("failed:   ", error)
    print("x:        ", x.status)
    print("y:        ", y.status)
