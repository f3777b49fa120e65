"""Every real device file is read, and nothing that it says is lost.

What a file says is counted a second time from its text (`plain_eds`, `plain_xdd`), key by key. Each key must be found
in the dictionary, with the same meaning; where it is not, a reason of `REASONS` must say why that is right.
"""

import re
from collections import Counter
from typing import NamedTuple

import pytest
from corpus import plain_eds, plain_xdd

from opendiag.dictionary import load
from opendiag.dictionary.datatypes import DataType, encode_value
from opendiag.dictionary.model import NodeIdPlus, ObjectType

pytestmark = pytest.mark.corpus

SUFFIXES = {".eds": 123, ".dcf": 66, ".xdd": 9, ".xdc": 1, ".xpd": 4}
TEXTS = ("parametername", "denotation", "unit", "altunit")
VALUES = {"defaultvalue": "default", "parametervalue": "value", "lowlimit": "low", "highlimit": "high"}
NUMBERS = {"datatype": "data_type", "objflags": "flags"}
FACTORS = {"factor": "factor", "altfactor": "alt_factor"}
ATTRIBUTES = {"parametername": "name", "denotation": "denotation", "unit": "unit", "altunit": "alt_unit"}
#: What a section of an array or record says of itself; all its other keys are only kept.
HEAD = ("parametername", "objecttype", "subnumber", "datatype", "compactsubobj", "objflags", "denotation")
LISTS = ("MANDATORYOBJECTS", "OPTIONALOBJECTS", "MANUFACTUREROBJECTS")
FILE = (
    *("FileName", "FileVersion", "FileRevision", "EDSVersion", "Description", "CreationTime", "CreationDate"),
    *("CreatedBy", "ModificationTime", "ModificationDate", "ModifiedBy", "LastEDS"),
)
DEVICE = {
    "vendorname": "vendor_name",
    "productname": "product_name",
    "ordercode": "order_code",
    "vendornumber": "vendor_id",
    "productnumber": "product_code",
    "revisionnumber": "revision",
    "granularity": "granularity",
    "dynamicchannelssupported": "dynamic_channels",
    "nrofrxpdo": "rpdo_count",
    "nroftxpdo": "tpdo_count",
    "simplebootupmaster": "boot_up_master",
    "simplebootupslave": "boot_up_slave",
    "groupmessaging": "group_messaging",
    "lss_supported": "lss_supported",
    "compactpdo": "compact_pdo",
}
MODULE = {
    "productname": "product_name",
    "productversion": "version",
    "productrevision": "revision",
    "ordercode": "order_code",
}
PLACE = {
    "nodeid": "node_id",
    "baudrate": "bit_rate",
    "nodename": "node_name",
    "netnumber": "net_number",
    "networkname": "network_name",
    "canopenmanager": "canopen_manager",
    "lss_serialnumber": "lss_serial_number",
}


class Case(NamedTuple):
    """``key=text`` in a section of a file, and what came of it."""

    file: str
    section: str
    key: str
    text: str
    data_type: int
    got: object


def kept_as_written(case, extra):
    return extra.get(case.key) == case.text


def is_comment(case):
    body, semicolon, _ = case.text.partition(";")
    _, wanted = plain_eds.value(body.strip(), case.data_type or DataType.UNSIGNED32)
    return bool(semicolon) and wanted == case.got


