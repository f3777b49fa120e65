"""Every exception: its place in the tree, the builtin it is, its fields and the sentence it writes from them."""

import inspect
import pickle
import re

import pytest

from opendiag import errors
from opendiag.errors import (
    AdapterClosed,
    AdapterError,
    AdapterNotFound,
    BadFilter,
    BadInterface,
    BlockingCall,
    BroughtToRest,
    DictionaryError,
    DictionaryFileError,
    DictionaryFindings,
    DriveClosed,
    DriveError,
    DriveFault,
    FollowingErrorTooLarge,
    HomingFailed,
    LimitReached,
    LogError,
    LogExists,
    LogNotFound,
    LogNotWritten,
    MissingDependency,
    ModeRefused,
    MotionFailed,
    MotionTimeout,
    NmtStateNotReached,
    NotALine,
    NotALog,
    NotAtRest,
    NotDone,
    NotEnabled,
    NotPermitted,
    NoValueYet,
    ObjectNotFound,
    OpenDiagError,
    OutsideLimits,
    PdoMappingRefused,
    PdoTimeout,
    PlanCancelled,
    SdoAborted,
    SdoCancelled,
    SdoError,
    SdoProtocolError,
    SdoRefusal,
    SdoTimeout,
    SendFailed,
    SequenceError,
    StateNotReached,
    UnknownDictionary,
    UnknownTarget,
    ValueRefused,
    WireError,
)
from opendiag.findings import Finding, Severity


def timeout_with_reasons():
    error = SdoTimeout(5, 0x6041, 0, "read", 0.5, attempts=2)
    error.why = (Finding("SDO-NODE-SILENT", Severity.ERROR, "Node 5 was never heard."),)
    error.name = "Statusword"
    return error


def at_rest(error, rest):
    error.at_rest = rest
    return error


