"""The command line. stdout is data, stderr is notes; one file per command, loaded when it is called.

Exit codes: 0 ok, 1 findings, part of a capture is lost, or a drive did not do what it should, 2 a wrong call, a file
that cannot be used, or a value that is not allowed, 3 bus or adapter, 4 SDO abort or timeout.
"""

from __future__ import annotations

import importlib
import os
import re
import signal
import sys
from contextlib import suppress
from typing import Any

import click

from opendiag import __version__
from opendiag.errors import AdapterError, BadInterface, DriveError, OpenDiagError, SdoError
from opendiag.findings import Finding

EXIT_FINDINGS = 1
EXIT_USAGE = 2
EXIT_BUS = 3
EXIT_SDO = 4
#: As a shell reports a program that Ctrl-C ended, and one that SIGPIPE did.
EXIT_INTERRUPTED = 130
EXIT_NOBODY_READS = 141

#: Section -> command -> help line, which stand here so that `--help` loads no command.
SECTIONS = {
    "To begin with": {
        "demo": "Explain a capture of a StepIM motor, then talk to a simulated one.",
    },
    "Captures and files": {
        "decode": "Say what a capture of a CANopen bus means.",
        "explain": "Explain single frames byte by byte.",
        "nodes": "List the nodes in a capture and what they do.",
        "eds": "Look into EDS, DCF and XDD files, check and convert them.",
    },
    "On a bus, listening only": {
        "ports": "List adapters and buses that can be used here.",
        "udev": "Print the udev rules that adapters need on Linux.",
        "adapter": "Ask an adapter about itself, let it blink, switch its resistor.",
        "watch": "Say what goes on on a bus, live.",
        "sniff": "Show which bytes change, one line for each identifier.",
        "top": "Show the whole network on one screen: load, nodes, states, errors.",
        "record": "Write the frames of a bus into a file.",
    },
    "On a bus, these transmit": {
        "scan": "Find the nodes of a bus and who they are.",
        "read": "Read objects of a node.",
        "write": "Write an object of a node.",
        "od": "Read whole object dictionaries.",
        "nmt": "Start, stop and reset nodes.",
        "pdo": "Show, map and watch process data, and say why it does not come.",
        "emcy": "Show emergency messages, read and clear error histories.",
        "sync": "Send SYNC.",
        "scope": "Sample objects of a node over time, with trigger and plot.",
        "send": "Send any CAN frame.",
        "gen": "Send random CAN frames.",
        "replay": "Send the frames of a capture, with its timing.",
        "doctor": "Find out why a node does not answer.",
        "sim": "Simulate devices, on a bus or for other programs.",
    },
    "Drives, these move a motor": {
        "drive": "State, enable, home, move and stop a CiA 402 drive, and why it does not.",
    },
}
COMMANDS = {name: text for section in SECTIONS.values() for name, text in section.items()}


#: What click puts before a sentence; the option's name stays.
_PREFIX = re.compile(r"^Invalid value(?: for '?(--?[\w-]+)[^:]*)?: ")


class _NobodyReads(Exception):
    """Who reads our output has gone. click would end with 1, which means findings here."""


class _LazyGroup(click.Group):
    """Imports a command's module when it is called, not before."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _NobodyReads from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"opendiag.cli.{cmd_name}_command")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), text) for name, text in commands.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="opendiag")
def app() -> None:
    """CANopen master and diagnostics: decode, read, write, watch, simulate.

    -i ADAPTER:CHANNEL@BITRATE (or OPENDIAG_INTERFACE) says which bus; without it a simulated StepIM motor answers.
    """


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `opendiag`. Every error becomes one sentence on stderr and an exit code."""
    extra: dict[str, Any] = {"color": False} if os.environ.get("NO_COLOR") else {}
    if arguments is None and hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # it would end us for any socket that somebody else closes
        signal.signal(signal.SIGTERM, _terminated)  # as Ctrl-C: a device in the middle of a transfer is told
    try:
        app.main(args=arguments, prog_name="opendiag", standalone_mode=False, **extra)
        sys.stdout.flush()  # what cannot be written must be noticed here, not when the interpreter ends
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(EXIT_USAGE)
    except click.ClickException as error:
        _usage(error)
    except click.Abort:
        sys.exit(EXIT_INTERRUPTED)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except SdoError as error:
        _fail("\n".join([error.summary, *map(_reason, error.why)]), code=EXIT_SDO)
    except AdapterError as error:
        _fail(str(error), code=EXIT_USAGE if isinstance(error, BadInterface) else EXIT_BUS)
    except DriveError as error:
        _fail(str(error), code=EXIT_USAGE if isinstance(error, ValueError) else EXIT_FINDINGS)
    except OpenDiagError as error:
        _fail(str(error))
    except (_NobodyReads, BrokenPipeError):  # `| head`: a quiet end
        if arguments is None:
            _to_nowhere()
            with suppress(BrokenPipeError):  # `2>&1 | head`: the notes went there too
                sys.stderr.flush()
        sys.exit(EXIT_NOBODY_READS)
    except OSError as error:
        if error.filename is None and arguments is None:
            _to_nowhere()
        _fail(f"{error.filename or 'output'}: {(error.strerror or str(error)).lower()}")


def _to_nowhere() -> None:
    """What stdout still holds cannot be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _terminated(number: int, stack: object) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


def _usage(error: click.ClickException) -> None:
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context is not None else "opendiag"
    message = _PREFIX.sub(lambda found: f"{found[1]}: " if found[1] else "", error.format_message()).rstrip(".")
    hint = f"({command} --help tells more)"
    _fail(f"{message}\n{hint}" if "\n" in message else f"{message} {hint}", command)


def _reason(finding: Finding) -> str:
    """One cause of a silence, and what to do about it."""
    return f"  {finding.sentence}" + (f"\n    {finding.advice}" if finding.advice else "")


def _fail(sentence: str, command: str = "opendiag", code: int = EXIT_USAGE) -> None:
    from opendiag.cli.output import visible

    click.echo(visible(f"{command}: {sentence}"), err=True)
    sys.exit(code)