#: Where the dictionary is right not to say what the text says: (reason, test of the case).
REASONS = {
    "text behind ; is a comment": is_comment,
    "NULL or 0 says that there are no bytes": lambda case: (
        case.data_type in (DataType.DOMAIN, DataType.OCTET_STRING) and case.text in ("NULL", "0") and case.got is None
    ),
    "text where bytes are wanted: its letters are the bytes": lambda case: (
        case.data_type in (DataType.DOMAIN, DataType.OCTET_STRING) and case.got == case.text.encode("utf-8")
    ),
    "a number with the suffix of a C compiler": lambda case: (
        re.fullmatch(r"0x[0-9A-F]+LL|[0-9.]+f", case.text) is not None
        and case.got in (float(case.text.rstrip("fL")) if "." in case.text else int(case.text.rstrip("L"), 16),)
    ),
    "0x and the bits of a REAL": lambda case: (
        case.data_type in (DataType.REAL32, DataType.REAL64)
        and plain_eds.number(case.text) is not None
        and encode_value(case.data_type, case.got)
        == int(case.text, 16).to_bytes(4 if case.data_type == DataType.REAL32 else 8, "little")
    ),
    "a time as days and milliseconds": lambda case: (
        re.fullmatch(r"\d+ \d+", case.text) is not None and isinstance(case.got, str)
    ),
    "a limit that bounds nothing": lambda case: (
        case.key.lower() in ("lowlimit", "highlimit") and case.got == int(case.text, 0)
    ),
    "subindex 255 is not an entry": lambda case: (case.key, case.text, case.got) == ("CompactSubObj", "255", 254),
}
#: How often each is needed in the 189 files.
NEEDED = {
    "text behind ; is a comment": 88,
    "a limit that bounds nothing": 69,
    "NULL or 0 says that there are no bytes": 61,
    "a number with the suffix of a C compiler": 16,
    "0x and the bits of a REAL": 8,
    "a time as days and milliseconds": 4,
    "subindex 255 is not an entry": 2,
    "text where bytes are wanted: its letters are the bytes": 1,
}
XML_REASONS = {
    "a number that the type cannot hold: a finding has its text": lambda case: (
        case.data_type == DataType.BOOLEAN and case.text not in ("0", "1") and case.got is None
    ),
}
XML_NEEDED = {"a number that the type cannot hold: a finding has its text": 6}


def device_files(corpus, *suffixes):
    found = sorted(path for path in (corpus / "dictionaries").iterdir() if path.suffix.lower() in suffixes)
    assert len(found) >= sum(SUFFIXES[suffix] for suffix in suffixes)
    return found


# --- EDS and DCF -----------------------------------------------------------------------------------------------------


