"""Content streams read quickly are read as pypdf reads them."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pypdf import PdfReader
from pypdf.generic import ContentStream, DecodedStreamObject

from index.documents.pdf.content import TEXTUAL
from index.documents.pdf.pages import Operation, read_operations
from tests.parts.pdfs import pdf, text


def by_pypdf(data: bytes) -> list[Operation]:
    """What pypdf makes of the stream, in our types: only what bears on text."""
    stream = DecodedStreamObject()
    stream.set_data(data)
    reader: Any = READER
    return [
        (plain(operands), bytes(operator))
        for operands, operator in ContentStream(stream, reader, "bytes").operations
        if operator in TEXTUAL
    ]


def plain(value: Any) -> Any:
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return None
    if isinstance(value, bytes):
        return bytes(value)
    return float(value) if isinstance(value, int | float) else str(value)


READER = PdfReader(io.BytesIO(pdf([text("One page.", 72, 700)])))

numbers = st.one_of(
    st.integers(-10_000, 10_000).map(str),
    st.decimals(-1000, 1000, places=3, allow_nan=False).map(str),
    st.sampled_from(["0", "+1", "-.5", ".25", "7.", "-0", "00.10"]),
).map(str.encode)
inside = st.one_of(
    st.binary(max_size=8).map(lambda raw: raw.translate(None, b"()\\\0")),
    st.sampled_from([b"\\n", b"\\(", b"\\)", b"\\\\", b"\\101", b"\\7.", b"\\0053", b"\\\n"]),
)
in_brackets = st.lists(inside, max_size=3).map(lambda parts: b"(" + b"".join(parts) + b")")
insides = st.lists(st.one_of(inside, in_brackets), max_size=4).map(b"".join)
strings = insides.map(lambda inside: b"(" + inside + b")")
hexes = st.lists(st.sampled_from("0123456789abCDeF \n"), max_size=9).map(
    lambda digits: b"<" + "".join(digits).encode() + b">"
)
names = st.from_regex(r"/[A-Za-z0-9+.*_-]{1,8}", fullmatch=True).map(str.encode)
arrays = st.lists(st.one_of(numbers, strings, hexes), max_size=6).map(
    lambda items: b"[" + b" ".join(items) + b"]"
)
properties = st.sampled_from([b"<</MCID 0>>", b"<< /Lang (en) /E <FEFF>>>", b"<<>>"])
operators = st.sampled_from([b"Tj", b"TJ", b"'", b'"', b"cm", b"T*", b"q", b"BDC", b"d0", b"re"])
blanks = st.sampled_from([b" ", b"\n", b"\r\n", b"  ", b"% a comment (\n", b"\t"])
operands = st.lists(st.one_of(numbers, strings, hexes, names, arrays, properties), max_size=4)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    parts = []
    for _ in range(draw(st.integers(0, 6))):
        for operand in draw(operands):
            parts += [operand, draw(blanks)]
        parts += [draw(operators), draw(blanks)]
    return b"".join(parts)


@pytest.mark.filterwarnings("ignore")
@given(streams())
@example(b"BT/F1 9 Tf[(A)-20(B)]TJ(C)Tj<44>Tj 1 0 0 1 0 0cm q%x\nQ")  # no blanks between signs
def test_a_stream_is_read_as_pypdf_reads_it(data: bytes) -> None:
    assert read_operations(data) == by_pypdf(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    found = read_operations(data)
    assert found is None or all(isinstance(operator, bytes) for _, operator in found)


@pytest.mark.parametrize(
    "data",
    [
        b"1 0 0 1 2..3 0 cm",
        b"--5 w",
        b"(never closed Tj",
        b"(one (in (another) string)) Tj",
        b"[1 [2] 3] 0 d",
        b"[1 2",
        b"/A#20B gs",
        b"(\\777) Tj",
        b"(\\q) Tj",
        b"q BI /W 2 /H 2 /CS /RGB /BPC 8 ID EI EI EI EI \nEI Q",
        b"{ 1 } Tj",
        b"q \x00 Q",
    ],
)
def test_what_it_does_not_know_is_left_to_pypdf(data: bytes) -> None:
    assert read_operations(data) is None


@pytest.mark.parametrize("part", [b"(", b"[", b"<<", b"1 ", b"[1 ", b"BI ", b"(\\", b"<0", b"/a"])
def test_no_stream_takes_longer_than_its_length_warrants(part: bytes) -> None:
    began = time.process_time()
    read_operations(part * (400_000 // len(part)))
    assert time.process_time() - began < 2
