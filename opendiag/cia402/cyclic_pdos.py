"""Which PDOs of a drive carry set-points and what is looked at, and the changes that this takes.

The device's own mapping is used where it fits; else a PDO is mapped anew. What was changed is put back in the end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from opendiag.cia402.link import DriveLink
from opendiag.cia402.modes import Mode, mode_label
from opendiag.cia402.objects import (
    CONTROLWORD,
    INTERPOLATION_DATA,
    INTERPOLATION_MODE,
    INTERPOLATION_PERIOD,
    MODE,
    POSITION,
    STATUSWORD,
    TARGET_POSITION,
    TARGET_TORQUE,
    TARGET_VELOCITY,
    TORQUE,
    VELOCITY,
)
from opendiag.cia402.pdo_words import AxisPdos, Place, RpdoBuffer, TpdoView
from opendiag.dictionary import builtin
from opendiag.dictionary.datatypes import is_signed
from opendiag.errors import AdapterError, PdoMappingRefused, SdoAborted, SdoError, UnknownTarget, ValueRefused
from opendiag.services.pdo_parameters import AT_SYNC, EVENT_DRIVEN, PdoParameters
from opendiag.services.pdo_plans import MAX_PDO_BITS, PdoSettings, map_pdo, read_pdo
from opendiag.services.plans import Gather, Plan, SdoRead
from opendiag.wire.nmt import NmtState
from opendiag.wire.pdo import MappingEntry

CYCLE_PERIOD = 0x1006
#: PDOs of each direction that are looked at; those of axis k begin 64 higher for each axis (CiA 402).
_LOOKED_AT, _AXIS_STEP = 4, 64
_EVERY_SYNC, _AT_ONCE = 1, 255
_CALM_CYCLES, _CALM_MOST_S = 10, 0.05
#: So often putting everything back may be broken off, and is gone on with.
_CLEAN_UPS = 3


@dataclass(frozen=True, slots=True)
class CyclicMode:
    """(index, subindex, bits) of what the drive follows, and of what it shows of that; first axis."""

    set_point: tuple[int, int, int]
    actual: tuple[int, int, int]


CYCLIC_MODES: dict[int, CyclicMode] = {
    Mode.IP: CyclicMode((INTERPOLATION_DATA, 1, 32), (POSITION, 0, 32)),
    Mode.CSP: CyclicMode((TARGET_POSITION, 0, 32), (POSITION, 0, 32)),
    Mode.CSV: CyclicMode((TARGET_VELOCITY, 0, 32), (VELOCITY, 0, 32)),
    Mode.CST: CyclicMode((TARGET_TORQUE, 0, 16), (TORQUE, 0, 16)),
}


def cyclic_mode(node_id: int, mode: int) -> CyclicMode:
    """Raise UnknownTarget for a mode that no set-points are sent to in every cycle."""
    found = CYCLIC_MODES.get(mode)
    if found is None:
        known = tuple(each.name.lower() for each in Mode if each in CYCLIC_MODES)
        raise UnknownTarget(node_id, "mode that follows set-points", mode_label(mode), known)
    return found


@dataclass(slots=True)
class Setup:
    """Of one drive. ``pdos`` is what came of it; ``held`` the PDOs, and ``values`` the objects, as they were before
    somebody changed them; ``notes`` what is not as it should be, in words.
    """

    link: DriveLink
    mode: int
    period_s: float = 0.001
    state: NmtState | None = None
    pdos: AxisPdos = field(default_factory=AxisPdos)
    held: list[PdoParameters] = field(default_factory=list)
    values: list[tuple[int, int, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def entry(self, what: tuple[int, int, int]) -> MappingEntry:
        """As it is mapped on this axis."""
        index, subindex, bits = what
        return MappingEntry(self.link.index(index), subindex, bits)


def set_up_pdos(setup: Setup) -> Plan[None]:
    """Find or make the PDOs. Where the device has none that can be used, SDO stays. Raise SdoError, AdapterError."""
    wanted = cyclic_mode(setup.link.node_id, setup.mode)
    rpdos = yield from _all(setup, False)
    tpdos = yield from _all(setup, True)
    status, word = setup.entry((STATUSWORD, 0, 16)), setup.entry((CONTROLWORD, 0, 16))
    set_point, actual = setup.entry(wanted.set_point), setup.entry(wanted.actual)
    bits = set_point.bits
    setup.pdos.range = -(1 << bits - 1), (1 << bits - 1) - 1
    found = yield from _rpdo(setup, rpdos, set_point, word)
    if found is None:
        setup.notes.append("no RPDO takes the set-point: it is sent by SDO")
    else:
        setup.pdos.set_point = yield from _buffer(setup, found, set_point, word)
    setup.pdos.word = yield from _word_pdo(setup, rpdos, found, word)
    watched = (status, actual) if setup.mode in (Mode.IP, Mode.CSP) else (status,)
    views = yield from _tpdos(setup, tpdos, watched)
    setup.pdos.views = tuple(_view(each, status, actual) for each in views)
    yield from _calm(setup, [pdo for pdo in tpdos if pdo.number not in {each.number for each in views}])
    if not views:
        setup.notes.append("no TPDO carries the statusword: it is read by SDO")


def _all(setup: Setup, transmit: bool) -> Plan[list[PdoParameters]]:
    first = 1 + _AXIS_STEP * setup.link.axis
    found = []
    for number in range(first, first + _LOOKED_AT):
        try:
            found.append((yield from read_pdo(setup.link.node_id, transmit, number)))
        except SdoAborted:
            continue
    return found


def _aligned(pdo: PdoParameters, wanted: Sequence[MappingEntry]) -> bool:
    """Does it carry all of these, each in whole bytes?"""
    if not pdo.active or pdo.multiplexed or pdo.bits > MAX_PDO_BITS:
        return False
    return all(entry in pdo.entries and _offset(pdo, entry) % 8 == 0 for entry in wanted)


def _offset(pdo: PdoParameters, wanted: MappingEntry) -> int:
    offset = 0
    for entry in pdo.entries:
        if entry == wanted:
            break
        offset += entry.bits
    return offset


def _place(pdo: PdoParameters, entry: MappingEntry) -> Place | None:
    if entry not in pdo.entries:
        return None
    variable = builtin.get(entry.index, entry.subindex)
    return Place(_offset(pdo, entry) // 8, entry.bits // 8, variable is not None and is_signed(variable.data_type))


def _view(pdo: PdoParameters, status: MappingEntry, actual: MappingEntry) -> TpdoView:
    whole = _offset(pdo, actual) % 8 == 0
    return TpdoView(
        pdo.cob.can_id, pdo.cob.extended, pdo.length, _place(pdo, status), _place(pdo, actual) if whole else None
    )


# --- RPDOs ---------------------------------------------------------------------------------------------------------


def _rpdo(
    setup: Setup, pdos: list[PdoParameters], entry: MappingEntry, word: MappingEntry
) -> Plan[PdoParameters | None]:
    """One of its own without a controlword, else one that is mapped anew, else its own with a controlword."""
    moving = {word.index, setup.link.index(MODE)}
    own = [pdo for pdo in pdos if _aligned(pdo, (entry,))]
    clean = [pdo for pdo in own if not any(each.index in moving for each in pdo.entries)]
    words = [pdo for pdo in pdos if _is_word_pdo(setup, pdo, word)]
    for pdo in clean:
        if (changed := (yield from _change(setup, pdo, None, _EVERY_SYNC))) is not None:
            return changed
    for pdo in _spare([pdo for pdo in pdos if pdo not in words[:1]]):
        if (changed := (yield from _change(setup, pdo, (entry,), _EVERY_SYNC))) is not None:
            return changed
    for pdo in own:
        if word in pdo.entries and (changed := (yield from _change(setup, pdo, None, _EVERY_SYNC))) is not None:
            setup.notes.append(
                f"{pdo.name} carries the controlword with every set-point, and cannot be mapped otherwise"
            )
            return changed
    return None


def _spare(pdos: Sequence[PdoParameters]) -> list[PdoParameters]:
    """Those that can be mapped anew with the least harm first: what is switched off, then the last ones."""
    return sorted((pdo for pdo in pdos if not pdo.multiplexed), key=lambda pdo: (pdo.active, -pdo.number))


def _is_word_pdo(setup: Setup, pdo: PdoParameters, word: MappingEntry) -> bool:
    """A controlword, and at most the mode beside it."""
    others = {each.index for each in pdo.entries} - {word.index, setup.link.index(MODE)}
    return _aligned(pdo, (word,)) and not others


def _word_pdo(
    setup: Setup, pdos: list[PdoParameters], taken: PdoParameters | None, word: MappingEntry
) -> Plan[RpdoBuffer | None]:
    """For the controlword alone: it is sent when an axis has to be stopped at once."""
    free = [pdo for pdo in pdos if taken is None or pdo.number != taken.number]
    if taken is not None and word in taken.entries:
        return None
    for pdo in free:
        if _is_word_pdo(setup, pdo, word):
            return (yield from _buffer(setup, pdo, None, word))
    for pdo in _spare(free):
        if not pdo.active and (changed := (yield from _change(setup, pdo, (word,), _AT_ONCE))) is not None:
            return (yield from _buffer(setup, changed, None, word))
    setup.notes.append("no RPDO takes the controlword: an axis is stopped by SDO")
    return None


def _buffer(setup: Setup, pdo: PdoParameters, set_point: MappingEntry | None, word: MappingEntry) -> Plan[RpdoBuffer]:
    """What else is mapped keeps the value that the device has; the mode is the one that is wanted."""
    whole = offset = 0
    for entry in pdo.entries:
        if entry.index == setup.link.index(MODE):
            whole |= (setup.mode & 0xFF) << offset
        elif entry not in (set_point, word) and not entry.is_dummy:
            with contextlib.suppress(SdoAborted):
                raw = yield SdoRead(setup.link.node_id, entry.index, entry.subindex)
                whole |= (int.from_bytes(raw, "little") & (1 << entry.bits) - 1) << offset
        offset += entry.bits
    data = bytearray(whole.to_bytes(pdo.length, "little"))
    place = None if set_point is None else _place(pdo, set_point)
    return RpdoBuffer(pdo.cob.can_id, pdo.cob.extended, data, place, _place(pdo, word))


# --- TPDOs ---------------------------------------------------------------------------------------------------------


def _tpdos(setup: Setup, pdos: list[PdoParameters], wanted: Sequence[MappingEntry]) -> Plan[list[PdoParameters]]:
    """One of its own that has all, else one mapped anew, else several of its own."""
    for pdo in pdos:
        if _aligned(pdo, wanted) and (changed := (yield from _change(setup, pdo, None, _EVERY_SYNC))) is not None:
            return [changed]
    for pdo in _spare(pdos):
        if (changed := (yield from _change(setup, pdo, tuple(wanted), _EVERY_SYNC))) is not None:
            return [changed]
    found: dict[int, PdoParameters] = {}
    for entry in wanted:
        if any(entry in pdo.entries for pdo in found.values()):
            continue
        for pdo in pdos:
            if _aligned(pdo, (entry,)) and (changed := (yield from _change(setup, pdo, None, _EVERY_SYNC))) is not None:
                found[pdo.number] = changed
                break
        else:
            return []
    return list(found.values())


def _calm(setup: Setup, others: list[PdoParameters]) -> Plan[None]:
    """TPDOs that go out with every change leave no room in a short cycle: they are held to one in some cycles."""
    for pdo in others:
        inhibit_s = min(_CALM_CYCLES * setup.period_s, _CALM_MOST_S)
        if pdo.active and pdo.transmission_type in EVENT_DRIVEN and pdo.inhibit_s < inhibit_s:
            settings = PdoSettings(inhibit_s=inhibit_s)
            try:
                yield from map_pdo(setup.link.node_id, True, pdo.number, settings, state=setup.state)
            except (PdoMappingRefused, SdoAborted):
                setup.notes.append(f"{pdo.name} is sent with every change, without an inhibit time")
            else:
                setup.held.append(pdo)


# --- changing, and putting back -------------------------------------------------------------------------------------


def _change(
    setup: Setup, pdo: PdoParameters, entries: tuple[MappingEntry, ...] | None, kind: int
) -> Plan[PdoParameters | None]:
    """Map it so, with this transmission type; None where the device refuses. Raise SdoError, AdapterError."""
    inhibit_s = 0.0 if pdo.transmit and pdo.inhibit_s else None
    right = pdo.transmission_type == kind or (
        not pdo.transmit and kind == _EVERY_SYNC and pdo.transmission_type in AT_SYNC
    )
    if entries is None and right and inhibit_s is None and pdo.active:
        return pdo
    settings = PdoSettings(entries, None if right else kind, inhibit_s)
    try:
        changed = yield from map_pdo(setup.link.node_id, pdo.transmit, pdo.number, settings, state=setup.state)
    except (PdoMappingRefused, SdoAborted, ValueRefused) as error:
        left = getattr(error, "left", "")
        if left:
            setup.notes.append(f"{pdo.name} could not be put back: {left}")
        return None
    setup.held.append(pdo)
    return changed


def put_back(setup: Setup) -> Plan[None]:
    """Everything as it was, the last change first. What the device does not let back is told in ``notes``."""
    try:
        while setup.held:
            pdo = setup.held[-1]
            what = pdo.name
            yield from _restore(setup, pdo)
            setup.held.pop()  # not before: it may be broken off, and gone on with
        while setup.values:
            index, subindex, value = setup.values[-1]
            what = f"{index:04X}:{subindex:02X}"
            with _noted(setup, what):
                yield from setup.link.write(index, value, subindex)
            setup.values.pop()
    except (SdoError, AdapterError) as error:  # it does not answer: the rest is not tried
        setup.notes.append(f"{what} could not be put back, and nothing after it: {error}")
        setup.held.clear()
        setup.values.clear()


def put_all_back(setups: Sequence[Setup]) -> Plan[None]:
    """As `put_back`, of several drives side by side. What breaks it off is raised when it is done."""
    interruption: BaseException | None = None
    for _ in range(_CLEAN_UPS):
        try:
            yield Gather(tuple(put_back(setup) for setup in setups))
            break
        except GeneratorExit:
            raise
        except BaseException as thrown:
            interruption = interruption or thrown
    if interruption is not None:
        raise interruption


def _restore(setup: Setup, pdo: PdoParameters) -> Plan[None]:
    entries = None if pdo.multiplexed else pdo.entries
    settings = PdoSettings(
        entries,
        pdo.transmission_type,
        pdo.inhibit_s,
        None,
        pdo.cob,
        enable=pdo.valid,
        multiplexed=pdo.multiplexed,
    )
    with _noted(setup, pdo.name):
        yield from map_pdo(setup.link.node_id, pdo.transmit, pdo.number, settings, state=setup.state)


@contextlib.contextmanager
def _noted(setup: Setup, what: str) -> Iterator[None]:
    """What the device refuses is told, and no reason to leave the rest."""
    try:
        yield
    except (SdoAborted, PdoMappingRefused, ValueRefused) as error:
        setup.notes.append(f"{what} could not be put back: {error}")


# --- the period ----------------------------------------------------------------------------------------------------


def period_digits(period_s: float) -> tuple[int, int]:
    """(value, exponent of ten) for 60C2h. Raise ValueError for a period that 8 bits do not hold exactly."""
    for exponent in (-3, -4, -5, -6):
        value = period_s / 10.0**exponent
        if 1 <= round(value) <= 255 and abs(value - round(value)) < 1e-6:
            return round(value), exponent
    raise ValueError(f"a period of {period_s:g} s does not fit 60C2h: 1..255 units of 1 µs to 1 ms are wanted")


def set_period(setup: Setup) -> Plan[None]:
    """60C2h and, in µs, 1006h, where the drive has them. Raise SdoError when it holds others and refuses these."""
    value, exponent = period_digits(setup.period_s)
    yield from _set(setup, INTERPOLATION_PERIOD, 2, exponent)
    yield from _set(setup, INTERPOLATION_PERIOD, 1, value)
    yield from _set(setup, CYCLE_PERIOD, 0, round(setup.period_s * 1_000_000))
    if setup.mode == Mode.IP:
        yield from _set(setup, INTERPOLATION_MODE, 0, 0)


def _set(setup: Setup, index: int, subindex: int, value: int) -> Plan[None]:
    before = yield from setup.link.read_if_there(index, subindex)
    if before is None or before == value:
        return
    setup.values.append((index, subindex, before))  # before it is done: a lost answer does not say that it was not
    try:
        yield from setup.link.write(index, value, subindex)
    except SdoAborted:
        setup.values.pop()
        raise
