"""The command line. stdout is data, stderr is notes; one file per command, loaded when it is called.

Exit codes: 0 ok, 1 part of a capture is lost, 2 a wrong call or a file that cannot be used; 3 (bus or adapter) and
4 (SDO abort or timeout) belong to commands that talk on a bus.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import Any

import click

from opendiag import __version__
from opendiag.errors import OpenDiagError

EXIT_FINDINGS = 1
EXIT_USAGE = 2
#: As a shell reports a program that Ctrl-C ended.
EXIT_INTERRUPTED = 130

#: Command -> help line, which stands here so that `--help` loads no command.
COMMANDS = {
    "decode": "Say what a capture of a CANopen bus means.",
    "explain": "Explain single frames byte by byte.",
    "nodes": "List the nodes in a capture and what they do.",
    "eds": "Look into EDS and DCF files.",
    "demo": "Explain a real capture of a StepIM motor, line by line.",
}


class _LazyGroup(click.Group):
    """Imports a command's module when it is called, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"opendiag.cli.{cmd_name}_command")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="opendiag")
def app() -> None:
    """CANopen diagnostics: decode captures, name objects, explain frames.

    No command of this version transmits on a bus.
    """


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `opendiag`. Every error becomes one sentence on stderr and an exit code."""
    extra: dict[str, Any] = {"color": False} if os.environ.get("NO_COLOR") else {}
    if arguments is None and hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end quietly when the reader of our output does (`| head`)
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
    except OpenDiagError as error:
        _fail(str(error))
    except OSError as error:
        if error.filename is None and arguments is None:  # stdout itself; what it still holds has nowhere to go
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _fail(f"{error.filename or 'output'}: {(error.strerror or str(error)).lower()}")


def _usage(error: click.ClickException) -> None:
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context is not None else "opendiag"
    message = error.format_message().removeprefix("Invalid value: ").rstrip(".")
    _fail(f"{message} ({command} --help tells more)", command)


def _fail(sentence: str, command: str = "opendiag") -> None:
    click.echo(f"{command}: {sentence}", err=True)
    sys.exit(EXIT_USAGE)
