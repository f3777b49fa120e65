"""Every exception opendiag raises, in one tree.

    OpenDiagError
    ├── WireError (ValueError)                 bytes that are not what the standard says they are
    ├── DictionaryError                        something about an object dictionary
    │   ├── DictionaryFileError (ValueError)   a device file that cannot be used: file, line, why
    │   │   └── DictionaryFindings             a device file read strictly: every finding that is not accepted
    │   ├── UnknownDictionary (LookupError)    no file and no bundled dictionary of that name
    │   └── ObjectNotFound (KeyError)          no such object in this dictionary
    ├── LogError                               something about a capture
    │   ├── LogNotFound (FileNotFoundError)    no such file, or it cannot be read
    │   ├── LogExists (FileExistsError)        it would be overwritten
    │   ├── LogNotWritten (OSError)            it cannot be written, or not in this format
    │   ├── NotALog (ValueError)               a file without a single frame in a format we know
    │   └── NotALine (ValueError)              a text that should be one frame and is none
    ├── SequenceError (ValueError)             a sequence of motions that is not carried out: lines and why
    ├── AdapterError                           something about the way to the bus
    │   ├── BadInterface (ValueError)          -i or connect() names what cannot be understood
    │   ├── BadFilter (ValueError)             a filter of frames that cannot be understood
    │   ├── AdapterNotFound (LookupError)      no such adapter, channel or server here
    │   ├── AdapterClosed (ConnectionError)    closed, unplugged or failed while in use
    │   └── SendFailed (OSError)               the adapter did not take a frame: bus-off, listen-only, full
    ├── SdoError                               a transfer that did not come to its end
    │   ├── SdoAborted                         the device (or its client) ended it: the abort code says why
    │   ├── SdoTimeout (TimeoutError)          no answer; ``why`` says what the bus tells about it
    │   ├── SdoProtocolError (ValueError)      an answer that breaks the protocol or lost data
    │   ├── SdoCancelled                       ended by the caller
    │   └── PdoMappingRefused                  a step of a PDO's mapping that the device did not take
    ├── PdoTimeout (TimeoutError)              a PDO that was waited for did not come
    ├── DriveError                             something about a drive; ``at_rest`` says what became of it
    │   ├── UnknownTarget (ValueError)         no such state, mode or axis; nothing was sent
    │   ├── StateNotReached (TimeoutError)     a state of the drive did not come
    │   ├── DriveFault                         the drive is in a fault: error code and text
    │   ├── NotEnabled (RuntimeError)          a motion of a drive that is not enabled, or no longer
    │   ├── DriveClosed (RuntimeError)         the block of the drive was left; nothing was sent
    │   ├── NotPermitted (RuntimeError)        a controlword that nobody asked for; it was not sent
    │   ├── ModeRefused                        the drive does not take a mode of operation
    │   ├── OutsideLimits (ValueError)         a target that a limit forbids; nothing was sent
    │   ├── MotionFailed                       a motion that did not come to its end
    │   │   ├── FollowingErrorTooLarge         the position does not follow its demand
    │   │   ├── HomingFailed                   homing error, or homing interrupted
    │   │   ├── LimitReached                   stopped by a limit of the drive or of the script
    │   │   └── MotionTimeout (TimeoutError)   it takes too long
    │   ├── NotAtRest                          a drive that did not confirm that it stands still
    │   └── BroughtToRest                      stopped while the script did something else: why
    ├── NotDone (TimeoutError)                 waited for in vain so far; it goes on
    │   └── NmtStateNotReached                 a node did not tell the NMT state that was awaited
    ├── PlanCancelled                          thrown into a plan whose caller, or whose neighbour, gave up
    ├── SdoRefusal                             raised by a device's objects: the server answers with an abort
    ├── ValueRefused (ValueError)              a value the dictionary does not allow; nothing was sent
    ├── NoValueYet (KeyError)                  an object of an RPDO that nobody has given a value
    ├── BlockingCall (RuntimeError)            a call that waits, made where waiting would never end
    └── MissingDependency (ImportError)        an optional library is not installed

Each carries its facts as fields and writes its own sentence: what failed, what was seen, what to try.
What is odd but not fatal is a `opendiag.findings.Finding`, not an exception.
"""

from __future__ import annotations

from opendiag.errors.adapters import AdapterClosed, AdapterError, AdapterNotFound, BadFilter, BadInterface, SendFailed
from opendiag.errors.base import OpenDiagError, WireError
from opendiag.errors.calls import (
    BlockingCall,
    MissingDependency,
    NmtStateNotReached,
    NotDone,
    NoValueYet,
    PlanCancelled,
    ValueRefused,
)
from opendiag.errors.drives import (
    BroughtToRest,
    DriveClosed,
    DriveError,
    DriveFault,
    FollowingErrorTooLarge,
    HomingFailed,
    LimitReached,
    ModeRefused,
    MotionFailed,
    MotionTimeout,
    NotAtRest,
    NotEnabled,
    NotPermitted,
    OutsideLimits,
    StateNotReached,
    UnknownTarget,
)
from opendiag.errors.files import (
    DictionaryError,
    DictionaryFileError,
    DictionaryFindings,
    LogError,
    LogExists,
    LogNotFound,
    LogNotWritten,
    NotALine,
    NotALog,
    ObjectNotFound,
    SequenceError,
    UnknownDictionary,
)
from opendiag.errors.transfers import (
    PdoMappingRefused,
    PdoTimeout,
    SdoAborted,
    SdoCancelled,
    SdoError,
    SdoProtocolError,
    SdoRefusal,
    SdoTimeout,
)

__all__ = [
    "AdapterClosed",
    "AdapterError",
    "AdapterNotFound",
    "BadFilter",
    "BadInterface",
    "BlockingCall",
    "BroughtToRest",
    "DictionaryError",
    "DictionaryFileError",
    "DictionaryFindings",
    "DriveClosed",
    "DriveError",
    "DriveFault",
    "FollowingErrorTooLarge",
    "HomingFailed",
    "LimitReached",
    "LogError",
    "LogExists",
    "LogNotFound",
    "LogNotWritten",
    "MissingDependency",
    "ModeRefused",
    "MotionFailed",
    "MotionTimeout",
    "NmtStateNotReached",
    "NoValueYet",
    "NotALine",
    "NotALog",
    "NotAtRest",
    "NotDone",
    "NotEnabled",
    "NotPermitted",
    "ObjectNotFound",
    "OpenDiagError",
    "OutsideLimits",
    "PdoMappingRefused",
    "PdoTimeout",
    "PlanCancelled",
    "SdoAborted",
    "SdoCancelled",
    "SdoError",
    "SdoProtocolError",
    "SdoRefusal",
    "SdoTimeout",
    "SendFailed",
    "SequenceError",
    "StateNotReached",
    "UnknownDictionary",
    "UnknownTarget",
    "ValueRefused",
    "WireError",
]
