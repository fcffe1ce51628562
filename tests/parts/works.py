"""Small works in the shape of real ones: papers as PDFs, READMEs, summaries, and prompt documents
that list them. All of them are invented."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rag.prompt import Prompt
from rag.retrieval import Evidence, Span
from rag.writers import SILENCE, Draft, DraftStatement, WorkNote, WriterRecord
from tests.parts.pdfs import pdf, text, wrapped

Sections = Sequence[tuple[str, str]]

TOP, BOTTOM, LEADING = 700, 470, 12
"""Pages are kept short, so that a small paper has several and its paragraphs cross them."""


def paper(title: str, sections: Sections, bibliography: Sequence[str] = ()) -> bytes:
    """A PDF with a title, sections of one paragraph each, and a bibliography."""
    pages = [text(title, 90, 730, size=15, font="F2")]
    y: float = TOP

    def line(words: str, *, size: float = 10, font: str = "F1") -> None:
        nonlocal y
        if y < BOTTOM:
            pages.append(b"")
            y = TOP
        pages[-1] += text(words, 90, y, size=size, font=font)
        y -= LEADING

    listed = [(heading, wrapped(words)) for heading, words in sections]
    entries = [f"[{number}] {entry}" for number, entry in enumerate(bibliography, start=1)]
    if entries:
        listed.append(("References", [row for entry in entries for row in wrapped(entry)]))
    for heading, rows in listed:
        y -= LEADING
        line(heading, size=12, font="F2")
        y -= LEADING / 2
        for row in rows:
            line(row)
    return pdf(pages, title=title)


def write(path: Path, data: bytes | str) -> Path:
    """The file, with whatever folders it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


LANTERN = paper(
    "Lantern: Colouring Grey Photographs",
    [
        (
            "Abstract",
            "We propose Lantern, a network that colours grey photographs. Given a grey photograph "
            "and a short text prompt, the model generates a colour image that keeps every edge of "
            "the photograph. Colouring is the task of adding plausible colours to an image that "
            "has none. In a study with forty viewers the results were taken for real photographs "
            "in half of all cases.",
        ),
        (
            "1 Introduction",
            "Old photographs are grey because their film could not hold colour. People who own "
            "them would like to see the colours again, although nobody has written them down. "
            "The network learns from a million colour photographs which colours usually belong "
            "to grass, sky, skin and brick. It takes as input a grey photograph and a text prompt "
            "that names the season. The output is a colour image of the same size. No colour is "
            "known for certain, so the model produces the most plausible one. The prompt steers "
            "the choice where several colours would be plausible, as with clothes and cars.",
        ),
        (
            "2 Method",
            "The model uses an encoder that reads the grey photograph and a decoder that paints "
            "the colours. Attention layers connect each word of the prompt with the regions that "
            "it speaks of. Skip connections carry the edges of the photograph past the narrow "
            "middle of the network, so that no line becomes blurred. A discriminator is trained "
            "together with the decoder, and it learns to tell real colour images from generated "
            "ones. The loss combines the judgement of the discriminator with the distance to the "
            "true colours. Training took three days on one graphics card with 8 gigabytes.",
        ),
        (
            "3 Conclusion",
            "Lantern colours grey photographs from a prompt and leaves their edges alone. It "
            "fails on flags and uniforms, whose colours cannot be guessed from their shape.",
        ),
    ],
    [
        "A. Amber and B. Birch. Painting with networks. In Proceedings of CVPR, pages 1-9, 2019.",
        "C. Cedar. Attention for pictures. arXiv preprint arXiv:1901.00001, 2019.",
        "D. Dune and E. Elm. A million photographs. In NIPS, pages 12-20, 2018.",
    ],
)
LANTERN_README = """# Lantern
![build](https://img.shields.io/badge/build-passing-green)

Lantern adds colours to a grey photograph. It takes an image and a text prompt as input and
generates a colour image as output.

## How it works
The encoder reads the photograph, attention layers read the prompt, and the decoder paints the
colours. The weights were trained on a million photographs. See [the paper](https://arxiv.org/abs/2401.00001).

## Limitations
Flags and uniforms come out in the wrong colours, because the model cannot know them.
"""
TIDE = paper(
    "Tide: Removing Objects from Pictures",
    [
        (
            "Abstract",
            "This paper introduces Tide, a method that removes objects from pictures and fills in "
            "what stood behind them. Given an image and a mask, the network predicts the missing "
            "pixels from the pixels around the hole. Inpainting is the task of filling a hole in "
            "an image so that nobody notices it.",
        ),
        (
            "1 Introduction",
            "A lamp post in front of a wall hides a part of the wall. When it is rubbed out, a "
            "hole is left, and something has to be put into it. Tide looks for patches elsewhere "
            "in the same picture that continue the lines at the border of the hole. It copies "
            "their features into the hole and lets a decoder turn them into pixels. The output "
            "is a picture without the object, in which bricks and tiles continue as before.",
        ),
        (
            "2 Approach",
            "The network consists of a contracting path and an expanding path. A shift layer "
            "moves features from the known region into the hole, and the decoder reconstructs "
            "sharp texture from them. The model is trained with an adversarial loss and a "
            "reconstruction loss on pictures in which holes were cut at random. At test time the "
            "mask is drawn by the user and may have any shape.",
        ),
    ],
    [
        "F. Fern. Filling holes. In Proceedings of ECCV, pages 3-17, 2017.",
        "G. Gorse and H. Hazel. Shifting features. arXiv preprint arXiv:1802.00002, 2018.",
    ],
)
MOSAIC_README = """Mosaic
======

Mosaic is a dataset of generated portraits. Each portrait is generated from a text prompt that
lists attributes such as hair, glasses and age.

Contents
--------

There are two thousand portraits, and each of them comes with the prompt it was generated from.
A classifier is trained to tell the portraits apart from photographs.
"""
KITE = paper(
    "Kite: Moving Pictures from One Frame",
    [
        (
            "Abstract",
            "We present Kite, which produces a short video from one picture. Given a single image "
            "and a text prompt that describes the motion, the model generates sixteen frames. "
            "Animation is the task of making a still picture move.",
        ),
        (
            "1 Introduction",
            "Water, smoke and flags move in ways that a network can learn from videos. Kite uses a "
            "motion encoder and a frame decoder. The input is one picture, and the output is a "
            "video in which the colours and the persons stay the same from frame to frame.",
        ),
    ],
    ["I. Iris. Frames and flow. In Proceedings of ICCV, pages 44-52, 2021."],
)

