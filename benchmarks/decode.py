"""PDO frames decoded per second, against `canopen`'s PDO decoding of the same frames with the same EDS.

canopen gives numbers only; opendiag gives records: numbers, names, units, PDS states and words.
"""

from __future__ import annotations

import time

import canopen

from opendiag import Decoder, Frame, load
from opendiag.resources import bundled_path

NODE, COUNT, ROUNDS = 101, 20_000, 5


def frames() -> list[Frame]:
    made = []
    for i in range(COUNT // 2):
        made.append(Frame(0x180 + NODE, b"\x27\x02\x08", time_ns=2 * i))
        position = (i * 37).to_bytes(4, "little") + (1000 + i % 100).to_bytes(4, "little")
        made.append(Frame(0x280 + NODE, position, time_ns=2 * i + 1))
    return made


def with_opendiag():
    decoder = Decoder({NODE: load("stepim")})
    return lambda given: sum(len(decoder.feed(frame)) for frame in given)


def with_canopen():
    network = canopen.Network()
    node = network.add_node(NODE, str(bundled_path("eds") / "stepim.eds"))
    node.tpdo.read(from_od=True)
    values = []
    for number in (1, 2):
        node.tpdo[number].add_callback(lambda pdo: values.extend(variable.raw for variable in pdo))

    def job(given: list[Frame]) -> int:
        for frame in given:
            network.notify(frame.can_id, bytearray(frame.data), 0.0)
        return len(values)

    return job


def best(make, given: list[Frame]) -> tuple[float, float, int]:
    rates = []
    for _ in range(ROUNDS):
        job = make()  # reading the EDS is not what is measured
        start = time.process_time()
        count = job(given)
        rates.append(COUNT / (time.process_time() - start))
    return max(rates), min(rates), count


given = frames()
ours, ours_low, our_values = best(with_opendiag, given)
peer, peer_low, peer_values = best(with_canopen, given)
assert our_values == peer_values == 2 * COUNT, "both must decode every value"
print(f"opendiag  {ours:9,.0f} frames/s (worst round {ours_low:,.0f})")
print(f"canopen   {peer:9,.0f} frames/s (worst round {peer_low:,.0f})")
print(f"ratio     {ours / peer:.2f}")
