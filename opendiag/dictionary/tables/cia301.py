"""Communication objects 1000h..1FFFh of CiA 301, and those of CiA 302 that a field engineer meets."""

from __future__ import annotations

from opendiag.dictionary.datatypes import DataType as T
from opendiag.dictionary.model import ObjectType
from opendiag.dictionary.tables.rows import Item, Row, array, named_array, record, var
from opendiag.wire.emcy import ERROR_REGISTER_BITS

_U8, _U16, _U32, _U64 = T.UNSIGNED8, T.UNSIGNED16, T.UNSIGNED32, T.UNSIGNED64

TRANSMISSION_TYPES = {
    0: "synchronous, acyclic",
    1: "synchronous, every SYNC",
    **{every: f"synchronous, every {every} SYNCs" for every in range(2, 241)},
    252: "on remote request, sampled at SYNC",
    253: "on remote request",
    254: "event driven (manufacturer)",
    255: "event driven (profile)",
}

_MAPPED = Item("Number of mapped objects", _U8, "rw", values={0xFE: "SAM MPDO", 0xFF: "DAM MPDO"})
_SCANNED = Item("Number of entries", _U8, "rw")
_ERROR_BEHAVIOUR = {0: "enter pre-operational (only if operational)", 1: "no change of NMT state", 2: "enter stopped"}
_COMMAND_STATUS = {
    0: "done, no reply",
    1: "done, reply ready",
    2: "failed, no reply",
    3: "failed, reply ready",
    0xFF: "still executing",
}
_COMMAND_MODE = {0: "execute at once", 1: "put in the buffer", 2: "execute the buffer", 3: "abort all"}

# Where a number means one thing in a write and another in a read, both are said, the write first.
_PROGRAM_CONTROL = {0: "stop, or stopped", 1: "start, or running", 2: "reset, or stopped", 3: "clear, or no program"}
_GUARDING = {0: "stop, or not guarded", 1: "start, or guarded"}
_REQUEST_NMT = {
    0: "state not known",
    1: "device missing",
    4: "stopped",
    5: "operational",
    6: "reset node",
    7: "reset communication",
    0x7F: "pre-operational",
}
_NMT_STARTUP = {
    0: "is the NMT master",
    1: "start all nodes with one command",
    2: "does not go operational by itself",
    3: "does not start the nodes",
    4: "resets all nodes when a mandatory one fails",
    5: "flying master",
    6: "stops all nodes when a mandatory one fails",
}
_NMT_SLAVE = {
    0: "is a slave of this master",
    2: "boot it",
    3: "mandatory",
    4: "keep alive: no reset of a node that is operational",
    5: "verify its software version",
    6: "its software may be updated",
    7: "restore its defaults",
}
_FLASH_ERRORS = {
    0: "ok",
    1: "no valid program",
    2: "data format not known",
    3: "data format or CRC error",
    4: "flash not cleared",
    5: "flash write error",
    6: "address error",
    7: "flash secured",
    63: "unspecified error",
}
_FLASH_STATUS = {error << 1 | busy: text + ", busy" * busy for error, text in _FLASH_ERRORS.items() for busy in (0, 1)}

