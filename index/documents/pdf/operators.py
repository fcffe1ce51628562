"""The operators of a content stream with their operands (ISO 32000-1, 7.8.2), read quickly.

pypdf reads them byte by byte, which is half of what reading a paper costs. Here one match takes a
whole run of numbers and the operator behind it, or a whole array of strings. Whatever this module
does not know (packed inline images, nested arrays, broken numbers) is left to pypdf; what both
know they read alike (`tests/test_pdf_operations.py`).
"""

from __future__ import annotations

import re
from typing import Any

Operation = tuple[list[Any], bytes]

# Quantifiers are possessive: no stream, however hostile, is read twice.
NUMBER = rb"[+-]?(?:\d++\.?+\d*+|\.\d++)(?![\d+\-.,])"
REGULAR = rb"[^\s()<>\[\]{}/%\x00]"
OPERATOR = rb"[A-Za-z'\"]" + REGULAR + rb"*+"
STRING = rb"\((?:[^()\\]++|\\.|\((?:[^()\\]++|\\.)*+\))*+\)"
HEX = rb"<[0-9A-Fa-f\s]*+>"
TOKEN = re.compile(
    rb"(?:\s++|%[^\r\n]*+)*+(?:"
    rb"(?P<run>(?:" + NUMBER + rb"\s*+)++)(?P<operator>" + OPERATOR + rb")?+"
    rb"|(?P<bare>" + OPERATOR + rb")"
    rb"|(?P<name>/" + REGULAR + rb"*+)"
    rb"|(?P<string>" + STRING + rb")"
    rb"|(?P<hex>" + HEX + rb")"
    rb"|\[(?P<array>(?:[-+.\d\s]++|" + STRING + rb"|" + HEX + rb")*+)\]"
    # The properties of marked content, which paint nothing.
    rb"|(?P<properties><<(?:[^<>()%]++|" + STRING + rb"|" + HEX + rb")*+>>)"
    rb"|(?P<end>\Z))",
    re.DOTALL,
)
ITEM = re.compile(rb"(?P<string>" + STRING + rb")|(?P<hex>" + HEX + rb")|[^\s(<]++", re.DOTALL)
# Such images stand in papers made by way of PostScript: one dot, so that the page is not empty.
IMAGE = re.compile(rb"\s(?P<settings>[^<>()\[\]{}%]*?)\sID\s")
IMAGE_END = re.compile(rb"\s?+EI(?!" + REGULAR + rb")")
IMAGE_SIZE = (("/W", "/Width"), ("/H", "/Height"))
SAMPLES = {"/G": 1, "/DeviceGray": 1, "/RGB": 3, "/DeviceRGB": 3, "/CMYK": 4, "/DeviceCMYK": 4}
ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|[\r\n][\r\n]?+|(.))", re.DOTALL)
ESCAPED = dict(zip(b"nrtbf()/\\ %<>[]#_&$", b"\n\r\t\b\f()/\\ %<>[]#_&$", strict=True))


def read_operations(data: bytes) -> list[Operation] | None:
    """All operators with the operands before them: numbers as floats, names as str with their
    slash, strings as bytes, arrays as lists; None in the place of properties. Inline images are
    passed over. None where the stream holds anything else, or ends in the middle."""
    operations: list[Operation] = []
    operands: list[Any] = []
    place = 0
    try:
        while (match := TOKEN.match(data, place)) is not None:
            place = match.end()
            kind = match.lastgroup
            if kind == "operator":
                operands.extend(map(float, match["run"].split()))
                operations.append((operands, match["operator"]))
                operands = []
            elif kind == "bare":
                if match["bare"] == b"BI":
                    place = _after_image(data, place)
                    continue
                operations.append((operands, match["bare"]))
                operands = []
            elif kind == "run":
                operands.extend(map(float, match["run"].split()))
            elif kind == "name":
                operands.append(_name(match["name"]))
            elif kind == "array":
                operands.append([_item(item) for item in ITEM.finditer(match["array"])])
            elif kind == "end":
                return operations
            else:
                operands.append(_item(match))
    except ValueError:
        return None
    return None


def _item(match: re.Match[bytes]) -> float | bytes | None:
    kind = match.lastgroup
    if kind == "string":
        inside = match["string"][1:-1]
        return ESCAPE.sub(_unescaped, inside) if b"\\" in inside else inside
    if kind == "hex":
        digits = b"".join(match["hex"][1:-1].split())
        return bytes.fromhex((digits + b"0" * (len(digits) % 2)).decode())
    return None if kind == "properties" else float(match[0])


def _after_image(data: bytes, place: int) -> int:
    """Where the inline image ends whose `BI` ends at `place`: its size says how long the samples
    are. Raises ValueError where they are packed, or are not as long."""
    head = IMAGE.match(data, place)
    words = head["settings"].decode("ascii").split() if head else []
    settings: dict[str, str] = dict(zip(words[::2], words[1::2], strict=True))
    if head is None or not {"/F", "/Filter"}.isdisjoint(settings):
        raise ValueError("no plain inline image")
    mask = settings.get("/IM", settings.get("/ImageMask")) == "true"
    space = settings.get("/CS", settings.get("/ColorSpace", "/G" if mask else ""))
    depth = int(settings.get("/BPC", settings.get("/BitsPerComponent", "1" if mask else "8")))
    width, height = (int(settings.get(a, settings.get(b, "0"))) for a, b in IMAGE_SIZE)
    row = (width * depth * SAMPLES.get(space, 0) + 7) // 8
    end = IMAGE_END.match(data, head.end() + row * height) if row * height > 0 else None
    if end is None:
        raise ValueError("no plain inline image")
    return end.end()


def _name(written: bytes) -> str:
    """A name in ASCII. Raises ValueError for one with escapes or other bytes."""
    if b"#" in written:
        raise ValueError("an escaped name")
    return written.decode("ascii")


def _unescaped(match: re.Match[bytes]) -> bytes:
    """As pypdf reads it: an octal number that is no byte, and an escape that is none, stay."""
    octal, sign = match[1], match[2]
    if octal is not None:
        value = int(octal, 8)
        return bytes([value]) if value < 256 else match[0]
    if sign is None:  # a line end that is not part of the string
        return b""
    code = ESCAPED.get(sign[0])
    return match[0] if code is None else bytes([code])
