"""Both ends of a conversation: our network, our SDO server, and node-canopen in a process of its own.

Everything hangs on python-can's virtual bus, on a channel that no other test has, and ends with its test.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import can
import pytest

from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.model import Object, ObjectDictionary, ObjectType, Variable
from opendiag.master.clock import RealClock
from opendiag.master.connect import connect
from opendiag.master.device_runner import DeviceRunner
from opendiag.master.network import Network
from opendiag.master.port import CanPort
from opendiag.services.base import Machine
from opendiag.services.object_store import DictionaryStore
from opendiag.services.sdo_channel import SdoChannel
from opendiag.services.sdo_server import SdoServer

HERE = Path(__file__).parent / "node_canopen"
TEST_S = 10
INSTALL_S = 90
NPM_OPTIONS = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1"]
ANSWER_S = 8
NODE = 5

T = DataType
#: index, name, type, default, and what else the dictionary says
OBJECTS: list[tuple[int, str, DataType, Any, dict[str, Any]]] = [
    (0x1000, "Device type", T.UNSIGNED32, 0x00020192, {"access": "ro"}),
    (0x2000, "A byte", T.UNSIGNED8, 0x5A, {}),
    (0x2001, "A word", T.UNSIGNED16, 0xBEEF, {}),
    (0x2002, "A double word", T.UNSIGNED32, 0xDEADBEEF, {}),
    (0x2003, "A signed double word", T.INTEGER32, -123456, {}),
    (0x2005, "A long string", T.VISIBLE_STRING, "A string that does not fit one frame", {}),
    (0x2006, "A file", T.DOMAIN, None, {}),
    (0x2008, "A secret", T.UNSIGNED32, 8, {"access": "wo"}),
    (0x2009, "A limited word", T.UNSIGNED16, 100, {"low": 10, "high": 200}),
]


@pytest.fixture(autouse=True)
def hard_limit() -> Iterator[None]:
    """Whatever hangs, no test takes longer (on systems that have alarms)."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def expired(*_: object) -> None:
        pytest.fail(f"still not done after {TEST_S} s")

    before = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, TEST_S)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


# --- the bus, and opendiag on it ---


@pytest.fixture
def channel() -> str:
    return f"interop-{uuid.uuid4()}"


@pytest.fixture
def open_bus(channel: str) -> Iterator[Callable[[], can.BusABC]]:
    opened: list[can.BusABC] = []

    def make() -> can.BusABC:
        opened.append(can.Bus(interface="virtual", channel=channel))
        return opened[-1]

    yield make
    for bus in opened:
        bus.shutdown()


@pytest.fixture
def network(open_bus: Callable[[], can.BusABC]) -> Iterator[Network]:
    """Ours. It gives up on an answer after 2 s: the machine may be busy with other things."""
    with connect(open_bus(), timeout_s=2.0) as made:
        yield made


@pytest.fixture
def dictionary() -> ObjectDictionary:
    """That of our device. 2010h is a record with the members 0 and 1."""
    made = ObjectDictionary("interop")
    for index, name, data_type, default, more in OBJECTS:
        member = Variable(index, 0, name, data_type, **{"access": "rw", "default": default, **more})
        kind = ObjectType.DOMAIN if data_type == T.DOMAIN else ObjectType.VAR
        made.objects[index] = Object(index, name, kind, {0: member})
    member = Variable(0x2010, 1, "Member", T.UNSIGNED16, "rw", 0x1234)
    made.objects[0x2010] = Object(0x2010, "A record", ObjectType.RECORD, {1: member})
    return made


@pytest.fixture
def run_devices(open_bus: Callable[[], can.BusABC]) -> Iterator[Callable[..., DeviceRunner]]:
    """Puts machines on the bus, in a thread."""
    started: list[DeviceRunner] = []

    def run(*devices: Machine) -> DeviceRunner:
        clock = RealClock()
        started.append(DeviceRunner(CanPort(open_bus(), "virtual", clock.now, borrowed=True), clock, devices))
        started[-1].start()
        return started[-1]

    yield run
    for runner in started:
        runner.stop()
    for runner in started:
        assert runner.failure is None
        assert not [thread for thread in threading.enumerate() if thread is runner._thread]


@pytest.fixture
def store(dictionary: ObjectDictionary, run_devices: Callable[..., DeviceRunner]) -> DictionaryStore:
    """The objects of our SDO server, which runs as node 5."""
    made = DictionaryStore(dictionary, NODE)
    run_devices(SdoServer(SdoChannel.default(NODE), made))
    return made


# --- node-canopen ---


class PeerError(Exception):
    """node-canopen's transfer failed; ``code`` is the abort code where it was one."""

    def __init__(self, text: str, code: int | None) -> None:
        super().__init__(text)
        self.code = code