CIA301: tuple[Row, ...] = (
    var(0x1000, "Device type", _U32, "ro"),
    var(0x1001, "Error register", _U8, "ro", pdo=True, bits=ERROR_REGISTER_BITS),
    var(0x1002, "Manufacturer status register", _U32, "ro", pdo=True),
    array(
        0x1003,
        "Pre-defined error field",
        Item("Standard error field {}", _U32, "ro"),
        0xFE,
        count=Item("Number of errors", _U8, "rw"),
    ),
    var(0x1005, "COB-ID SYNC message", _U32, "rw"),
    var(0x1006, "Communication cycle period", _U32, "rw", unit="us"),
    var(0x1007, "Synchronous window length", _U32, "rw", unit="us"),
    var(0x1008, "Manufacturer device name", T.VISIBLE_STRING, "const"),
    var(0x1009, "Manufacturer hardware version", T.VISIBLE_STRING, "const"),
    var(0x100A, "Manufacturer software version", T.VISIBLE_STRING, "const"),
    var(0x100C, "Guard time", _U16, "rw", unit="ms"),
    var(0x100D, "Life time factor", _U8, "rw"),
    array(
        0x1010,
        "Store parameters",
        Item("Save manufacturer defined parameters {}", _U32, "rw"),
        0x7F,
        members={
            1: Item("Save all parameters", _U32, "rw"),
            2: Item("Save communication parameters", _U32, "rw"),
            3: Item("Save application parameters", _U32, "rw"),
        },
    ),
    array(
        0x1011,
        "Restore default parameters",
        Item("Restore manufacturer defined default parameters {}", _U32, "rw"),
        0x7F,
        members={
            1: Item("Restore all default parameters", _U32, "rw"),
            2: Item("Restore communication default parameters", _U32, "rw"),
            3: Item("Restore application default parameters", _U32, "rw"),
        },
    ),
    var(0x1012, "COB-ID time stamp object", _U32, "rw"),
    var(0x1013, "High resolution time stamp", _U32, "rw", pdo=True, unit="us"),
    var(0x1014, "COB-ID EMCY", _U32, "rw"),
    var(0x1015, "Inhibit time EMCY", _U16, "rw", unit="us", factor=100),
    array(0x1016, "Consumer heartbeat time", Item("Consumer heartbeat time {}", _U32, "rw"), 0x7F),
    var(0x1017, "Producer heartbeat time", _U16, "rw", unit="ms"),
    record(
        0x1018,
        "Identity object",
        {
            1: Item("Vendor-ID", _U32, "ro"),
            2: Item("Product code", _U32, "ro"),
            3: Item("Revision number", _U32, "ro"),
            4: Item("Serial number", _U32, "ro"),
        },
    ),
    var(0x1019, "Synchronous counter overflow value", _U8, "rw", values={0: "no counter"}),
    array(
        0x1020,
        "Verify configuration",
        members={
            1: Item("Configuration date", _U32, "rw", unit="days since 1984-01-01"),
            2: Item("Configuration time", _U32, "rw", unit="ms after midnight"),
        },
    ),
    var(0x1021, "Store EDS", T.DOMAIN, "ro"),
    var(0x1022, "Store format", _U16, "ro"),
    record(
        0x1023,
        "OS command",
        {
            1: Item("Command", T.OCTET_STRING, "rw"),
            2: Item("Status", _U8, "ro", values=_COMMAND_STATUS),
            3: Item("Reply", T.OCTET_STRING, "ro"),
        },
    ),
    var(0x1024, "OS command mode", _U8, "wo", values=_COMMAND_MODE),
    record(
        0x1025,
        "OS debugger interface",
        {
            1: Item("Command", T.OCTET_STRING, "rw"),
            2: Item("Status", _U8, "ro", values=_COMMAND_STATUS),
            3: Item("Reply", T.OCTET_STRING, "ro"),
        },
    ),
    array(
        0x1026,
        "OS prompt",
        members={1: Item("StdIn", _U8, "wo"), 2: Item("StdOut", _U8, "ro"), 3: Item("StdErr", _U8, "ro")},
    ),
    array(0x1027, "Module list", Item("Module {}", _U16, "ro"), 0xFE),
    array(0x1028, "Emergency consumer object", Item("Emergency consumer {}", _U32, "rw"), 0x7F),
    array(
        0x1029,
        "Error behaviour object",
        Item("Device specific error {}", _U8, "rw", values=_ERROR_BEHAVIOUR),
        0xFE,
        members={1: Item("Communication error", _U8, "rw", values=_ERROR_BEHAVIOUR)},
    ),
    record(
        0x1200,
        "SDO server parameter",
        {
            1: Item("COB-ID client to server (rx)", _U32, "ro"),
            2: Item("COB-ID server to client (tx)", _U32, "ro"),
            3: Item("Node-ID of the SDO client", _U8, "rw"),
        },
        last=0x1200,
    ),
    record(
        0x1201,
        "SDO server parameter",
        {
            1: Item("COB-ID client to server (rx)", _U32, "rw"),
            2: Item("COB-ID server to client (tx)", _U32, "rw"),
            3: Item("Node-ID of the SDO client", _U8, "rw"),
        },
        last=0x127F,
        first_number=2,
    ),
    record(
        0x1280,
        "SDO client parameter",
        {
            1: Item("COB-ID client to server (tx)", _U32, "rw"),
            2: Item("COB-ID server to client (rx)", _U32, "rw"),
            3: Item("Node-ID of the SDO server", _U8, "rw"),
        },
        last=0x12FF,
    ),
    record(
        0x1400,
        "RPDO communication parameter",
        {
            1: Item("COB-ID used by RPDO", _U32, "rw"),
            2: Item("Transmission type", _U8, "rw", values=TRANSMISSION_TYPES),
            3: Item("Inhibit time", _U16, "rw", unit="us", factor=100),
            4: Item("Compatibility entry", _U8, "rw"),
            5: Item("Event timer", _U16, "rw", unit="ms"),
            6: Item("SYNC start value", _U8, "rw"),
        },
        last=0x15FF,
    ),
    Row(
        0x1600,
        "RPDO mapping parameter",
        ObjectType.RECORD,
        {0: _MAPPED},
        Item("Application object {}", _U32, "rw"),
        0x40,
        0x17FF,
    ),
    record(
        0x1800,
        "TPDO communication parameter",
        {
            1: Item("COB-ID used by TPDO", _U32, "rw"),
            2: Item("Transmission type", _U8, "rw", values=TRANSMISSION_TYPES),
            3: Item("Inhibit time", _U16, "rw", unit="us", factor=100),
            4: Item("Reserved", _U8, "rw"),
            5: Item("Event timer", _U16, "rw", unit="ms"),
            6: Item("SYNC start value", _U8, "rw"),
        },
        last=0x19FF,
    ),
    Row(
        0x1A00,
        "TPDO mapping parameter",
        ObjectType.RECORD,
        {0: _MAPPED},
        Item("Application object {}", _U32, "rw"),
        0x40,
        0x1BFF,
    ),
    Row(
        0x1FA0,
        "Object scanner list",
        ObjectType.ARRAY,
        {0: _SCANNED},
        Item("Scan {}", _U32, "rw"),
        0xFE,
        0x1FCF,
    ),
    Row(
        0x1FD0,
        "Object dispatching list",
        ObjectType.ARRAY,
        {0: _SCANNED},
        Item("Dispatch {}", _U64, "rw"),
        0xFE,
        0x1FFF,
    ),
)

