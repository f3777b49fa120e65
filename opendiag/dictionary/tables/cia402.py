"""Objects of the drive profile CiA 402, first axis. Axis k adds k * 800h; `builtin` does that."""

from __future__ import annotations

from opendiag.dictionary.datatypes import DataType as T
from opendiag.dictionary.tables.rows import Item, Row, array, named_array, record, var

_I8, _I16, _I32 = T.INTEGER8, T.INTEGER16, T.INTEGER32
_U8, _U16, _U32 = T.UNSIGNED8, T.UNSIGNED16, T.UNSIGNED32

STATUSWORD_BITS = {
    0: "ready to switch on",
    1: "switched on",
    2: "operation enabled",
    3: "fault",
    4: "voltage enabled",
    5: "quick stop",
    6: "switch on disabled",
    7: "warning",
    8: "manufacturer specific bit 8",
    9: "remote",
    10: "target reached",
    11: "internal limit active",
    12: "operation mode specific bit 12",
    13: "operation mode specific bit 13",
    14: "manufacturer specific bit 14",
    15: "manufacturer specific bit 15",
}
CONTROLWORD_BITS = {
    0: "switch on",
    1: "enable voltage",
    2: "quick stop",
    3: "enable operation",
    4: "operation mode specific bit 4",
    5: "operation mode specific bit 5",
    6: "operation mode specific bit 6",
    7: "fault reset",
    8: "halt",
    9: "operation mode specific bit 9",
    10: "reserved bit 10",
    11: "manufacturer specific bit 11",
    12: "manufacturer specific bit 12",
    13: "manufacturer specific bit 13",
    14: "manufacturer specific bit 14",
    15: "manufacturer specific bit 15",
}
MODES = {
    0: "no mode",
    1: "profile position (pp)",
    2: "velocity (vl)",
    3: "profile velocity (pv)",
    4: "profile torque (tq)",
    6: "homing (hm)",
    7: "interpolated position (ip)",
    8: "cyclic synchronous position (csp)",
    9: "cyclic synchronous velocity (csv)",
    10: "cyclic synchronous torque (cst)",
    11: "cyclic synchronous torque with commutation angle (cstca)",
}
_UP, _DOWN = "home switch, start towards the positive limit", "home switch, start towards the negative limit"
#: method -> (switch, its edge, which way the drive moves over that edge at last)
_AT_HOME_SWITCH = {
    3: ("positive home switch", "edge", "negative"),
    4: ("positive home switch", "edge", "positive"),
    5: ("negative home switch", "edge", "positive"),
    6: ("negative home switch", "edge", "negative"),
    7: (_UP, "lower edge", "negative"),
    8: (_UP, "lower edge", "positive"),
    9: (_UP, "upper edge", "negative"),
    10: (_UP, "upper edge", "positive"),
    11: (_DOWN, "upper edge", "positive"),
    12: (_DOWN, "upper edge", "negative"),
    13: (_DOWN, "lower edge", "positive"),
    14: (_DOWN, "lower edge", "negative"),
}
HOMING_METHODS = {
    0: "no homing",
    1: "negative limit switch, index pulse",
    2: "positive limit switch, index pulse",
    **{
        n: f"{switch}, index pulse on the {way} side of its {edge}"
        for n, (switch, edge, way) in _AT_HOME_SWITCH.items()
    },
    17: "negative limit switch",
    18: "positive limit switch",
    **{n + 16: f"{switch}, its {edge} in {way} direction" for n, (switch, edge, way) in _AT_HOME_SWITCH.items()},
    33: "next index pulse in negative direction",
    34: "next index pulse in positive direction",
    35: "current position (obsolete, now 37)",
    37: "current position",
}
_STOPS = {1: "slow down ramp", 2: "quick stop ramp", 3: "current limit", 4: "voltage limit"}
_QUICK_STOP = {
    0: "disable drive function",
    **{code: f"{ramp}, then SWITCH ON DISABLED" for code, ramp in _STOPS.items()},
    **{code + 4: f"{ramp}, stay in QUICK STOP ACTIVE" for code, ramp in _STOPS.items()},
}
_RAMP_OR_OFF = {0: "disable drive function", 1: "slow down ramp, then disable"}
_HALT = {code: f"{ramp}, stay in OPERATION ENABLED" for code, ramp in _STOPS.items()}
_FAULT_REACTION = {0: "disable drive function, motor free to rotate", **_STOPS}
_ABORT_CONNECTION = {0: "no action", 1: "fault signal", 2: "disable voltage command", 3: "quick stop command"}
_SUPPORTED = {
    0: "pp",
    1: "vl",
    2: "pv",
    3: "tq",
    5: "hm",
    6: "ip",
    7: "csp",
    8: "csv",
    9: "cst",
    10: "cstca",
}
_INPUTS = {0: "negative limit switch", 1: "positive limit switch", 2: "home switch", 3: "interlock"}
_OUTPUTS = {0: "set brake"}
_POLARITY = {6: "velocity reversed", 7: "position reversed"}
_WINDOW_OFF = {0xFFFFFFFF: "off"}
_SENSORS = {0: "position encoder", 1: "velocity encoder"}
_TORQUE_PROFILES = {0: "linear ramp (trapezoidal)", 1: "sin2 ramp"}
_BUFFERS = {0: "FIFO", 1: "ring"}
_BUFFER_CLEAR = {0: "clear the buffer and close it", 1: "open the buffer"}
_TIME_EXPONENTS = {exponent: f"x 10^{exponent} s" for exponent in range(-9, 1)}
_PROBE_SOURCES = {
    1: "touch probe 1 input",
    2: "touch probe 2 input",
    3: "touch probe 3 input",
    4: "touch probe 4 input",
    5: "hardware zero impulse of the position encoder",
    6: "software zero impulse of the position encoder",
}
_PROBE_FUNCTION = {
    0: "touch probe 1 on",
    1: "continuous",
    2: "triggered by zero impulse",
    3: "triggered as 60D0:01 says",
    4: "sample at positive edge",
    5: "sample at negative edge",
    8: "touch probe 2 on",
    9: "probe 2 continuous",
    10: "probe 2 triggered by zero impulse",
    11: "probe 2 triggered as 60D0:02 says",
    12: "probe 2 sample at positive edge",
    13: "probe 2 sample at negative edge",
}
_PROBE_STATUS = {
    0: "touch probe 1 on",
    1: "positive edge stored",
    2: "negative edge stored",
    8: "touch probe 2 on",
    9: "probe 2 positive edge stored",
    10: "probe 2 negative edge stored",
}
_MOTORS = {
    0: "non-standard motor",
    1: "phase modulated DC motor",
    2: "frequency controlled DC motor",
    3: "permanent magnet synchronous motor",
    4: "field controlled synchronous motor",
    5: "switched reluctance motor",
    6: "wound rotor induction motor",
    7: "squirrel cage induction motor",
    8: "stepper motor",
    9: "micro-step stepper motor",
    10: "sinusoidal permanent magnet brushless motor",
    11: "trapezoidal permanent magnet brushless motor",
}
_PROFILES = {0: "linear ramp (trapezoidal)", 1: "sin2 ramp", 2: "jerk-free ramp", 3: "jerk-limited ramp"}