class Peer:
    """``node peer.js``: its frames go to the bus, those of the bus to it."""

    Error = PeerError

    def __init__(self, bus: can.BusABC, mode: str, modules: Path, errors: IO[bytes]) -> None:
        self._bus = bus
        self._errors = errors
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._stop = threading.Event()
        self._writing = threading.Lock()
        self.process = subprocess.Popen(
            ["node", str(HERE / "peer.js"), mode, str(NODE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "NODE_PATH": str(modules)},
        )
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._speak, self._listen)]
        for thread in self._threads:
            thread.start()

    def ask(self, command: str, **fields: Any) -> Any:
        """The result of a command; bytes go and come as hexadecimal digits. Raise PeerError."""
        with contextlib.suppress(OSError):  # the process has ended: waiting for the answer tells why
            self._tell({"cmd": command, **fields})
        answer = self._answer()
        if "error" in answer:
            raise PeerError(answer["error"], answer["code"])
        return answer["result"]

    def wait_until_ready(self) -> None:
        assert "ready" in self._answer()

    def close(self) -> None:
        self._stop.set()
        self.process.kill()
        self.process.wait(2)
        for thread in self._threads:
            thread.join(2)
        assert not [thread for thread in self._threads if thread.is_alive()]
        with contextlib.suppress(OSError):  # something was still to be written
            self.process.stdin.close()
        self.process.stdout.close()

    def _answer(self) -> dict[str, Any]:
        try:
            answer = self._answers.get(timeout=ANSWER_S)
        except queue.Empty:
            answer = None
        if not answer:
            self._errors.seek(0)
            pytest.fail(f"node-canopen does not answer: {self._errors.read().decode(errors='replace') or 'no message'}")
        return answer

    def _tell(self, line: dict[str, Any]) -> None:
        with self._writing:
            self.process.stdin.write(json.dumps(line).encode() + b"\n")
            self.process.stdin.flush()

    def _speak(self) -> None:
        for text in self.process.stdout:
            if not text.endswith(b"\n"):  # it was ended in the middle of a line
                break
            line = json.loads(text)
            if "id" not in line:
                self._answers.put(line)
            elif not self._stop.is_set():
                data = bytes.fromhex(line["data"])
                self._bus.send(can.Message(arbitration_id=line["id"], data=data, is_extended_id=False))
        self._answers.put({})

    def _listen(self) -> None:
        while not self._stop.is_set():
            message = self._bus.recv(0.05)
            if message is not None and not message.is_extended_id:
                try:
                    self._tell({"id": message.arbitration_id, "data": bytes(message.data).hex()})
                except OSError:  # the process has ended; who waits for it is told by _speak
                    return


@pytest.fixture
def start_peer(
    open_bus: Callable[[], can.BusABC], node_modules: Path, tmp_path: Path
) -> Iterator[Callable[[str], Peer]]:
    """Starts node-canopen as "server" (node 5) or as "client" (of node 5)."""
    started: list[Peer] = []
    with (tmp_path / "stderr").open("w+b") as errors:

        def start(mode: str) -> Peer:
            started.append(Peer(open_bus(), mode, node_modules, errors))
            started[-1].wait_until_ready()
            return started[-1]

        yield start
        for peer in started:
            peer.close()


@pytest.fixture
def peer_server(start_peer: Callable[[str], Peer]) -> Peer:
    return start_peer("server")


@pytest.fixture
def peer_client(start_peer: Callable[[str], Peer]) -> Peer:
    return start_peer("client")


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """Directory with the package `canopen` of npm: OPENDIAG_NODE_MODULES, else one beside peer.js, filled once."""
    if shutil.which("node") is None:
        _unavailable("there is no node")
    given = os.environ.get("OPENDIAG_NODE_MODULES")
    if given:
        if not (Path(given) / "canopen").is_dir():
            _unavailable(f"OPENDIAG_NODE_MODULES={given} has no package canopen")
        return Path(given).resolve()
    modules = HERE / "node_modules"
    if _version(modules) != json.loads((HERE / "package.json").read_text())["dependencies"]["canopen"]:
        _install(modules)
    return modules


def _version(modules: Path) -> str | None:
    try:
        return str(json.loads((modules / "canopen" / "package.json").read_text())["version"])
    except OSError:
        return None


def _install(modules: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        _unavailable("there is no npm")
    try:
        with tempfile.TemporaryDirectory(prefix="node_modules.", dir=HERE) as directory:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / name, directory)
            done = subprocess.run(
                [npm, "ci", *NPM_OPTIONS],
                cwd=directory,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=INSTALL_S,
                check=False,
            )
            if done.returncode:
                lines = done.stderr.decode(errors="replace").splitlines()
                _unavailable("npm ci: " + " ".join([line for line in lines if line.startswith("npm error")][:4]))
            (Path(directory) / "node_modules" / ".gitignore").write_text("*\n")
            shutil.rmtree(modules, ignore_errors=True)
            (Path(directory) / "node_modules").rename(modules)
    except (OSError, subprocess.TimeoutExpired) as error:
        _unavailable(f"npm ci: {error}")


def _unavailable(reason: str) -> None:
    """Skip, unless whoever runs the tests insists on all of them."""
    if os.environ.get("OPENDIAG_REQUIRE_INTEROP") == "1":
        pytest.fail(f"node-canopen is required: {reason}")
    pytest.skip(f"node-canopen is not to be had: {reason}")
