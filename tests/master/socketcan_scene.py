"""Run by test_socketcan.py under a kernel with SocketCAN: simulated devices on vcan0, and commands that meet them."""

import os
import signal
import subprocess
import sys
import time

BUS = "socketcan:vcan0"
PROGRAM = [sys.executable, "-m", "opendiag"]


def opendiag(*arguments, timeout=30):
    done = subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, timeout=timeout)
    sys.stdout.write(f"$ opendiag {' '.join(arguments)}\n{done.stdout}{done.stderr}exit {done.returncode}\n")
    sys.stdout.flush()
    return done


def main():
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    devices = subprocess.Popen([*PROGRAM, "sim", "stepim=101", "stepim=5", "-i", BUS], env=environment)
    record = subprocess.Popen(
        [*PROGRAM, "record", "/tmp/scene.log", "-i", BUS, "--force", "--for", "12"], env=environment
    )
    try:
        time.sleep(3)
        opendiag("read", "101", "1008", "1018:01", "-i", BUS)
        opendiag("write", "5", "6081", "5000", "--verify", "-i", BUS)
        opendiag("read", "7", "1000", "-i", BUS)
        opendiag("doctor", "5", "-i", BUS)
        opendiag("watch", "-i", BUS, "--for", "3", "--only", "hb", timeout=60)
        record.wait(60)
        opendiag("decode", "/tmp/scene.log", "--only", "sdo", "--object", "6081")
    finally:
        devices.send_signal(signal.SIGINT)
        devices.wait(20)
        record.kill()


if __name__ == "__main__":
    main()