class Account:
    """Compares one file with the dictionary made of it; ``said`` counts what was found, ``cases`` is all the rest."""

    def __init__(self, path):
        self.path = path
        self.dictionary = load(path)
        self.lines_twice = sum(f.code == "eds-duplicate-key" for f in self.dictionary.findings)
        self.said = Counter()
        self.cases = []
        self.is_dcf = self.dictionary.document.kind == "dcf"
        self.sections = {}
        for name, pairs in plain_eds.sections(plain_eds.plain_text(path)):
            entries = {}
            for key, text in pairs:
                if key.lower() in entries:
                    self.lines_twice -= 1
                entries.setdefault(key.lower(), (key, text))
            assert name.upper() not in self.sections, f"{path.name}: [{name}] stands twice"
            self.sections[name.upper()] = (name, entries)
        assert not self.lines_twice

    def compare(self, section, key, text, wanted, got, extra=None, data_type=0):
        """Empty values say nothing."""
        if not text:
            return
        self.said[key.lower()] += 1
        if isinstance(wanted, str) and isinstance(got, str):
            wanted, got = (plain_eds.only_ascii(each).replace("?", "") for each in (wanted, got))
        if wanted == got and wanted is not None:
            return
        case = Case(self.path.name, section, key, text, data_type, got)
        if extra is None or not kept_as_written(case, extra):
            self.cases.append(case)

    def run(self):
        self.objects()
        for upper, (name, entries) in self.sections.items():
            if plain_eds.place(name) is None:
                self.other_section(upper, name, entries)
        return self

    # --- objects ---

    def objects(self):
        told = {}
        for name, entries in self.sections.values():
            if (where := plain_eds.place(name)) is not None:
                assert where not in told, f"[{name}] stands twice"
                told[where] = (name, entries)
        indices = {index for index, _, _ in told}
        made = set(self.dictionary.objects) - indices
        assert not made or self.dictionary.device.compact_pdo, f"nobody said {made}"
        assert indices <= set(self.dictionary.objects)
        for index in sorted(indices):
            self.one_object(index, told)

    def one_object(self, index, told):
        found = self.dictionary.objects[index]
        subs = {sub for at, sub, _ in told if at == index and sub is not None}
        name, entries = told[index, None, None]
        compact = plain_eds.number(entries.get("compactsubobj", ("", "0"))[1])
        if compact:
            self.compact_array(found, told, name, entries, min(compact, 254), subs)
            subs |= set(range(min(compact, 254) + 1))
        elif not subs and found.object_type in (ObjectType.VAR, ObjectType.DOMAIN) and index >= 0x1000:
            subs = {0}
            self.single(name, entries, found)
        else:
            self.head(name, entries, found)
        assert set(found.members) == subs, f"{self.path.name} [{name}]"
        for sub in subs:
            if (index, sub, None) in told:
                self.variable(*told[index, sub, None], found.members[sub])

    def head(self, name, entries, found):
        for lower, (key, text) in entries.items():
            if lower == "datatype" and not found.members and found.index < 0x1000:
                self.compare(name, key, text, None, None, found.extra)
            elif lower in HEAD:
                self.plain_key(name, lower, key, text, found)
            else:
                self.compare(name, key, text, None, None, found.extra)

    def plain_key(self, name, lower, key, text, found):
        """Keys that objects and members have alike."""
        if lower in TEXTS:
            self.compare(name, key, text, text, getattr(found, ATTRIBUTES[lower]), found.extra)
        elif lower in NUMBERS:
            self.compare(name, key, text, plain_eds.number(text), getattr(found, NUMBERS[lower]), found.extra)
        elif lower == "objecttype":
            got = getattr(found, "object_type", ObjectType.VAR)
            self.compare(name, key, text, plain_eds.number(text), got, found.extra)
        elif lower == "subnumber":
            said = any(f.code == "eds-sub-number" and f"[{name}]" in f.sentence for f in self.dictionary.findings)
            wanted = plain_eds.number(text)
            got = len(getattr(found, "members", ())) - bool(getattr(found, "compact", 0))
            self.compare(name, key, text, wanted, wanted if said else got)
        elif lower == "compactsubobj":
            self.compare(name, key, text, plain_eds.number(text), getattr(found, "compact", 0))

    def single(self, name, entries, found):
        self.variable(name, entries, found.members[0], ["objecttype"])
        if "objecttype" in entries:
            self.plain_key(name, "objecttype", *entries["objecttype"], found)
        assert found.name == found.members[0].name

    def variable(self, name, entries, found, without=()):
        for lower, (key, text) in entries.items():
            if lower in without:
                continue
            if lower in HEAD or lower in TEXTS:
                self.plain_key(name, lower, key, text, found)
            elif lower in VALUES:
                self.value(name, key, text, found, getattr(found, VALUES[lower]))
            elif lower in FACTORS:
                fraction = re.fullmatch(r"([0-9.eE+-]+)(?:/([0-9.eE+-]+))?", text)
                wanted = fraction and float(fraction[1]) / float(fraction[2] or 1)
                self.compare(name, key, text, wanted, getattr(found, FACTORS[lower]), found.extra)
            elif lower == "accesstype":
                wanted = text.lower() if text.lower() in ("ro", "wo", "rw", "rwr", "rww", "const") else None
                self.compare(name, key, text, wanted, found.access, found.extra)
            elif lower == "pdomapping":
                self.compare(name, key, text, bool(plain_eds.number(text)), found.pdo_mappable, found.extra)
            else:
                self.compare(name, key, text, None, None, found.extra)

    def value(self, name, key, text, found, got):
        kind, wanted = plain_eds.value(text, found.data_type)
        if kind == "node-ID plus":
            wanted = NodeIdPlus(wanted)
        self.compare(name, key, text, None if kind == "odd" else wanted, got, found.extra, found.data_type)

    def compact_array(self, found, told, name, entries, count, own_sections):
        self.head(name, {lower: entries[lower] for lower in HEAD if lower in entries}, found)
        special = {}
        for kind in ("NAME", "VALUE", "DENOTATION"):
            own, lines = told.get((found.index, None, kind), ("", {}))
            special[kind] = {int(key): (own, text) for key, text in lines.values() if key.isdigit() and text}
            assert all(1 <= sub <= count for sub in special[kind])
        assert found.members[0].default == count
        configured = "value" if self.is_dcf else "default"
        for sub in range(1, count + 1):
            member = found.members[sub]
            if sub not in own_sections:
                own, text = special["NAME"].get(sub, (name, f"{found.name}{sub}"))
                self.compare(own, str(sub), text, text, member.name)
            own, text = special["DENOTATION"].get(sub, (name, found.denotation))
            self.compare(own, str(sub), text, text, member.denotation)
            without = ["parametername", "denotation", "objecttype", "subnumber", "compactsubobj"]
            if sub in special["VALUE"]:
                without.append({"default": "defaultvalue", "value": "parametervalue"}[configured])
                own, text = special["VALUE"][sub]
                self.value(own, str(sub), text, member, getattr(member, configured))
            self.variable(name, entries, member, without)

    # --- everything else ---

    def other_section(self, upper, name, entries):
        dictionary = self.dictionary
        if upper in LISTS:
            for key, text in entries.values():
                if key.isdigit() and text:
                    listed = plain_eds.number(text)
                    only = any(
                        f.code == "eds-listed-only" and f"{listed:04X}h" in f.sentence for f in dictionary.findings
                    )
                    self.compare(name, key, text, True, only != (listed in dictionary.objects))
        elif upper == "FILEINFO":
            for key, text in entries.values():
                field = {known.lower(): known for known in FILE}.get(key.lower())
                attribute = "eds_version" if field == "EDSVersion" else "last_eds" if field == "LastEDS" else None
                attribute = attribute or re.sub(r"(?<!^)([A-Z])", r"_\1", field or "").lower()
                got = getattr(dictionary.file, attribute) if field else dictionary.file.extra.get(key)
                self.compare(name, key, text, text, got)
        elif upper == "DEVICEINFO":
            for lower, (key, text) in entries.items():
                if lower.startswith("baudrate_"):
                    wanted, got = bool(plain_eds.number(text)), int(lower[9:]) in dictionary.device.bit_rates
                    self.compare(name, key, text, wanted, got, dictionary.device.extra)
                else:
                    self.field(name, key, text, dictionary.device, DEVICE.get(lower))
        elif upper in ("DEVICECOMISSIONING", "DEVICECOMMISSIONING"):
            for lower, (key, text) in entries.items():
                self.field(name, key, text, dictionary.commissioning, PLACE.get(lower))
        elif upper == "COMMENTS":
            told = [(int(lower[4:]), text) for lower, (_, text) in entries.items() if re.fullmatch(r"line\d+", lower)]
            assert len(told) == len(dictionary.comments)
            for got, (number, text) in zip(dictionary.comments, sorted(told), strict=True):
                self.compare(name, f"Line{number}", text, text, got)
        elif upper == "DUMMYUSAGE":
            for lower, (key, text) in entries.items():
                wanted = bool(plain_eds.number(text))
                self.compare(name, key, text, wanted, int(lower.removeprefix("dummy"), 16) in dictionary.dummies)
        elif upper == "CONNECTEDMODULES":
            told = tuple(int(text) for key, text in entries.values() if key.isdigit())
            self.compare(name, "1...", str(told), told, dictionary.connected)
        elif module := re.fullmatch(r"M(\d+)MODULEINFO", upper):
            for lower, (key, text) in entries.items():
                attribute = MODULE.get(lower)
                self.field(name, key, text, dictionary.modules[int(module[1])], attribute)
        elif upper == "SUPPORTEDMODULES" or re.fullmatch(r"M\d+(FIXEDOBJECTS|SUBEXTENDS)", upper):
            pass  # lists of sections
        else:
            for key, text in entries.values():
                self.compare(name, key, text, text, dictionary.sections[name].get(key))

    def field(self, section, key, text, found, attribute):
        got = getattr(found, attribute) if attribute else found.extra.get(key)
        wanted = text if got is None or isinstance(got, str) else plain_eds.number(text)
        if isinstance(got, bool):
            wanted = bool(wanted)
        self.compare(section, key, text, wanted, got, found.extra)


