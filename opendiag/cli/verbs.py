"""The verb of a command that has several, as in `opendiag nmt start 5`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def verb_argument(verbs: Sequence[str], metavar: str, required: bool = True) -> Callable[[F], F]:
    """The command gets it as ``verb``. A wrong one is told in one line, with those that there are."""

    def check(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
        if text is not None and text not in verbs:
            raise click.UsageError(f"{text!r} is no verb: expected {', '.join(verbs[:-1])} or {verbs[-1]}", context)
        return text

    def begun(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        return [verb for verb in verbs if verb.startswith(incomplete)]

    return click.argument("verb", required=required, callback=check, metavar=metavar, shell_complete=begun)
