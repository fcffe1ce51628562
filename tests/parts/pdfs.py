"""PDFs made by hand, so that a test says in points and colours what stands on a page.

Everything is set in Courier: each character is 0.6 em wide, so widths need no tables.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence

from index.documents import Document
from index.documents.extract import extract

LOREM = (
    "The river carries small stones down to the sea and leaves them there in the sand of the long "
    "beach where children look for them after every storm that comes in from the west and they "
    "take the smooth ones home to their windows where nobody will ever look at them again."
)
OTHER = (
    "Old maps of this coast show a harbour that has since been lost to the dunes and the people "
    "who built it went inland with their boats on carts because they hoped that the water would "
    "follow them some day but it never did and the boats became the roofs of their new houses."
)
WIDTH, HEIGHT = 612, 792
EM = 0.6
FONTS = {
    "F1": b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>",
    "F2": b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier-Bold /Encoding /WinAnsiEncoding >>",
    # Codes 1 to 3 are ligatures, as in the fonts of TeX.
    "F3": b"<< /Type /Font /Subtype /Type1 /BaseFont /ABCDEF+NimbusMonL-Regu /FirstChar 0 "
    b"/LastChar 255 /Widths [" + b"600 " * 256 + b"] /Encoding << /Type /Encoding "
    b"/BaseEncoding /WinAnsiEncoding /Differences [1 /fi /fl /ffi] >> >>",
    "F4": b"<< /Type /Font /Subtype /Type1 /BaseFont /ABCDEF+CMMI10 /FirstChar 0 /LastChar 255 "
    b"/Widths [" + b"600 " * 256 + b"] /Encoding /WinAnsiEncoding >>",
}

NOTHING = (
    b"<< /Type /XObject /Subtype /Form /BBox [0 0 612 792] /Group << /S /Transparency /CS "
    b"/DeviceGray >> /Length 1 >>\nstream\n \nendstream"
)


def shown(string: str) -> bytes:
    """A PDF string literal."""
    data = string.encode("cp1252")
    for char in (b"\\", b"(", b")"):
        data = data.replace(char, b"\\" + char)
    return b"(" + data + b")"


def text(
    string: str, x: float, y: float, *, size: float = 10, font: str = "F1", setup: str = ""
) -> bytes:
    """Operators that show one string; `setup` goes before, in its own graphics state."""
    return (
        f"q {setup} BT /{font} {size} Tf 1 0 0 1 {x} {y} Tm ".encode()
        + shown(string)
        + b" Tj ET Q\n"
    )


def turned(string: str, x: float, y: float, *, size: float = 10) -> bytes:
    """A string running up the page, as the stamp of arXiv does."""
    return f"BT /F1 {size} Tf 0 1 -1 0 {x} {y} Tm ".encode() + shown(string) + b" Tj ET\n"


def lines(
    strings: Sequence[str],
    x: float,
    y: float,
    *,
    width: float = 432,
    size: float = 10,
    leading: float = 12,
    font: str = "F1",
    indent: float = 0,
) -> bytes:
    """A paragraph: all lines but the last stretched to `width`, the first one indented."""
    found = b""
    for number, string in enumerate(strings):
        left = x + (indent if number == 0 else 0)
        room = width - (left - x) - len(string) * EM * size
        gaps = string.count(" ")
        stretch = room / gaps if gaps and number + 1 < len(strings) else 0
        found += text(
            string, left, y - number * leading, size=size, font=font, setup=f"{stretch:.3f} Tw"
        )
    return found


def wrapped(words: str, width: float = 432, size: float = 10) -> list[str]:
    """The words in lines that fit."""
    room = int(width / (EM * size))
    found = [""]
    for word in words.split():
        if len(found[-1]) + len(word) + 1 > room:
            found.append("")
        found[-1] = f"{found[-1]} {word}".strip()
    return found


def body(words: str, y: float, *, x: float = 90, width: float = 432, indent: float = 0) -> bytes:
    """A paragraph of words, its first baseline at `y`."""
    return lines(wrapped(words, width - indent), x, y, width=width, indent=indent)


def upright(turn: int, content: bytes) -> bytes:
    """Content that is upright on a page turned by so many degrees."""
    matrix = {
        0: b"1 0 0 1 0 0",
        90: b"0 1 -1 0 612 0",
        180: b"-1 0 0 -1 612 792",
        270: b"0 -1 1 0 0 792",
    }
    return b"q %b cm\n%bQ\n" % (matrix[turn], content)


def read(data: bytes) -> Document:
    """The document of a PDF."""
    return extract("arxiv:0000.00000", data, "application/pdf")


def pdf(
    pages: Iterable[bytes],
    *,
    title: str = "",
    box: tuple[float, float, float, float] = (0, 0, WIDTH, HEIGHT),
    forms: Sequence[bytes] = (),
    resources: bytes = b"",
    catalog: bytes = b"",
    readings: Mapping[str, str] | None = None,
    extra: bytes = b"",
    compressed: bool = False,
) -> bytes:
    """A whole file. Form n is painted with `/Xn Do`; font F5 is Courier, whose letters read as
    `readings` says; `extra` goes into each page's dictionary, `resources` into its resources; for
    `layer` and `empty` in `catalog` and `resources` a layer and a form with nothing in it stand."""
    objects: list[bytes] = [b"", b""]  # the catalog and the page tree come first

    def add(body: bytes) -> int:
        objects.append(body)
        return len(objects)

    def stream(data: bytes, entries: bytes = b"") -> bytes:
        if compressed:
            data = zlib.compress(data)
            entries += b" /Filter /FlateDecode"
        return b"<< /Length %d %b >>\nstream\n%b\nendstream" % (len(data), entries, data)

    own = dict(FONTS)
    if readings:
        cmap = b"".join(
            b"1 beginbfchar <%02X> <%b> endbfchar\n"
            % (ord(code), reading.encode("utf-16-be").hex().encode())
            for code, reading in readings.items()
        )
        mapping = add(stream(b"1 begincodespacerange <00> <FF> endcodespacerange\n" + cmap))
        own["F5"] = FONTS["F1"].replace(b">>", b"/ToUnicode %d 0 R >>" % mapping)
    fonts = b" ".join(b"/%b %d 0 R" % (name.encode(), add(body)) for name, body in own.items())
    layer = b"%d 0 R" % add(b"<< /Type /OCG /Name (Layer) >>") if catalog else b""
    resources = resources.replace(b"layer", layer)
    if b"empty" in resources:
        resources = resources.replace(b"empty", b"%d 0 R" % add(NOTHING))
    first_form = len(objects) + 1
    drawn = b" ".join(b"/X%d %d 0 R" % (n, first_form + n) for n in range(len(forms)))
    resources = b"<< /Font << %b >> /XObject << %b >> %b >>" % (fonts, drawn, resources)
    for form in forms:
        entries = b"/Type /XObject /Subtype /Form /BBox [0 0 612 792] /Resources " + resources
        add(stream(form, entries))
    kids = []
    for content in pages:
        body = add(stream(content))
        kids.append(
            add(
                b"<< /Type /Page /Parent 2 0 R /MediaBox [%g %g %g %g] /Contents %d 0 R "
                b"/Resources %b %b >>" % (*box, body, resources, extra)
            )
        )
    info = add(b"<< /Title %b >>" % shown(title)) if title else 0
    objects[0] = b"<< /Type /Catalog /Pages 2 0 R %b >>" % catalog.replace(b"layer", layer)
    listed = b" ".join(b"%d 0 R" % kid for kid in kids)
    objects[1] = b"<< /Type /Pages /Count %d /Kids [%b] >>" % (len(kids), listed)
    return assembled(objects, info)


def assembled(objects: Sequence[bytes], info: int = 0) -> bytes:
    """Objects 1, 2, … with their table and trailer; the first is the catalog."""
    out = b"%PDF-1.5\n"
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    entry = b"/Info %d 0 R " % info if info else b""
    out += b"trailer\n<< /Size %d /Root 1 0 R %b>>\n" % (len(objects) + 1, entry)
    return out + b"startxref\n%d\n%%%%EOF\n" % table


def oversized() -> bytes:
    """A page of seventy megabytes of operators, packed into some ten kilobytes."""
    packed = zlib.compress(b"(aaaaaaaa) Tj " * 5_000_000, 9)
    body = b"<< /Length %d /Filter /FlateDecode >>\nstream\n%b\nendstream" % (len(packed), packed)
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R >>"
    tree = b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>"
    return assembled([b"<< /Type /Catalog /Pages 2 0 R >>", tree, page, body])