_POS = "position units"
_VEL = "velocity units"
_ACC = "acceleration units"
_TORQUE = "% of rated torque"
_CURRENT = "% of rated current"

_VL_RAMP = {1: Item("Delta speed", _U32, "rww", True, _VEL), 2: Item("Delta time", _U16, "rww", True, "s")}
_NUMERATOR = ("Numerator", "Divisor")

CIA402: tuple[Row, ...] = (
    var(0x6007, "Abort connection option code", _I16, "rw", values=_ABORT_CONNECTION),
    var(0x603F, "Error code", _U16, "ro", pdo=True),
    var(0x6040, "Controlword", _U16, "rww", pdo=True, bits=CONTROLWORD_BITS),
    var(0x6041, "Statusword", _U16, "ro", pdo=True, bits=STATUSWORD_BITS),
    # velocity mode (vl) of frequency inverters
    var(0x6042, "vl target velocity", _I16, "rww", pdo=True, unit=_VEL),
    var(0x6043, "vl velocity demand", _I16, "ro", pdo=True, unit=_VEL),
    var(0x6044, "vl velocity actual value", _I16, "ro", pdo=True, unit=_VEL),
    var(0x6045, "vl manipulated velocity", _I16, "ro", pdo=True),
    named_array(
        0x6046,
        "vl velocity min max amount",
        _U32,
        "rww",
        ("vl velocity min amount", "vl velocity max amount"),
        pdo=True,
        unit=_VEL,
    ),
    named_array(
        0x6047,
        "vl velocity min max",
        _U32,
        "rw",
        ("vl velocity min pos", "vl velocity max pos", "vl velocity min neg", "vl velocity max neg"),
    ),
    record(0x6048, "vl velocity acceleration", _VL_RAMP),
    record(0x6049, "vl velocity deceleration", _VL_RAMP),
    record(0x604A, "vl velocity quick stop", _VL_RAMP),
    named_array(
        0x604B, "vl set-point factor", _I16, "rw", ("vl set-point factor numerator", "vl set-point factor denominator")
    ),
    named_array(
        0x604C, "vl dimension factor", _I32, "rw", ("vl dimension factor numerator", "vl dimension factor denominator")
    ),
    var(0x604D, "vl pole number", _U8, "rw"),
    var(0x604E, "vl velocity reference", _U32, "rw"),
    var(0x604F, "vl ramp function time", _U32, "rw"),
    var(0x6050, "vl slow down time", _U32, "rw"),
    var(0x6051, "vl quick stop time", _U32, "rw"),
    var(0x6052, "vl nominal percentage", _I16, "rw"),
    var(0x6053, "vl percentage demand", _I16, "ro"),
    var(0x6054, "vl actual percentage", _I16, "ro"),
    var(0x6055, "vl manipulated percentage", _I16, "ro"),
    named_array(
        0x6056,
        "vl velocity motor min max amount",
        _U32,
        "rw",
        ("vl velocity motor min amount", "vl velocity motor max amount"),
    ),
    named_array(
        0x6057,
        "vl velocity motor min max",
        _U32,
        "rw",
        (
            "vl velocity motor min pos",
            "vl velocity motor max pos",
            "vl velocity motor min neg",
            "vl velocity motor max neg",
        ),
    ),
    named_array(
        0x6058,
        "vl frequency motor min max amount",
        _U32,
        "rw",
        ("vl frequency motor min amount", "vl frequency motor max amount"),
    ),
    named_array(
        0x6059,
        "vl frequency motor min max",
        _U32,
        "rw",
        (
            "vl frequency motor min pos",
            "vl frequency motor max pos",
            "vl frequency motor min neg",
            "vl frequency motor max neg",
        ),
    ),
    # option codes and modes
    var(0x605A, "Quick stop option code", _I16, "rw", values=_QUICK_STOP),
    var(0x605B, "Shutdown option code", _I16, "rw", values=_RAMP_OR_OFF),
    var(0x605C, "Disable operation option code", _I16, "rw", values=_RAMP_OR_OFF),
    var(0x605D, "Halt option code", _I16, "rw", values=_HALT),
    var(0x605E, "Fault reaction option code", _I16, "rw", values=_FAULT_REACTION),
    var(0x6060, "Modes of operation", _I8, "rww", pdo=True, values=MODES),
    var(0x6061, "Modes of operation display", _I8, "ro", pdo=True, values=MODES),
    # position, velocity, torque: what is and what is asked for
    var(0x6062, "Position demand value", _I32, "ro", pdo=True, unit=_POS),
    var(0x6063, "Position actual internal value", _I32, "ro", pdo=True, unit="increments"),
    var(0x6064, "Position actual value", _I32, "ro", pdo=True, unit=_POS),
    var(0x6065, "Following error window", _U32, "rw", pdo=True, unit=_POS, values=_WINDOW_OFF),
    var(0x6066, "Following error time out", _U16, "rw", pdo=True, unit="ms"),
    var(0x6067, "Position window", _U32, "rw", pdo=True, unit=_POS, values=_WINDOW_OFF),
    var(0x6068, "Position window time", _U16, "rw", pdo=True, unit="ms"),
    var(0x6069, "Velocity sensor actual value", _I32, "ro", pdo=True),
    var(0x606A, "Sensor selection code", _I16, "rw", pdo=True, values=_SENSORS),
    var(0x606B, "Velocity demand value", _I32, "ro", pdo=True, unit=_VEL),
    var(0x606C, "Velocity actual value", _I32, "ro", pdo=True, unit=_VEL),
    var(0x606D, "Velocity window", _U16, "rw", pdo=True, unit=_VEL),
    var(0x606E, "Velocity window time", _U16, "rw", pdo=True, unit="ms"),
    var(0x606F, "Velocity threshold", _U16, "rw", pdo=True, unit=_VEL),
    var(0x6070, "Velocity threshold time", _U16, "rw", pdo=True, unit="ms"),
    var(0x6071, "Target torque", _I16, "rww", pdo=True, unit=_TORQUE, factor=0.1),
    var(0x6072, "Max torque", _U16, "rw", pdo=True, unit=_TORQUE, factor=0.1),
    var(0x6073, "Max current", _U16, "rw", pdo=True, unit=_CURRENT, factor=0.1),
    var(0x6074, "Torque demand", _I16, "ro", pdo=True, unit=_TORQUE, factor=0.1),
    var(0x6075, "Motor rated current", _U32, "rw", pdo=True, unit="mA"),
    var(0x6076, "Motor rated torque", _U32, "rw", pdo=True, unit="mNm"),
    var(0x6077, "Torque actual value", _I16, "ro", pdo=True, unit=_TORQUE, factor=0.1),
    var(0x6078, "Current actual value", _I16, "ro", pdo=True, unit=_CURRENT, factor=0.1),
    var(0x6079, "DC link circuit voltage", _U32, "ro", pdo=True, unit="mV"),
    var(0x607A, "Target position", _I32, "rww", pdo=True, unit=_POS),
    named_array(
        0x607B,
        "Position range limit",
        _I32,
        "rw",
        ("Min position range limit", "Max position range limit"),
        pdo=True,
        unit=_POS,
    ),
    var(0x607C, "Home offset", _I32, "rw", pdo=True, unit=_POS),
    named_array(
        0x607D,
        "Software position limit",
        _I32,
        "rw",
        ("Min position limit", "Max position limit"),
        pdo=True,
        unit=_POS,
    ),
    var(0x607E, "Polarity", _U8, "rw", pdo=True, bits=_POLARITY),
    var(0x607F, "Max profile velocity", _U32, "rw", pdo=True, unit=_VEL),
    var(0x6080, "Max motor speed", _U32, "rw", pdo=True, unit="rpm"),
    var(0x6081, "Profile velocity", _U32, "rw", pdo=True, unit=_VEL),
    var(0x6082, "End velocity", _U32, "rw", pdo=True, unit=_VEL),
    var(0x6083, "Profile acceleration", _U32, "rw", pdo=True, unit=_ACC),
    var(0x6084, "Profile deceleration", _U32, "rw", pdo=True, unit=_ACC),
    var(0x6085, "Quick stop deceleration", _U32, "rw", pdo=True, unit=_ACC),
    var(0x6086, "Motion profile type", _I16, "rw", pdo=True, values=_PROFILES),
    var(0x6087, "Torque slope", _U32, "rw", pdo=True, unit="% of rated torque/s", factor=0.1),
    var(0x6088, "Torque profile type", _I16, "rw", pdo=True, values=_TORQUE_PROFILES),
    # from the user's units to the drive's; 6093h..6095h and the notation and dimension indices are of older versions
    var(0x6089, "Position notation index", _I8, "rw"),
    var(0x608A, "Position dimension index", _U8, "rw"),
    var(0x608B, "Velocity notation index", _I8, "rw"),
    var(0x608C, "Velocity dimension index", _U8, "rw"),
    var(0x608D, "Acceleration notation index", _I8, "rw"),
    var(0x608E, "Acceleration dimension index", _U8, "rw"),
    named_array(0x608F, "Position encoder resolution", _U32, "rw", ("Encoder increments", "Motor revolutions")),
    named_array(
        0x6090,
        "Velocity encoder resolution",
        _U32,
        "rw",
        ("Encoder increments per second", "Motor revolutions per second"),
    ),
    named_array(0x6091, "Gear ratio", _U32, "rw", ("Motor shaft revolutions", "Driving shaft revolutions")),
    named_array(0x6092, "Feed constant", _U32, "rw", ("Feed", "Shaft revolutions")),
    named_array(0x6093, "Position factor", _U32, "rw", _NUMERATOR),
    named_array(0x6094, "Velocity encoder factor", _U32, "rw", _NUMERATOR),
    named_array(0x6095, "Velocity factor 1", _U32, "rw", _NUMERATOR),
    named_array(0x6096, "Velocity factor", _U32, "rw", _NUMERATOR),
    named_array(0x6097, "Acceleration factor", _U32, "rw", _NUMERATOR),
    # homing, jerk, offsets
    var(0x6098, "Homing method", _I8, "rw", pdo=True, values=HOMING_METHODS),
    named_array(
        0x6099,
        "Homing speeds",
        _U32,
        "rw",
        ("Speed during search for switch", "Speed during search for zero"),
        pdo=True,
        unit=_VEL,
    ),
    var(0x609A, "Homing acceleration", _U32, "rw", pdo=True, unit=_ACC),
    named_array(0x60A2, "Jerk factor", _U32, "rw", _NUMERATOR),
    var(0x60A3, "Profile jerk use", _U8, "rw", pdo=True),
    array(0x60A4, "Profile jerk", Item("Profile jerk {}", _U32, "rw", True), 6),
    var(0x60A8, "SI unit position", _U32, "rw"),
    var(0x60A9, "SI unit velocity", _U32, "rw"),
    var(0x60AA, "SI unit acceleration", _U32, "rw"),
    var(0x60AB, "SI unit jerk", _U32, "rw"),
    var(0x60B0, "Position offset", _I32, "rww", pdo=True, unit=_POS),
    var(0x60B1, "Velocity offset", _I32, "rww", pdo=True, unit=_VEL),
    var(0x60B2, "Torque offset", _I16, "rww", pdo=True, unit=_TORQUE, factor=0.1),
    # touch probe
    var(0x60B8, "Touch probe function", _U16, "rww", pdo=True, bits=_PROBE_FUNCTION),
    var(0x60B9, "Touch probe status", _U16, "ro", pdo=True, bits=_PROBE_STATUS),
    var(0x60BA, "Touch probe 1 positive edge", _I32, "ro", pdo=True, unit=_POS),
    var(0x60BB, "Touch probe 1 negative edge", _I32, "ro", pdo=True, unit=_POS),
    var(0x60BC, "Touch probe 2 positive edge", _I32, "ro", pdo=True, unit=_POS),
    var(0x60BD, "Touch probe 2 negative edge", _I32, "ro", pdo=True, unit=_POS),
    # interpolated position mode
    var(0x60C0, "Interpolation sub mode select", _I16, "rw", pdo=True, values={0: "linear interpolation"}),
    array(0x60C1, "Interpolation data record", Item("Interpolation data {}", _I32, "rww", True), 0xFE),
    record(
        0x60C2,
        "Interpolation time period",
        {
            1: Item("Interpolation time period value", _U8, "rw"),
            2: Item("Interpolation time index", _I8, "rw", values=_TIME_EXPONENTS),
        },
    ),
    named_array(0x60C3, "Interpolation sync definition", _U8, "rw", ("Synchronize on group", "ip sync every n event")),
    record(
        0x60C4,
        "Interpolation data configuration",
        {
            1: Item("Maximum buffer size", _U32, "ro"),
            2: Item("Actual buffer size", _U32, "rw"),
            3: Item("Buffer organization", _U8, "rw", values=_BUFFERS),
            4: Item("Buffer position", _U16, "rw"),
            5: Item("Size of data record", _U8, "wo"),
            6: Item("Buffer clear", _U8, "wo", values=_BUFFER_CLEAR),
        },
    ),
    var(0x60C5, "Max acceleration", _U32, "rw", pdo=True, unit=_ACC),
    var(0x60C6, "Max deceleration", _U32, "rw", pdo=True, unit=_ACC),
    # touch probe, continued
    array(0x60D0, "Touch probe source", Item("Touch probe {} source", _I16, "rw", values=_PROBE_SOURCES), 2),
    var(0x60D1, "Touch probe time stamp 1 positive value", _U32, "ro", pdo=True),
    var(0x60D2, "Touch probe time stamp 1 negative value", _U32, "ro", pdo=True),
    var(0x60D3, "Touch probe time stamp 2 positive value", _U32, "ro", pdo=True),
    var(0x60D4, "Touch probe time stamp 2 negative value", _U32, "ro", pdo=True),
    var(0x60D5, "Touch probe 1 positive edge counter", _U16, "ro", pdo=True),
    var(0x60D6, "Touch probe 1 negative edge counter", _U16, "ro", pdo=True),
    var(0x60D7, "Touch probe 2 positive edge counter", _U16, "ro", pdo=True),
    var(0x60D8, "Touch probe 2 negative edge counter", _U16, "ro", pdo=True),
    # limits, further encoders
    var(0x60E0, "Positive torque limit value", _U16, "rww", pdo=True, unit=_TORQUE, factor=0.1),
    var(0x60E1, "Negative torque limit value", _U16, "rww", pdo=True, unit=_TORQUE, factor=0.1),
    array(0x60E3, "Supported homing methods", Item("Homing method {}", _I8, "ro", values=HOMING_METHODS), 0xFE),
    array(0x60E4, "Additional position actual value", Item("Position actual value {}", _I32, "ro", True, _POS), 0xFE),
    array(0x60E5, "Additional velocity actual value", Item("Velocity actual value {}", _I32, "ro", True, _VEL), 0xFE),
    array(
        0x60E6,
        "Additional position encoder resolution - encoder increments",
        Item("Encoder increments {}", _U32, "rw"),
        0xFE,
    ),
    array(
        0x60E7,
        "Additional velocity encoder resolution - encoder increments per second",
        Item("Encoder increments per second {}", _U32, "rw"),
        0xFE,
    ),
    array(
        0x60E8,
        "Additional gear ratio - motor shaft revolutions",
        Item("Motor shaft revolutions {}", _U32, "rw"),
        0xFE,
    ),
    array(0x60E9, "Additional feed constant - feed", Item("Feed {}", _U32, "rw"), 0xFE),
    var(0x60EA, "Commutation angle", _U16, "rww", pdo=True),
    array(
        0x60EB,
        "Additional position encoder resolution - motor revolutions",
        Item("Motor revolutions {}", _U32, "rw"),
        0xFE,
    ),
    array(
        0x60EC,
        "Additional velocity encoder resolution - motor revolutions per second",
        Item("Motor revolutions per second {}", _U32, "rw"),
        0xFE,
    ),
    array(
        0x60ED,
        "Additional gear ratio - driving shaft revolutions",
        Item("Driving shaft revolutions {}", _U32, "rw"),
        0xFE,
    ),
    array(
        0x60EE,
        "Additional feed constant - driving shaft revolutions",
        Item("Driving shaft revolutions {}", _U32, "rw"),
        0xFE,
    ),
    var(0x60F2, "Positioning option code", _U16, "rww", pdo=True),
    var(0x60F4, "Following error actual value", _I32, "ro", pdo=True, unit=_POS),
    # the controllers; what a record without members holds is the manufacturer's
    record(0x60F6, "Torque control parameters", {}),
    record(0x60F7, "Power stage parameters", {}),
    var(0x60F8, "Max slippage", _I32, "rw", pdo=True, unit=_VEL),
    record(
        0x60F9,
        "Velocity control parameter set",
        {1: Item("Gain", _U16, "rw"), 2: Item("Integration time constant", _U16, "rw")},
    ),
    var(0x60FA, "Control effort", _I32, "ro", pdo=True),
    record(0x60FB, "Position control parameter set", {}),
    var(0x60FC, "Position demand internal value", _I32, "ro", pdo=True, unit="increments"),
    var(0x60FD, "Digital inputs", _U32, "ro", pdo=True, bits=_INPUTS),
    array(
        0x60FE,
        "Digital outputs",
        members={
            1: Item("Physical outputs", _U32, "rww", True, bits=_OUTPUTS),
            2: Item("Bit mask", _U32, "rw", True, bits=_OUTPUTS),
        },
    ),
    var(0x60FF, "Target velocity", _I32, "rww", pdo=True, unit=_VEL),
    # motor and drive
    var(0x6402, "Motor type", _U16, "rw", values=_MOTORS),
    var(0x6403, "Motor catalogue number", T.VISIBLE_STRING, "rw"),
    var(0x6404, "Motor manufacturer", T.VISIBLE_STRING, "rw"),
    var(0x6405, "http motor catalogue address", T.VISIBLE_STRING, "rw"),
    var(0x6406, "Motor calibration date", T.TIME_OF_DAY, "rw"),
    var(0x6407, "Motor service period", _U32, "rw"),
    record(0x6410, "Motor data", {}),
    var(0x6502, "Supported drive modes", _U32, "ro", bits=_SUPPORTED),
    var(0x6503, "Drive catalogue number", T.VISIBLE_STRING, "ro"),
    var(0x6504, "Drive manufacturer", T.VISIBLE_STRING, "rw"),
    var(0x6505, "http drive catalogue address", T.VISIBLE_STRING, "rw"),
    record(0x6510, "Drive data", {}),
    var(0x67FE, "Version number", _U32, "ro"),
    var(0x67FF, "Single device type", _U32, "ro"),
)