#: (error, builtins it is, parent in the tree, fields, what its sentence says)
EXAMPLES = [
    (
        SequenceError("turn.yaml", ((7, "no unit 'revs' of position: did you mean rev?"), (None, "it has no steps"))),
        ValueError,
        OpenDiagError,
        {
            "file": "turn.yaml",
            "problems": ((7, "no unit 'revs' of position: did you mean rev?"), (None, "it has no steps")),
        },
        ["turn.yaml:7: no unit", "turn.yaml: it has no steps", "nothing was sent"],
    ),
    (
        NotALine("hello", "expected a frame such as 665#40"),
        ValueError,
        LogError,
        {"text": "hello", "reason": "expected a frame such as 665#40"},
        ["'hello' is no frame", "expected a frame"],
    ),
    (
        MissingDependency("--parquet", "pyarrow"),
        ImportError,
        OpenDiagError,
        {"what": "--parquet", "library": "pyarrow"},
        ["--parquet needs pyarrow", "pip install pyarrow"],
    ),
    (
        WireError("NMT command needs 2 bytes", b"\x01"),
        ValueError,
        OpenDiagError,
        {"reason": "NMT command needs 2 bytes", "data": b"\x01"},
        ["NMT command needs 2 bytes"],
    ),
    (
        DictionaryFileError("drive.eds", 12, "ObjectType is missing"),
        ValueError,
        DictionaryError,
        {"file": "drive.eds", "line": 12, "reason": "ObjectType is missing"},
        ["drive.eds:12: ", "ObjectType is missing"],
    ),
    (
        DictionaryFileError("drive.eds", None, "no section [FileInfo]"),
        ValueError,
        DictionaryError,
        {"file": "drive.eds", "line": None},
        ["drive.eds: no section [FileInfo]"],
    ),
    (
        DictionaryFindings(
            "drive.eds",
            [
                Finding("eds-no-name", Severity.WARNING, "no name", "drive.eds", 3),
                Finding("eds-no-access", Severity.WARNING, "no access", "drive.eds", 9),
            ],
        ),
        ValueError,
        DictionaryFileError,
        {"file": "drive.eds", "line": 3, "reason": "2 findings where none is accepted"},
        ["drive.eds: 2 findings", "drive.eds:3: warning eds-no-name", "drive.eds:9: warning eds-no-access: no access"],
    ),
    (
        UnknownDictionary("stpim", ["cia301", "stepim"]),
        LookupError,
        DictionaryError,
        {"name": "stpim", "bundled": ("cia301", "stepim")},
        ["'stpim'", "no such file", "cia301, stepim"],
    ),
    (
        UnknownDictionary("stpim", []),
        LookupError,
        DictionaryError,
        {"bundled": ()},
        ["the bundled ones are none"],
    ),
    (
        ObjectNotFound("6041:05", "stepim"),
        KeyError,
        DictionaryError,
        {"what": "6041:05", "dictionary": "stepim"},
        ["stepim has no object 6041:05"],
    ),
    (
        LogNotFound("trace.log", "No such file or directory"),
        FileNotFoundError,
        LogError,
        {"file": "trace.log", "reason": "No such file or directory"},
        ["cannot read trace.log", "No such file or directory"],
    ),
    (
        NotALog("notes.txt", 3, "hello"),
        ValueError,
        LogError,
        {"file": "notes.txt", "lines": 3, "example": "hello"},
        ["notes.txt", "no CAN frame in 3 lines", "the first line is 'hello'", "expected candump output such as 'can0"],
    ),
    (
        NotALog("notes.txt", 1, ""),
        ValueError,
        LogError,
        {"lines": 1, "example": ""},
        ["no CAN frame in 1 line;", "expected candump output"],
    ),
    (
        NotALog("empty.log", 0, ""),
        ValueError,
        LogError,
        {"lines": 0},
        ["empty.log is empty", "expected candump output"],
    ),
    (LogExists("a.log"), FileExistsError, LogError, {"file": "a.log"}, ["a.log is there already"]),
    (
        LogNotWritten("a.log", "No space left on device"),
        OSError,
        LogError,
        {"file": "a.log", "reason": "No space left on device"},
        ["cannot write a.log: No space left on device"],
    ),
    (
        BadInterface("cantact@", "expected ADAPTER:CHANNEL@BITRATE"),
        ValueError,
        AdapterError,
        {"interface": "cantact@", "reason": "expected ADAPTER:CHANNEL@BITRATE"},
        ["interface 'cantact@': ", "expected ADAPTER:CHANNEL@BITRATE"],
    ),
    (
        BadFilter("123:xyz", "'xyz' is no mask; expected ID:MASK"),
        ValueError,
        AdapterError,
        {"filter": "123:xyz", "reason": "'xyz' is no mask; expected ID:MASK"},
        ["filter '123:xyz': 'xyz' is no mask"],
    ),
    (
        AdapterNotFound("socketcan:can7", "no such device"),
        LookupError,
        AdapterError,
        {"interface": "socketcan:can7", "reason": "no such device"},
        ["cannot open socketcan:can7: no such device"],
    ),
    (
        AdapterClosed("socketcan:can0", "unplugged"),
        ConnectionError,
        AdapterError,
        {"interface": "socketcan:can0", "reason": "unplugged"},
        ["socketcan:can0: unplugged"],
    ),
    (
        SendFailed("socketcan:can0", "the bus is off"),
        OSError,
        AdapterError,
        {"interface": "socketcan:can0", "reason": "the bus is off"},
        ["socketcan:can0 cannot send: the bus is off"],
    ),
    (
        SdoAborted(5, 0x6060, 0, "write", 0x08000022, "not in the present device state"),
        OpenDiagError,
        SdoError,
        {"node_id": 5, "index": 0x6060, "subindex": 0, "action": "write", "code": 0x08000022, "by_client": False},
        ["cannot write 6060:00 of node 5", "refused by the device", "(abort 0800 0022)"],
    ),
    (
        SdoAborted(5, 0x6060, 0, "read", 0x05040004, "CRC error", by_client=True),
        OpenDiagError,
        SdoError,
        {"by_client": True},
        ["cannot read 6060:00 of node 5: given up: CRC error (abort 0504 0004)"],
    ),
    (
        timeout_with_reasons(),
        TimeoutError,
        SdoError,
        {"waited_s": 0.5, "attempts": 2, "may_be_done": False, "name": "Statusword"},
        ["cannot read 6041:00 Statusword of node 5: no answer within 0.5 s (2 attempts). Node 5 was never heard"],
    ),
    (
        SdoTimeout(5, 0x6040, 0, "write", 0.5, may_be_done=True),
        TimeoutError,
        SdoError,
        {"may_be_done": True, "why": ()},
        ["cannot write 6040:00 of node 5: no answer within 0.5 s; ", "read the object before writing again"],
    ),
    (
        SdoProtocolError(5, 0x1008, 0, "read", "100 bytes were announced and 7 came"),
        ValueError,
        SdoError,
        {"reason": "100 bytes were announced and 7 came"},
        ["cannot read 1008:00 of node 5: 100 bytes were announced and 7 came"],
    ),
    (
        SdoCancelled(5, 0x1008, 0, "read"),
        OpenDiagError,
        SdoError,
        {"node_id": 5},
        ["cannot read 1008:00 of node 5: cancelled"],
    ),
    (PlanCancelled("a reason"), OpenDiagError, OpenDiagError, {"reason": "a reason"}, ["cancelled: a reason"]),
    (
        PdoMappingRefused(
            5,
            0x1A00,
            2,
            "write",
            "TPDO1",
            3,
            "entry 2, 6064:00 (32 bits)",
            "the object cannot be mapped to a PDO",
            0x06040041,
            "the EDS says that it cannot be mapped",
        ),
        OpenDiagError,
        SdoError,
        {"node_id": 5, "index": 0x1A00, "subindex": 2, "pdo": "TPDO1", "step": 3, "code": 0x06040041, "left": ""},
        [
            "TPDO1 of node 5 is not mapped: step 3 of 5 (write the entries) failed at entry 2, 6064:00 (32 bits): ",
            "cannot be mapped to a PDO (abort 0604 0041); the EDS says that it cannot be mapped; ",
            "; what was changed is put back",
        ],
    ),
    (
        PdoMappingRefused(
            5, 0x1400, 1, "write", "RPDO1", 5, "the COB-ID 205h", "no answer", left="1400:01 is 80000205h"
        ),
        OpenDiagError,
        SdoError,
        {"step": 5, "step_name": "set the parameters and switch the PDO on", "code": None},
        ["failed at the COB-ID 205h: no answer; not put back: 1400:01 is 80000205h"],
    ),
    (
        PdoTimeout(5, "TPDO1", "185", 1.0),
        TimeoutError,
        OpenDiagError,
        {"node_id": 5, "pdo": "TPDO1", "can_id": "185", "waited_s": 1.0},
        ["TPDO1 of node 5 (CAN-ID 185h) did not come within 1 s", "`opendiag pdo why 5 tpdo 1`"],
    ),
    (
        NmtStateNotReached("start (enter operational)", "OPERATIONAL", {7: None, 5: "PRE-OPERATIONAL"}, 1.5),
        TimeoutError,
        NotDone,
        {"expected": "OPERATIONAL", "told": {7: None, 5: "PRE-OPERATIONAL"}, "waited_s": 1.5},
        ["within 1.5 s after the NMT command start", "node 5 told PRE-OPERATIONAL, node 7 told nothing", "1001h"],
    ),
    (NotDone(1.5), TimeoutError, OpenDiagError, {"waited_s": 1.5}, ["not done after 1.5 s; it goes on"]),
    (
        NotDone(1.5, "BootedUp of node 5"),
        TimeoutError,
        OpenDiagError,
        {"waited_s": 1.5, "event": "BootedUp of node 5"},
        ["BootedUp of node 5 did not come within 1.5 s"],
    ),
    (
        NoValueYet("6040:00 Controlword", "RPDO1 of node 5"),
        KeyError,
        OpenDiagError,
        {"what": "6040:00 Controlword", "pdo": "RPDO1 of node 5"},
        ["6040:00 Controlword in RPDO1 of node 5 has no value yet", "load()"],
    ),
    (SdoRefusal(0x06020000), OpenDiagError, OpenDiagError, {"code": 0x06020000}, ["SDO abort 0602 0000"]),
    (
        ValueRefused("6060:00 Modes of operation", "200 is above 127"),
        ValueError,
        OpenDiagError,
        {"what": "6060:00 Modes of operation", "reason": "200 is above 127"},
        ["6060:00 Modes of operation: 200 is above 127; nothing was sent"],
    ),
    (
        BlockingCall("node.read()"),
        RuntimeError,
        OpenDiagError,
        {"call": "node.read()"},
        ["node.read() waits for the bus", "cannot be called from a callback"],
    ),
    (
        UnknownTarget(101, "state", "enabled", ("SWITCHED ON", "OPERATION ENABLED")),
        ValueError,
        DriveError,
        {"node_id": 101, "what": "state", "asked": "enabled", "at_rest": None},
        ["drive 101: no state 'enabled'", "SWITCHED ON, OPERATION ENABLED", "nothing was sent"],
    ),
    (
        StateNotReached(101, "SWITCHED ON", "SWITCH ON DISABLED", 0x0240, 1.0),
        TimeoutError,
        DriveError,
        {"wanted": "SWITCHED ON", "state": "SWITCH ON DISABLED", "statusword": 0x0240, "waited_s": 1.0},
        ["SWITCHED ON was not reached within 1 s: it is in SWITCH ON DISABLED (statusword 0240h)"],
    ),
    (
        StateNotReached(101, "SWITCHED ON", "an unknown state: it did not say", None, 0.5),
        TimeoutError,
        DriveError,
        {"statusword": None},
        ["within 0.5 s: it is in an unknown state: it did not say"],
    ),
    (
        DriveFault(101, 0x3120, "mains under-voltage", "it was to go to SWITCHED ON"),
        Exception,
        DriveError,
        {"code": 0x3120, "text": "mains under-voltage", "during": "it was to go to SWITCHED ON"},
        ["fault while it was to go to SWITCHED ON: error 3120h: mains under-voltage"],
    ),
    (
        DriveFault(101, None, ""),
        Exception,
        DriveError,
        {"code": None, "text": "", "during": ""},
        ["drive 101: fault: unknown error"],
    ),
    (
        DriveClosed(101),
        RuntimeError,
        DriveError,
        {"node_id": 101},
        ["drive 101: it was closed, so that nothing would bring it to rest: make another one; nothing was sent"],
    ),
    (
        NotEnabled(101, "SWITCHED ON"),
        RuntimeError,
        DriveError,
        {"state": "SWITCHED ON", "during": ""},
        ["it is not enabled but in SWITCHED ON: enable() comes first"],
    ),
    (
        at_rest(NotEnabled(101, "FAULT", "it moved to 4096"), True),
        RuntimeError,
        DriveError,
        {"state": "FAULT", "during": "it moved to 4096"},
        ["it left OPERATION ENABLED while it moved to 4096: it is in FAULT"],
    ),
    (
        NotPermitted(101, 0x0F),
        RuntimeError,
        DriveError,
        {"controlword": 0x0F},
        ["controlword 000Fh was not sent: it would energise the drive, and nobody asked for that"],
    ),
    (
        NotPermitted(101, 0x07, "another call has stopped the drive meanwhile"),
        RuntimeError,
        DriveError,
        {"reason": "another call has stopped the drive meanwhile"},
        ["controlword 0007h was not sent: another call has stopped"],
    ),
    (
        ModeRefused(101, "8 cyclic synchronous position (csp)", "1 profile position (pp)", "not taken within 7 s"),
        Exception,
        DriveError,
        {"mode": "8 cyclic synchronous position (csp)", "shown": "1 profile position (pp)"},
        ["mode 8 cyclic", "is refused: not taken within 7 s", "6061:00 shows 1 profile position (pp)"],
    ),
    (
        OutsideLimits(101, "target", "5 rev", "-1 rev..1 rev", "the script's limits"),
        ValueError,
        DriveError,
        {"what": "target", "value": "5 rev", "allowed": "-1 rev..1 rev", "whose": "the script's limits"},
        ["target 5 rev is outside -1 rev..1 rev, the script's limits; nothing was sent"],
    ),
    (
        MotionFailed(101, "the move to 4096", "halt is set"),
        Exception,
        DriveError,
        {"what": "the move to 4096", "reason": "halt is set"},
        ["the move to 4096 failed: halt is set"],
    ),
    (
        at_rest(FollowingErrorTooLarge(101, "the move to 4096", "error 8611h"), True),
        Exception,
        MotionFailed,
        {"reason": "error 8611h"},
        ["the move to 4096 failed: error 8611h"],
    ),
    (
        HomingFailed(101, "homing", "the drive reports a homing error"),
        Exception,
        MotionFailed,
        {"what": "homing"},
        ["homing failed: the drive reports a homing error"],
    ),
    (
        LimitReached(101, "the move to 4096", "the positive limit switch is active"),
        Exception,
        MotionFailed,
        {"what": "the move to 4096"},
        ["failed: the positive limit switch"],
    ),
    (
        MotionTimeout(101, "the move to 4096", "it takes longer than 2 s"),
        TimeoutError,
        MotionFailed,
        {"reason": "it takes longer than 2 s"},
        ["failed: it takes longer than 2 s"],
    ),
    (
        NotAtRest(101, "quick stop and disable voltage"),
        Exception,
        DriveError,
        {"tried": "quick stop and disable voltage", "at_rest": False},
        ["it did not confirm that it is at rest: quick stop and disable voltage", "use the emergency stop"],
    ),
    (
        BroughtToRest(101, "the script did not call for 0.5 s (its watchdog_s)"),
        Exception,
        DriveError,
        {"cause": "the script did not call for 0.5 s (its watchdog_s)", "at_rest": None},
        ["drive 101: it was to be brought to rest: the script did not call for 0.5 s"],
    ),
]
#: Bases that nothing raises.
BASES = {OpenDiagError, DictionaryError, DriveError, LogError, AdapterError, SdoError}
EVERY = [
    thing
    for _, thing in inspect.getmembers(errors, inspect.isclass)
    if issubclass(thing, BaseException) and thing.__module__.startswith(errors.__name__)
]