def reasons_of(case, reasons=REASONS):
    found = []
    for reason, test in reasons.items():
        try:
            if test(case):
                found.append(reason)
        except ValueError:
            pass
    return found


def test_nothing_in_an_eds_or_dcf_is_lost(corpus):
    """Every key of every section, counted from the text."""
    accounts = [Account(path).run() for path in device_files(corpus, ".eds", ".dcf")]
    explained, unexplained = Counter(), []
    for case in (case for account in accounts for case in account.cases):
        reasons = reasons_of(case)
        explained.update(reasons)
        if len(reasons) != 1:
            unexplained.append((case, reasons))
    said = sum((account.said for account in accounts), Counter())
    assert not unexplained, f"{len(unexplained)} of {sum(said.values())}: {unexplained[:8]}"
    assert dict(explained) == NEEDED
    assert sum(said.values()) > 200_000


def test_every_value_is_of_its_type(corpus):
    """What a dictionary gives as default or configured value can be sent to the device."""
    for path in device_files(corpus, ".eds", ".dcf", ".xdd", ".xdc", ".xpd"):
        for variable in load(path).variables():
            if variable.type_name.startswith("type "):
                continue
            for value in (variable.default, variable.value):
                if value is not None and not isinstance(value, str):
                    resolved = value.resolve(1) if isinstance(value, NodeIdPlus) else value
                    assert encode_value(variable.data_type, resolved) is not None


