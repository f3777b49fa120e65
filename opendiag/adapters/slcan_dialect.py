"""The dialects of SLCAN: what each firmware answers, can do, and means by S7; and how one is told from its answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_COMMON = {10_000: "S0", 20_000: "S1", 50_000: "S2", 100_000: "S3", 125_000: "S4", 250_000: "S5", 500_000: "S6"}
#: As Lawicel and Linux have it, and as CANtact and CANable have it.
_WITH_800K = {**_COMMON, 800_000: "S7", 1_000_000: "S8"}
_WITH_750K = {**_COMMON, 750_000: "S7", 1_000_000: "S8"}
_83K = {83_333: "S9", 83_300: "S9"}


@dataclass(frozen=True, repr=False)
class Dialect:
    """``rates`` and ``data_rates``: bit/s -> command. ``timings`` are the lengths of the digits that "s" takes.

    ``replies``: commands are answered with CR or BEL. ``silent`` are the ways to listen only, the first that is not
    refused counts; ``normal`` undoes them. ``stamps`` are the commands for time stamps, the best first.
    ``status`` is the command that is asked now and then: F, or E (CANable's error register).
    ``one_shot``: A0 and A1. ``acceptance``: M and m are filters. ``auto_poll``: X1 makes it push frames.
    ``long_remote``: remote frames may have a DLC above 8. ``bus_off_flag`` is the bit of F that says bus-off.
    """

    name: str
    what: str
    replies: bool
    rates: Mapping[int, str]
    data_rates: Mapping[int, str] = field(default_factory=dict)
    timings: tuple[int, ...] = ()
    silent: tuple[tuple[str, ...], ...] = (("L",),)
    normal: str = ""
    stamps: tuple[str, ...] = ()
    status: str = ""
    one_shot: bool = False
    acceptance: bool = False
    auto_poll: bool = False
    long_remote: bool = False
    bus_off_flag: int = 0

    def __repr__(self) -> str:
        return f"Dialect({self.name!r})"


_DATA_RATES = {500_000: "Y0", 1_000_000: "Y1", 2_000_000: "Y2", 4_000_000: "Y4", 5_000_000: "Y5", 8_000_000: "Y8"}

_LAWICEL = Dialect(
    "lawicel",
    "Lawicel CAN232 or CANUSB, USBtin and relatives",
    True,
    _WITH_800K,
    timings=(4, 6),
    stamps=("Z1",),
    status="F",
    acceptance=True,
    auto_poll=True,
)
_CANTACT = Dialect(
    "cantact", "CANtact's first firmware, which answers nothing", False, _WITH_750K, silent=(("m1", "O"),), normal="m0"
)
_CANABLE = Dialect("canable", "CANable", False, _WITH_750K, silent=(("M1", "O"),), normal="M0", one_shot=True)
_CANABLE2 = Dialect(
    "canable2",
    "CANable 2",
    False,
    {**_WITH_750K, **_83K},
    {2_000_000: "Y2", 5_000_000: "Y5"},
    silent=(("M1", "O"),),
    normal="M0",
    status="E",
    one_shot=True,
)
_WEACT = Dialect(
    "weact",
    "CANable 2 or WeAct USB2CANFD with Nakakiyo's firmware",
    True,
    _WITH_800K,
    _DATA_RATES,
    timings=(4, 8),
    stamps=("Z2", "Z1"),
    status="F",
    acceptance=True,
    long_remote=True,
    bus_off_flag=0x10,
)
_WEACT_STOCK = Dialect(
    "weact-stock",
    "WeAct USB2CANFD as it is sold",
    True,
    _WITH_800K,
    {**_DATA_RATES, 3_000_000: "Y3"},
    silent=(("M1", "O"),),
    normal="M0",
    one_shot=True,
)
_ELMUE = Dialect(
    "elmue",
    "CANable 2.5 with ElmüSoft's firmware",
    True,
    {**_WITH_800K, **_83K},
    _DATA_RATES,
    silent=(("M1", "O"),),  # L reports the bus load here
    normal="M0",
    one_shot=True,
)

DIALECTS: Mapping[str, Dialect] = {
    dialect.name: dialect for dialect in (_LAWICEL, _CANABLE, _CANABLE2, _CANTACT, _WEACT, _WEACT_STOCK, _ELMUE)
}
#: Other names for the same.
ALIASES = {"usbtin": "lawicel", "canusb": "lawicel", "can232": "lawicel", "nakakiyo": "weact", "canable2.5": "elmue"}


def recognise(replies: bool, version: str, detail: str = "") -> Dialect:
    """``version`` and ``detail`` are the answers to V and v, "" for none; ``replies``: C was answered."""
    text = f"{version} {detail}".lower()
    if version.startswith("+") or "slcan:" in text or "slcan=" in text:
        return _ELMUE
    if not replies:
        return _CANABLE2 if "canable2" in text else _CANABLE if version else _CANTACT
    if "weact studio" in text:
        return _WEACT_STOCK
    if any(word in text for word in ("canfd", "canable", "nakakiyo", "vl2k", "github", "weact")):
        return _WEACT
    return _LAWICEL


@dataclass(frozen=True)
class Settings:
    """What a channel is opened with. ``timing`` are the digits of an "s" command, "" for none."""

    bit_rate: int = 500_000
    data_rate: int | None = None
    timing: str = ""
    listen_only: bool = False
    stamps: bool = True
    acceptance_code: int | None = None
    acceptance_mask: int | None = None
    retransmit: bool = True


@dataclass(frozen=True)
class Step:
    """A command before the channel is opened; ``refused`` is the sentence for BEL, "" where that is no matter."""

    command: str
    refused: str = ""


def steps(dialect: Dialect, settings: Settings) -> Iterator[Step]:
    """What sets the channel up while it is closed, but for time stamps. Raise ValueError for what it cannot do."""
    yield _rate_step(dialect, settings)
    if settings.data_rate is not None:
        yield _data_rate_step(dialect, settings.data_rate)
    if dialect.auto_poll:
        yield Step("X1")
    if dialect.one_shot:
        yield Step("A1" if settings.retransmit else "A0")
    elif not settings.retransmit:
        raise ValueError(f"{dialect.what} always sends again what nobody acknowledged: leave out auto_retransmit=no")
    for letter, value in (("M", settings.acceptance_code), ("m", settings.acceptance_mask)):
        if value is None:
            continue
        if not dialect.acceptance or not 0 <= value <= 0xFFFF_FFFF:
            missing = "has no acceptance filter" if not dialect.acceptance else f"takes 32 bits, not {value:#x}"
            raise ValueError(f"{dialect.what} {missing}: use can_filters instead")
        yield Step(f"{letter}{value:08X}", "the acceptance filter was refused")
    if dialect.normal and not settings.listen_only:
        yield Step(dialect.normal)


def ways_to_open(dialect: Dialect, listen_only: bool) -> tuple[tuple[str, ...], ...]:
    return dialect.silent if listen_only else (("O",),)


def _rate_step(dialect: Dialect, settings: Settings) -> Step:
    if settings.timing:
        if len(settings.timing) not in dialect.timings or not _hexadecimal(settings.timing):
            takes = " or ".join(map(str, dialect.timings))
            takes = f"takes btr as {takes} hexadecimal digits" if takes else "takes no btr, only a bit rate"
            raise ValueError(f"{dialect.what} {takes}")
        return Step("s" + settings.timing.upper(), f"the bit timing {settings.timing} was refused")
    command = dialect.rates.get(settings.bit_rate)
    if command is None:
        raise ValueError(_no_rate(dialect, settings.bit_rate))
    return Step(command, f"{settings.bit_rate} bit/s ({command}) was refused")


def _no_rate(dialect: Dialect, bit_rate: int) -> str:
    rates = ", ".join(f"{rate / 1000:g}" for rate in sorted(set(dialect.rates) - {83_300}))
    sentence = f"{dialect.what} ({dialect.name}) has no {bit_rate / 1000:g} kbit/s; it has {rates} kbit/s"
    if bit_rate in (750_000, 800_000):
        means = next(rate for rate, command in dialect.rates.items() if command == "S7")
        sentence += f". S7 means {means / 1000:g} kbit/s in this firmware"
    elif dialect.timings:
        sentence += ", and others with btr"
    return sentence


def _data_rate_step(dialect: Dialect, data_rate: int) -> Step:
    if not dialect.data_rates:
        raise ValueError(f"{dialect.what} ({dialect.name}) has no CAN FD")
    command = dialect.data_rates.get(data_rate)
    if command is None:
        rates = ", ".join(f"{rate / 1e6:g}" for rate in sorted(dialect.data_rates))
        raise ValueError(f"{dialect.what} has no data bit rate of {data_rate / 1e6:g} Mbit/s; it has {rates} Mbit/s")
    return Step(command, f"the data bit rate {data_rate} bit/s ({command}) was refused")


def _hexadecimal(text: str) -> bool:
    return all(digit in "0123456789abcdefABCDEF" for digit in text)
