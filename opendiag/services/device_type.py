"""What the device type (1000h) says: the number of the device profile, and what kind of device of that profile."""

from __future__ import annotations

PROFILES = {
    401: "I/O device",
    402: "drive",
    404: "measuring device or controller",
    405: "programmable controller",
    406: "encoder",
    408: "hydraulic drive or valve",
    410: "inclinometer",
    413: "truck gateway",
    414: "weaving machine",
    415: "road construction sensor",
    416: "building door",
    417: "lift",
    418: "battery",
    419: "battery charger",
    420: "extruder downstream device",
    422: "municipal vehicle",
    425: "medical device",
    444: "crane spreader",
    447: "car add-on device",
    450: "pump",
    453: "power supply",
    454: "energy management",
    461: "weighing device",
}
#: Bits 16..23 of a drive's device type, and 16..19 of an I/O device's.
_DRIVES = {1: "frequency converter", 2: "servo drive", 4: "stepper motor"}
_INPUTS_AND_OUTPUTS = ("digital inputs", "digital outputs", "analog inputs", "analog outputs")


def device_type_text(value: int) -> str:
    """As in "402 servo drive", "401 I/O device: digital inputs, analog outputs" or "no standard profile"."""
    profile, more = value & 0xFFFF, value >> 16
    if not profile:
        return "no standard profile"
    name = PROFILES.get(profile, "")
    if profile == 402:
        name = _DRIVES.get(more & 0xFF, name)
    elif profile == 401 and more & 0xF:
        name += ": " + ", ".join(text for bit, text in enumerate(_INPUTS_AND_OUTPUTS) if more >> bit & 1)
    return f"{profile} {name}".rstrip()
