"""What an EDS or DCF says, read a second time: from the text alone, in as few lines as possible, with no code of ours.

Good enough for the real files it is used on; it complains of nothing.
"""

import re

_HEADER = re.compile(r"\s*\[([^\]\r\n]*)\]")
_OBJECT = re.compile(r"([0-9A-F]{1,4})(?:SUB([0-9A-F]{1,2})|(NAME|VALUE|DENOTATION|OBJECTLINKS))?", re.IGNORECASE)
_SIGNED = {0x02: 8, 0x03: 16, 0x10: 24, 0x04: 32, 0x12: 40, 0x13: 48, 0x14: 56, 0x15: 64}
_UNSIGNED = {0x01: 1, 0x05: 8, 0x06: 16, 0x16: 24, 0x07: 32, 0x18: 40, 0x19: 48, 0x1A: 56, 0x1B: 64}
_TEXTS = (0x09, 0x0B)
_BYTES = (0x0A, 0x0F)
_REALS = (0x08, 0x11)


def plain_text(path):
    """Letters beyond ASCII may come out wrong; `only_ascii` takes them away."""
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def only_ascii(text):
    return "".join(letter if letter.isascii() else "?" for letter in text)


def sections(text):
    """[(name, [(key, value), ...]), ...] in the order of the text."""
    found = []
    for line in re.split(r"\r\n|\r|\n", text):
        if header := _HEADER.match(line):
            found.append((header[1].strip(), []))
        elif line.strip() and line.strip()[0] not in ";#" and "=" in line:
            key, _, value = line.partition("=")
            found[-1][1].append((key.strip(), value.strip()))
    return found


def place(name):
    """(index, subindex or None, "NAME" or another list of a compact array or None); None for other sections."""
    found = _OBJECT.fullmatch(name.replace(" ", ""))
    if not found:
        return None
    return int(found[1], 16), None if found[2] is None else int(found[2], 16), found[3] and found[3].upper()


def number(text):
    """None for what is no number as C writes it."""
    if re.fullmatch(r"[+-]?0[xX][0-9a-fA-F]+", text):
        return int(text, 16)
    if re.fullmatch(r"[+-]?[1-9][0-9]*|[+-]?0", text):
        return int(text)
    return int(text, 8) if re.fullmatch(r"0[0-7]+", text) else None


def value(text, data_type):
    """("is", value), ("node-ID plus", offset), or ("odd", text) for what has no plain meaning in this type."""
    if data_type in _TEXTS:
        return "is", text
    if data_type in _BYTES:
        digits = text[2:] if text[:2].lower() == "0x" else text
        return ("is", bytes.fromhex(digits)) if re.fullmatch(r"([0-9a-fA-F]{2}\s*)+", digits) else ("odd", text)
    if data_type in _REALS:
        return ("is", float(text)) if re.fullmatch(r"-?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?", text) else ("odd", text)
    if re.search(r"\$NODEID", text, re.IGNORECASE):
        rest = re.sub(r"\$NODEID|\s|\+", "", text, flags=re.IGNORECASE)
        return ("odd", text) if number(rest or "0") is None else ("node-ID plus", number(rest or "0"))
    found = number(text)
    bits, signed = _SIGNED.get(data_type), data_type in _SIGNED
    bits = bits or _UNSIGNED.get(data_type)
    if found is None:
        return "odd", text
    if signed and text[:1] not in "+-" and text[:2].lower() == "0x" and found >> bits - 1 == 1:
        found -= 1 << bits
    low, high = (0, 0) if bits is None else (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return ("odd", text) if bits is not None and not low <= found <= high else ("is", found)