# --- XDD, XDC and XPD ------------------------------------------------------------------------------------------------


class XmlAccount:
    """As `Account`, for the objects of an XML file."""

    def __init__(self, path):
        self.path = path
        self.dictionary = load(path)
        self.said = Counter()
        self.cases = []

    def compare(self, where, key, text, wanted, got, data_type=0):
        if text in ("", None):
            return
        self.said[key] += 1
        if wanted != got:
            self.cases.append(Case(self.path.name, f"{where[0]:04X}:{where[1]}", key, str(text), data_type, got))

    def run(self):
        told = plain_xdd.objects(self.path)
        assert {index for index, _ in told} == set(self.dictionary.objects)
        for (index, subindex), said in told.items():
            found = self.dictionary.objects[index]
            if subindex is None:
                self.one_object(index, said, found)
            else:
                self.variable((index, subindex), said, found.members[subindex])
        return self

    def one_object(self, index, said, found):
        where = index, None
        self.compare(where, "name", said.name, said.name, found.name)
        self.compare(where, "objectType", said.object_type, said.object_type, found.object_type)
        if said.members:
            self.compare(where, "members", str(said.members), sorted(said.members), sorted(found.members))
            if said.data_type != "BITSTRING":
                self.compare(where, "dataType", said.data_type, said.data_type, found.data_type)
            for key in ("default", "value", "low", "high"):
                self.compare(where, key, getattr(said, key), None, "not kept for an object with members")
        elif found.members:
            self.variable((index, 0), said, found.members[0])

    def variable(self, where, said, found):
        self.compare(where, "name", said.name, said.name, found.name)
        if said.data_type == "BITSTRING":
            told = found.data_type in (DataType.OCTET_STRING, DataType.DOMAIN)
            self.compare(where, "dataType", said.data_type, True, told)
        else:
            self.compare(where, "dataType", said.data_type, said.data_type, found.data_type)
        self.compare(where, "access", said.access, said.access, found.access)
        self.compare(where, "PDOmapping", str(said.mappable), said.mappable, found.pdo_mappable)
        for key in ("default", "value", "low", "high"):
            text = getattr(said, key)
            kind, wanted = plain_eds.value(text.strip(), found.data_type)
            wanted = NodeIdPlus(wanted) if kind == "node-ID plus" else wanted
            got = getattr(found, key)
            self.compare(where, key, text, got if wanted == got else object(), got, found.data_type)


def test_nothing_in_an_xdd_is_lost(corpus):
    accounts = [XmlAccount(path).run() for path in device_files(corpus, ".xdd", ".xdc", ".xpd")]
    explained, unexplained = Counter(), []
    for case in (case for account in accounts for case in account.cases):
        reasons = reasons_of(case, XML_REASONS)
        explained.update(reasons)
        if len(reasons) != 1:
            unexplained.append((case, reasons))
    said = sum((account.said for account in accounts), Counter())
    assert not unexplained, f"{len(unexplained)} of {sum(said.values())}: {unexplained[:8]}"
    assert dict(explained) == XML_NEEDED
    assert sum(said.values()) > 10_000
