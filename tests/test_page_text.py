"""How a quote and a page are compared, and how a quote in pieces is put together."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

from hypothesis import assume, given
from hypothesis import strategies as st

from rag.views.page_pieces import pieces_of
from rag.views.page_places import Wanted, locate
from rag.views.page_text import Glyph, Stream, key

ABC = st.text("abc", max_size=12)
ANY = st.text(max_size=30)


@given(ANY, ANY)
def test_the_key_of_two_texts_is_that_of_one_after_the_other(one: str, other: str) -> None:
    assert key(one + other) == key(one) + key(other)
    assert key(key(one)) == key(one)


@given(ANY)
def test_the_key_does_not_depend_on_how_letters_are_composed(text: str) -> None:
    assert key(unicodedata.normalize("NFC", text)) == key(unicodedata.normalize("NFD", text))


def test_the_key_keeps_case_and_punctuation_and_drops_what_readers_disagree_on() -> None:
    assert key("ﬁnd Málaga, state-of-\nthe-art: x² – “Yes”.") == "findMalaga,stateoftheart:x2“Yes”."
    assert key("¨ı") == "i" == key("ï")
    assert key("A") != key("a")


@given(ABC, ABC, st.text("abc", min_size=1, max_size=8))
def test_what_stands_in_one_piece_is_found_in_one_piece(before: str, after: str, it: str) -> None:
    found = pieces_of(it, before + it + after)
    assert found is not None
    assert [b - a for a, b in pairwise(found)] == [1] * (len(it) - 1)


@given(st.text("abcd", min_size=1, max_size=8), st.text("abcd", max_size=30))
def test_each_character_is_found_where_it_stands(sought: str, text: str) -> None:
    found = pieces_of(sought, text)
    if found is not None:
        assert "".join(text[at] for at in found) == sought


@given(st.lists(st.text("abc", min_size=4, max_size=9), min_size=2, max_size=3), st.data())
def test_pieces_with_other_things_between_are_found_in_order(
    pieces: list[str], data: st.DataObject
) -> None:
    other = st.text("xyz", max_size=20)
    text = "".join(f"{data.draw(other)}{piece}" for piece in pieces) + data.draw(other)
    sought = "".join(pieces)
    openings = {len("".join(pieces[:n])) for n in range(len(pieces))}
    found = pieces_of(sought, text, openings=openings)
    assert found == [at for at, char in enumerate(text) if char in "abc"]


@given(st.text("abc", min_size=1, max_size=6), ABC)
def test_places_that_are_taken_are_left_alone(sought: str, text: str) -> None:
    found = pieces_of(sought, text)
    assume(found is not None)
    again = pieces_of(sought, text, used=found or ())
    assert not set(again or ()) & set(found or ())


def stream(*rows: str) -> Stream:
    """Lines of letters six points wide, one below the other."""
    return Stream(
        [
            Glyph(1, key(char), 6 * x, 12 * y, 6 * x + 5, 12 * y + 8)
            for y, row in enumerate(rows)
            for x, char in enumerate(row)
            if not char.isspace()
        ]
    )


def shown(rows: Stream, place: tuple[int, ...]) -> str:
    return "".join(rows.glyphs[at].reads for at in place)


def whole(text: str, quote: str) -> Wanted:
    start = text.index(quote)
    return Wanted((1,), text, start, start + len(quote))


def test_a_table_between_the_lines_of_a_quote_is_passed_over() -> None:
    page = stream("One saw the harbour", "12 34 56 78", "99 88 77 66", "being lost to dunes.")
    quote = "One saw the harbour being lost to dunes."
    place = locate(whole(quote, quote), page)
    assert shown(page, place) == key(quote)


def test_letters_are_not_gathered_from_the_middle_of_other_lines() -> None:
    page = stream("One saw the harbour", "and nobody was being", "sad of a lost to dunes thing.")
    quote = "One saw the harbour being lost to dunes"
    assert locate(whole(quote, quote), page) == ()


def test_of_equal_places_that_nothing_tells_apart_none_is_taken() -> None:
    page = stream("It is lost to the dunes.", "It is lost to the dunes.")
    quote = "It is lost to the dunes."
    assert locate(whole(quote, quote), page) == ()
    twice = f"{quote} {quote}"
    assert locate(whole(twice, quote), page)[0] == 0


def test_the_place_whose_neighbours_agree_is_taken_though_another_is_whole() -> None:
    page = stream(
        "Abstract. It is lost to the dunes of this coast.",
        "We saw it in the old maps that day. It is lost to",
        "7 of 9 8 of 9",
        "the dunes of this coast. Nobody went there again.",
    )
    text = (
        "We saw it in the old maps that day. It is lost to the dunes of this coast. "
        "Nobody went there again."
    )
    place = locate(whole(text, "It is lost to the dunes of this coast."), page)
    assert [page.glyphs[at].top for at in place[:1]] == [12]
    assert shown(page, place) == key("It is lost to the dunes of this coast.")