MIRROR: Mapping[str, bytes | str] = {
    "arxiv/2401.00001v2.pdf": LANTERN,
    "arxiv/2401.00002.pdf": TIDE,
    "arxiv/2401.00003.pdf": KITE,
    "github/lantern-lab/Lantern/README.md": LANTERN_README,
    "github/mosaic-makers/mosaic/README.rst": MOSAIC_README,
}
"""What of the works can be had. Willow's paper cannot."""

LISTED: Mapping[str, Mapping[str, str | None]] = {
    "Lantern": {
        "model": "Lantern: Colouring Grey Photographs",
        "paper": "http://arxiv.org/pdf/2401.00001v2.pdf",
        "github": "https://github.com/Lantern-Lab/lantern",
        "summary": "Lantern colours grey photographs. Given a grey photograph and a text prompt, "
        "the model generates a colour image. An encoder and a decoder are trained together.",
    },
    "Tide": {
        "model": "Tide: Removing Objects from Pictures",
        "paper": "https://arxiv.org/abs/2401.00002",
        "summary": None,
    },
    "Mosaic": {"model": "Mosaic", "github": "https://github.com/mosaic-makers/mosaic.git"},
    "Kite": {
        "model": "Kite: Moving Pictures from One Frame",
        "paper": "http://www.arxiv.org/pdf/2401.00003v1",
        "summary": "Kite makes a video of sixteen frames from one picture and a text prompt.",
    },
    "Willow": {
        "model": "Willow: Words for Pictures",
        "paper": "http://arxiv.org/pdf/2401.00004v1.pdf",
        "summary": "Willow writes a sentence about a picture. Given an image, the model generates "
        "a description of what it shows. It uses an encoder for the image and a decoder that "
        "produces one word after the other.",
    },
}

QUESTIONS = {
    "colour": "I gave it a grey photo of my grandmother and her dress came back green. How can it "
    "know the colours?",
    "remove": "I rubbed a lamp post out of a picture and the bricks behind it came back. Where do "
    "they come from?",
    "move": "My picture of a lake began to move when I wrote “gentle waves”. How is that possible?",
}


def prompt(
    question: str, recommended: Iterable[str] = (), related: Iterable[str] = ("Tide",)
) -> Prompt:
    """A prompt that lists works by their short names."""
    return Prompt.build(
        QUESTIONS.get(question, question),
        recommended=[LISTED[name] for name in recommended],
        related=[LISTED[name] for name in related],
    )


PROMPTS: Mapping[str, Prompt] = {
    "colour": prompt("colour", ["Lantern"], ["Tide", "Willow"]),
    "remove": prompt("remove", ["Tide", "Mosaic"], ["Lantern"]),
    "move": prompt("move", ["Kite"], []),
}


EVERYTHING = prompt("colour", sorted(LISTED), []).catalog
"""All works at once; the paper of Willow cannot be had."""
UNREAD = "arxiv:2401.00004v1"


def write_mirror(folder: Path, files: Mapping[str, bytes | str] = MIRROR) -> Path:
    """A mirror folder that holds `files`."""
    for name, data in files.items():
        write(folder / name, data)
    return folder


def write_prompts(folder: Path, prompts: Mapping[str, Prompt] = PROMPTS) -> dict[str, Path]:
    """Each prompt's document, by its name."""
    return {name: write(folder / f"{name}.txt", item.text) for name, item in prompts.items()}


@dataclass(frozen=True)
class PlainWriter:
    """A writer whose answers a test can predict: each part of the workflow quotes the next
    sentence of the first listed work in words of its own, each relevance note is a sentence of
    its own work."""

    name: str = "plain"

    def write(self, evidence: Evidence, *, stream: Callable[[str], None] | None = None) -> Draft:
        works = [
            [
                sentence
                for hit in sorted(hits, key=lambda hit: hit.key)
                for sentence in hit.sentences()
            ]
            for hits in evidence.works
        ]
        parts = [(self._next(works[0], "It says so: "),) for _ in range(4)]
        notes = tuple(WorkNote(self._next(left)) if left else None for left in works)
        if stream is not None:
            stream(parts[0][0].text)
        return Draft(
            parts[0], parts[1], parts[2], parts[3], notes, WriterRecord(self.name, note="A test.")
        )

    def _next(self, sentences: list[tuple[Span, str]], lead: str = "") -> DraftStatement:
        if not sentences:
            return SILENCE
        span, words = sentences.pop(0)
        return DraftStatement(lead and lead + words, (span,))