each_example = pytest.mark.parametrize(
    ("error", "builtin", "parent", "fields", "says"), EXAMPLES, ids=lambda value: getattr(value, "__name__", "")
)


@each_example
def test_place_fields_and_sentence(error, builtin, parent, fields, says):
    assert issubclass(type(error), builtin), f"{type(error).__name__} is no {builtin.__name__}"
    assert parent in type(error).__bases__
    assert isinstance(error, OpenDiagError)
    for name, value in fields.items():
        assert getattr(error, name) == value
    for part in says:
        assert part in str(error)


@each_example
def test_an_error_survives_pickling(error, builtin, parent, fields, says):
    """It may come from another process."""
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert all(getattr(copy, name) == value for name, value in fields.items())


@each_example
def test_a_sentence_is_one_line_without_a_full_stop(error, builtin, parent, fields, says):
    """The command line and other sentences embed it."""
    assert str(error)
    assert "\n" not in str(error)
    assert not str(error).endswith(".")


def test_every_error_is_a_child_of_the_root_and_has_an_example():
    assert all(issubclass(error, OpenDiagError) for error in EVERY)
    missing = set(EVERY) - BASES - {type(example[0]) for example in EXAMPLES}
    assert not missing, f"add an example of {sorted(error.__name__ for error in missing)} to EXAMPLES"


