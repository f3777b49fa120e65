"""Run a YAML sequence, print its steps and write its report.

Run it from anywhere: python examples/11_sequence.py [ADAPTER:CHANNEL@BITRATE]. The report is written where you are.
On the command line the same is: opendiag drive run 11_sequence.yaml --report 11_sequence.html
"""

import sys
from pathlib import Path

import opendiag
from opendiag.cli.sequence_report import write_report
from opendiag.master.drive_sequence import run_sequence

interface = sys.argv[1] if len(sys.argv) > 1 else "sim:stepim"

with opendiag.connect(interface) as net:
    timeline = run_sequence(net, Path(__file__).with_suffix(".yaml"))

for step in timeline.steps:
    print(f"{step.began:7.3f} s  {step.outcome:<7} {step.place:<13} {step.text}  {step.error}".rstrip())
print(timeline.outcome, timeline.reason)
write_report(timeline, "11_sequence.html")
print("plots: 11_sequence.html")
