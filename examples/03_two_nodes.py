"""Two drives at once: nodes answer side by side, and a thread for each is welcome too.

Run it from anywhere: python examples/03_two_nodes.py
"""

import threading

import opendiag

with opendiag.connect("sim:stepim=5,stepim=6") as network:
    # One call reads from both; the order of the values is that of the question.
    voltages = network.read_many([(5, 0x6079), (6, 0x6079)])
    print("DC bus:", *(f"{value} mV" for value in voltages))

    def count(node_id: int, results: dict[int, int]) -> None:
        node = network[node_id]
        results[node_id] = sum(node[0x1018, 1].read() == 0x2E1 for _ in range(200))

    results: dict[int, int] = {}
    threads = [threading.Thread(target=count, args=(node_id, results)) for node_id in (5, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for node_id, right in sorted(results.items()):
        print(f"node {node_id}: {right} of 200 reads right")
