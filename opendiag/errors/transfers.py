"""Errors of SDO transfers and of process data."""

from __future__ import annotations

from opendiag.errors.base import OpenDiagError
from opendiag.findings import Finding


class SdoError(OpenDiagError):
    """A transfer that did not come to its end.

    ``action`` is "read" or "write"; ``name`` is the object's name where it is known. ``why`` is what the bus tells of
    the reason, the likeliest cause first; empty where there is nothing to tell or nobody listened.
    """

    def __init__(self, node_id: int, index: int, subindex: int, action: str, *details: object) -> None:
        super().__init__(node_id, index, subindex, action, *details)
        self.node_id = node_id
        self.index = index
        self.subindex = subindex
        self.action = action
        self.name = ""
        self.why: tuple[Finding, ...] = ()

    @property
    def summary(self) -> str:
        """What happened, without why."""
        return f"cannot {self.what}"

    def __str__(self) -> str:
        return ". ".join([self.summary, *(finding.sentence.rstrip(".") for finding in self.why[:1])])

    @property
    def what(self) -> str:
        """As in "read 6041:00 Statusword of node 101"."""
        named = f" {self.name}" if self.name else ""
        return f"{self.action} {self.index:04X}:{self.subindex:02X}{named} of node {self.node_id}"


class SdoAborted(SdoError):
    """``code`` is the abort code, ``text`` its sentence, ``by_client`` that it was we who ended the transfer."""

    def __init__(
        self, node_id: int, index: int, subindex: int, action: str, code: int, text: str, by_client: bool = False
    ) -> None:
        super().__init__(node_id, index, subindex, action, code, text, by_client)
        self.code = code
        self.text = text
        self.by_client = by_client

    @property
    def summary(self) -> str:
        who = "given up" if self.by_client else "refused by the device"
        return f"cannot {self.what}: {who}: {self.text} (abort {self.code >> 16:04X} {self.code & 0xFFFF:04X})"


class SdoTimeout(SdoError, TimeoutError):
    """``waited_s`` is how long the last answer was waited for, ``attempts`` how often the transfer was begun.

    ``may_be_done``: a write whose last message was sent: the device may have executed it, so it is not repeated.
    """

    def __init__(
        self,
        node_id: int,
        index: int,
        subindex: int,
        action: str,
        waited_s: float,
        attempts: int = 1,
        may_be_done: bool = False,
    ) -> None:
        super().__init__(node_id, index, subindex, action, waited_s, attempts, may_be_done)
        self.waited_s = waited_s
        self.attempts = attempts
        self.may_be_done = may_be_done

    @property
    def summary(self) -> str:
        often = f" ({self.attempts} attempts)" if self.attempts > 1 else ""
        parts = [f"cannot {self.what}: no answer within {self.waited_s:g} s{often}"]
        if self.may_be_done:
            parts.append("the device may have executed the write all the same: read the object before writing again")
        return "; ".join(parts)


class SdoProtocolError(SdoError, ValueError):
    """``reason`` says which rule the answer broke. No data are given out."""

    def __init__(self, node_id: int, index: int, subindex: int, action: str, reason: str) -> None:
        super().__init__(node_id, index, subindex, action, reason)
        self.reason = reason

    @property
    def summary(self) -> str:
        return f"cannot {self.what}: {self.reason}"


class SdoCancelled(SdoError):
    """The caller ended it, or closed the network."""

    @property
    def summary(self) -> str:
        return f"cannot {self.what}: cancelled"


class PdoMappingRefused(SdoError):
    """``step`` 1..5 is that of CiA 301, ``what_failed`` its part that failed, ``reason`` how, ``code`` the abort code.

    ``cause`` is what that mostly means, "" when nothing is known. ``left`` says what could not be put back to what it
    was before; "" when everything was.
    """

    STEPS = (
        "switch the PDO off",
        "clear the mapping",
        "write the entries",
        "write the number of entries",
        "set the parameters and switch the PDO on",
    )

    def __init__(
        self,
        node_id: int,
        index: int,
        subindex: int,
        action: str,
        pdo: str,
        step: int,
        what: str,
        reason: str,
        code: int | None = None,
        cause: str = "",
        left: str = "",
    ) -> None:
        super().__init__(node_id, index, subindex, action, pdo, step, what, reason, code, cause, left)
        self.pdo = pdo
        self.step = step
        self.what_failed = what
        self.reason = reason
        self.code = code
        self.cause = cause
        self.left = left

    @property
    def step_name(self) -> str:
        """As in "write the entries"."""
        return self.STEPS[self.step - 1]

    @property
    def summary(self) -> str:
        place = f"step {self.step} of 5 ({self.step_name}) failed at {self.what_failed}"
        abort = "" if self.code is None else f" (abort {self.code >> 16:04X} {self.code & 0xFFFF:04X})"
        parts = [f"{self.pdo} of node {self.node_id} is not mapped: {place}: {self.reason}{abort}", self.cause]
        parts.append(f"not put back: {self.left}" if self.left else "what was changed is put back")
        return "; ".join(part for part in parts if part)


class PdoTimeout(OpenDiagError, TimeoutError):
    """``pdo`` as in "TPDO1", ``can_id`` the identifier it has, as text, ``waited_s`` how long it was waited for."""

    def __init__(self, node_id: int, pdo: str, can_id: str, waited_s: float) -> None:
        super().__init__(node_id, pdo, can_id, waited_s)
        self.node_id = node_id
        self.pdo = pdo
        self.can_id = can_id
        self.waited_s = waited_s

    @property
    def advice(self) -> str:
        """The command that says why, as in "opendiag pdo why 5 tpdo 1"."""
        kind, number = self.pdo[:4].lower(), self.pdo[4:]
        return f"opendiag pdo why {self.node_id} {kind} {number}"

    def __reduce__(self) -> tuple[type[PdoTimeout], tuple[int, str, str, float]]:
        return type(self), (self.node_id, self.pdo, self.can_id, self.waited_s)  # OSError keeps two of four arguments

    def __str__(self) -> str:
        who = f"{self.pdo} of node {self.node_id} (CAN-ID {self.can_id}h)"
        return f"{who} did not come within {self.waited_s:g} s: see `{self.advice}`"


class SdoRefusal(OpenDiagError):
    """Raised where a device keeps its objects; the SDO server answers with this abort ``code``."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code

    def __str__(self) -> str:
        return f"SDO abort {self.code >> 16:04X} {self.code & 0xFFFF:04X}"