def test_the_tree_in_the_docstring_is_the_tree_in_the_code():
    drawn = re.findall(r"^ *[│├└─ ]*\b([A-Z]\w+)(?: \((\w+)\))?", errors.__doc__.split("\n\n")[1], re.MULTILINE)
    assert {name for name, _ in drawn} == {error.__name__ for error in EVERY}
    for name, builtin in drawn:
        outside = [base.__name__ for base in getattr(errors, name).__bases__ if base.__module__ == "builtins"]
        assert outside == ([builtin] if builtin else ["Exception"] if name == "OpenDiagError" else [])


def test_the_indentation_in_the_docstring_is_the_inheritance():
    parents = {}
    for line in errors.__doc__.split("\n\n")[1].splitlines():
        name = re.search(r"[A-Z]\w+", line)
        parents[name.start()] = name.group()
        if len(parents) > 1 and name.start() > min(parents):
            above = max(depth for depth in parents if depth < name.start())
            assert getattr(errors, parents[above]) in getattr(errors, name.group()).__bases__, line


def test_what_became_of_the_drive_is_part_of_the_sentence():
    assert "the drive is at rest and disabled" in str(at_rest(MotionFailed(5, "a move", "no"), True))
    assert "use the emergency stop" in str(at_rest(MotionFailed(5, "a move", "no"), False))
    assert str(at_rest(MotionFailed(5, "a move", "no"), None)) == "drive 5: a move failed: no"


def test_the_likeliest_cause_is_part_of_the_sentence_of_a_drive_error():
    error = StateNotReached(5, "SWITCHED ON", "READY TO SWITCH ON", 0x0221, 1.0)
    error.why = (Finding("DRV-VOLTAGE", Severity.ERROR, "The supply is missing."),)
    assert str(error).endswith("(statusword 0221h). The supply is missing")