_NODE_WRITE = Item("Node {}", _U32, "wo")

CIA302: tuple[Row, ...] = (
    var(0x102A, "NMT inhibit time", _U16, "rw", unit="us", factor=100),
    array(0x1F20, "Store DCF", Item("Node {}", T.DOMAIN, "rw"), 0x7F),
    array(0x1F21, "Storage format", Item("Node {}", _U8, "rw"), 0x7F),
    array(0x1F22, "Concise DCF", Item("Node {}", T.DOMAIN, "rw"), 0x7F),
    array(0x1F23, "Store EDS", Item("Node {}", T.DOMAIN, "rw"), 0x7F),
    array(0x1F24, "Storage format EDS", Item("Node {}", _U8, "rw"), 0x7F),
    array(0x1F25, "Configuration request", _NODE_WRITE, 0x80, members={0x80: Item("All nodes", _U32, "wo")}),
    array(0x1F26, "Expected configuration date", Item("Node {}", _U32, "rw", unit="days since 1984-01-01"), 0x7F),
    array(0x1F27, "Expected configuration time", Item("Node {}", _U32, "rw", unit="ms after midnight"), 0x7F),
    array(0x1F50, "Program data", Item("Program {}", T.DOMAIN, "rw"), 0xFE),
    array(0x1F51, "Program control", Item("Program {}", _U8, "rw", values=_PROGRAM_CONTROL), 0xFE),
    named_array(
        0x1F52, "Verify application software", _U32, "rw", ("Application software date", "Application software time")
    ),
    array(0x1F53, "Expected application software date", Item("Node {}", _U32, "rw"), 0x7F),
    array(0x1F54, "Expected application software time", Item("Node {}", _U32, "rw"), 0x7F),
    array(0x1F55, "Expected software identification", Item("Node {}", _U32, "rw"), 0x7F),
    array(0x1F56, "Program software identification", Item("Program {}", _U32, "ro"), 0xFE),
    array(
        0x1F57,
        "Flash status identification",
        Item("Program {}", _U32, "ro", bits={0: "busy"}, values=_FLASH_STATUS),
        0xFE,
    ),
    var(0x1F80, "NMT startup", _U32, "rw", bits=_NMT_STARTUP),
    array(0x1F81, "NMT slave assignment", Item("Node {}", _U32, "rw", bits=_NMT_SLAVE), 0x7F),
    array(
        0x1F82,
        "Request NMT",
        Item("Node {}", _U8, "rw", values=_REQUEST_NMT),
        0x80,
        members={0x80: Item("All nodes", _U8, "wo", values=_REQUEST_NMT)},
    ),
    array(
        0x1F83,
        "Request node guarding",
        Item("Node {}", _U8, "rw", values=_GUARDING),
        0x80,
        members={0x80: Item("All nodes", _U8, "wo", values=_GUARDING)},
    ),
    array(0x1F84, "Device type identification", Item("Node {}", _U32, "rw"), 0x7F),
    array(0x1F85, "Vendor identification", Item("Node {}", _U32, "rw"), 0x7F),
    array(0x1F86, "Product code", Item("Node {}", _U32, "rw"), 0x7F),
    array(0x1F87, "Revision number", Item("Node {}", _U32, "rw"), 0x7F),
    array(0x1F88, "Serial number", Item("Node {}", _U32, "rw"), 0x7F),
    var(0x1F89, "Boot time", _U32, "rw", unit="ms"),
    array(0x1F8A, "Restore configuration", Item("Node {}", _U8, "rw"), 0x7F),
    named_array(
        0x1F90,
        "NMT flying master timing parameters",
        _U16,
        "rw",
        (
            "NMT master timeout",
            "NMT master negotiation time delay",
            "NMT master priority",
            "Priority time slot",
            "CANopen device time slot",
            "Multiple NMT master detect cycle time",
        ),
    ),
    record(0x1F91, "Self-starting nodes timing parameters", {}),
)
