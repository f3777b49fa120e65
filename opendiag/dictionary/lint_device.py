"""Checks of what a file says about the device as a whole, and about its place in a network."""

from __future__ import annotations

from opendiag.dictionary.lint_report import Report
from opendiag.dictionary.model import DeviceInfo
from opendiag.dictionary.pdos import number_of, pdos_of
from opendiag.findings import Severity

_MAX_GRANULARITY = 64
#: Field of the model, key of the file, member of 1018h.
_IDENTITY = (
    ("vendor_id", "VendorNumber", 1),
    ("product_code", "ProductNumber", 2),
    ("revision", "RevisionNumber", 3),
)


def check_device(report: Report) -> None:
    device = report.dictionary.device
    _check_identity(report, device)
    _check_pdo_count(report, device)
    if device.granularity is not None and device.granularity > _MAX_GRANULARITY:
        sentence = f"a granularity of {device.granularity} bits, and a PDO has {_MAX_GRANULARITY}"
        report.add_device("lint-granularity", Severity.WARNING, sentence, "Granularity")
    if not device.bit_rates and device != DeviceInfo():
        report.add_device("lint-no-bit-rate", Severity.INFO, "no bit rate is marked as supported", "BaudRate_125")
    _check_commissioning(report, device)


def _check_identity(report: Report, device: DeviceInfo) -> None:
    """A library of files finds this one by [DeviceInfo], a device reports 1018h."""
    for name, key, subindex in _IDENTITY:
        said: int | None = getattr(device, name)
        held = number_of(report.dictionary.get(0x1018, subindex), report.node_id)
        if said is not None and held is not None and said != held and held:
            sentence = f"{key} is 0x{said:X} and 1018:0{subindex} is 0x{held:X}"
            if name == "revision":
                report.add_device("lint-identity", Severity.INFO, sentence, key)
                continue
            advice = "A device of this type will not be recognised."
            report.add_device("lint-identity", Severity.WARNING, sentence, key, advice)
        elif said is None and name != "revision" and device != DeviceInfo():
            advice = "The file cannot be found by what a device reports."
            report.add_device("lint-no-identity", Severity.INFO, f"no {key}", key, advice)


def _check_pdo_count(report: Report, device: DeviceInfo) -> None:
    found = list(pdos_of(report.dictionary, report.node_id))
    for transmit, said, key in ((False, device.rpdo_count, "NrOfRXPDO"), (True, device.tpdo_count, "NrOfTXPDO")):
        there = sum(pdo.transmit is transmit and pdo.communication in report.dictionary.objects for pdo in found)
        if said is not None and said != there:
            sentence = f"{key} says {said}, and the file has communication parameters of {there}"
            # Some count what the device can have at most.
            severity = Severity.WARNING if said < there else Severity.INFO
            report.add_device("lint-pdo-count", severity, sentence, key)


def _check_commissioning(report: Report, device: DeviceInfo) -> None:
    dictionary = report.dictionary
    if dictionary.document is None or dictionary.document.kind != "dcf":
        return
    if dictionary.node_id is None:
        advice = "Say which node it is for with NodeID."
        report.add_commissioning("lint-no-node-id", Severity.WARNING, "a DCF without a node-ID", "NodeID", advice)
    elif report.node_id != dictionary.node_id:
        sentence = f"the file is for node {dictionary.node_id}, and was checked for node {report.node_id}"
        report.add_commissioning("lint-other-node-id", Severity.INFO, sentence, "NodeID")
    rate = dictionary.bit_rate
    if rate is None:
        report.add_commissioning("lint-no-bit-rate", Severity.INFO, "a DCF without a bit rate", "Baudrate")
    elif device.bit_rates and rate not in device.bit_rates:
        known = ", ".join(map(str, device.bit_rates))
        sentence = f"the bit rate is {rate} kbit/s, and the device supports {known}"
        report.add_commissioning("lint-bit-rate", Severity.WARNING, sentence, "Baudrate")
