"""Decode a capture and use the values: no hardware, no bus.

Run it from anywhere: python examples/01_decode_capture.py
"""

from pathlib import Path

import opendiag

CAPTURE = Path(__file__).with_name("stepim.log")

for record in opendiag.open_log(CAPTURE, dictionaries={101: "stepim"}):
    where = f"node {record.node} {record.service:9} {record.object_text}"
    if record.value is None:
        print(f"{where} {record.name}: {record.text}")
    elif record.state is not None:
        print(f"{where} {record.name}: {record.state} ({', '.join(record.bits)})")
    else:
        print(f"{where} {record.name}: {record.value} {record.unit or ''}".rstrip())
