"""Somebody else closes a connection: a client, a server, or whoever reads the output. SIGPIPE would end us there."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time

import pytest
from terminal import Terminal

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and pipes of POSIX")


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "opendiag", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={key: value for key, value in os.environ.items() if key != "OPENDIAG_INTERFACE"},
    )


@pytest.fixture
def served():
    """A served simulator and its port."""
    process = start("sim", "--serve", "127.0.0.1:0")
    text = ""
    while not (found := re.search(r"socketcand:127.0.0.1:(\d+)/sim", text)):
        line = process.stderr.readline()
        assert line, text
        text += line
    yield process, int(found[1])
    process.kill()
    process.communicate()


def test_a_client_that_goes_while_answers_come_ends_no_server(served):
    server, port = served
    for _ in range(60):
        with socket.create_connection(("127.0.0.1", port), 5) as client:
            client.sendall(b"< open sim >< rawmode >" + b"< send 605 8 40 08 10 00 00 00 00 00 >" * 20)
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        assert client.recv(100) == b"< hi >"
    assert server.poll() is None


@pytest.mark.parametrize(
    "arguments",
    [
        ("sync", "--period", "5ms"),
        ("gen", "--gap", "5ms", "-y"),
        ("watch",),
        ("top", "--json"),
        ("nmt", "watch"),
    ],
)
def test_a_server_that_goes_is_the_documented_error(arguments):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        port = listener.getsockname()[1]
        client = start(*arguments, "-i", f"socketcand:127.0.0.1:{port}/sim")
        for requests in (1, 2):  # whether it is there, and then in earnest
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"< hi >")
                for _ in range(requests):
                    connection.recv(100)
                    connection.sendall(b"< ok >")
                time.sleep(0.3 * (requests - 1))
        _, err = client.communicate(timeout=20)
    assert client.returncode == 3, err
    assert err.endswith(f"opendiag: socketcand:127.0.0.1:{port}/sim: the server ended the connection\n")


def test_top_on_a_terminal_sees_that_the_server_has_gone(served):
    server, port = served
    with Terminal("top", "-i", f"socketcand:127.0.0.1:{port}/sim") as terminal:
        terminal.wait_for("q quits")
        server.kill()
        assert terminal.end() == 3
    assert "the server ended the connection" in terminal.text


@pytest.mark.parametrize("arguments", [("top", "--every", "50ms", "-i", "sim:stepim"), ("eds", "show", "stepim")])
def test_nobody_reads_the_output_any_more(arguments):
    with start(*arguments) as process:
        process.stdout.read(10)
        process.stdout.close()
        code = process.wait(20)
        err = process.stderr.read()
    assert code == 141, err
    assert "roken" not in err and "Traceback" not in err
