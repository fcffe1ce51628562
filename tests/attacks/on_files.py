"""Bytes that change on disk, and prompt documents of every kind."""

from __future__ import annotations

import random
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

from index.errors import PromptError, RagError
from index.settings import Settings
from rag.answer.model import Answer, read_answer
from rag.answer.verify import Reextraction, verify
from rag.pipeline import Pipeline
from rag.prompt import parse_prompt
from rag.reproduction import reproduce
from tests.attacks import Tally, Target
from tests.parts.hostile import HOSTILE_HTML
from tests.parts.interrupted import interruptible, segments
from tests.parts.works import PROMPTS

SECONDS = 5.0
"""More than any prompt document may take."""


def flips(target: Target, count: int, chance: random.Random, tally: Tally) -> None:
    """One bit of any file of the data directory, or of an answer's file, is changed. The next run
    has to give the same answer, or refuse with a sentence; and what it gives has to verify."""
    prompt = parse_prompt(target.answer.prompt.text)
    for number in range(count):
        data_dir = target.folder / f"flipped-{number}"
        shutil.copytree(target.settings.data_dir, data_dir)
        (data_dir / "answer.json").write_text(target.answer.to_json(), encoding="utf-8")
        path = chance.choice(sorted(path for path in data_dir.rglob("*") if path.is_file()))
        damaged = bytearray(path.read_bytes() or b"\0")
        at = chance.randrange(len(damaged))
        damaged[at] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        where = f"{path.relative_to(data_dir)} byte {at}"
        own = Settings(data_dir, target.settings.mirror, True, target.settings.encoder)
        pipeline = replace(target.pipeline, settings=own)
        try:
            if path.name == "answer.json":
                _read_flipped(target, pipeline, read_answer(path), tally, where)
            else:
                answer = pipeline.ask(prompt)
                failures = verify(answer, Reextraction(own)).failures
                if failures and path.parent.name == "sources":
                    tally.add("an answer, and verify names the damaged source")
                elif failures:
                    tally.fault(f"{where}: {failures[0]}")
                elif _same(answer, target.answer):
                    tally.add("made good: the same answer")
                else:
                    tally.add("another answer, which verifies")
        except RagError:
            tally.add("refused with a sentence")
        except Exception as error:
            tally.fault(f"{where}: {type(error).__name__}: {error}")
        shutil.rmtree(data_dir)


def _read_flipped(
    target: Target, pipeline: Pipeline, answer: Answer, tally: Tally, where: str
) -> None:
    if verify(answer, Reextraction(pipeline.settings)).failures:
        tally.add("noticed by verify")
    elif list(reproduce(answer, lambda: pipeline)):
        tally.add("noticed by verify --strict")
    elif _same(answer, target.answer):
        tally.add("in what an answer only reports")
    else:
        tally.fault(f"{where}: not noticed")


def _same(answer: Answer, other: Answer) -> bool:
    return replace(answer, writer=other.writer) == other


def kills(target: Target, count: int, chance: random.Random, tally: Tally) -> None:
    """`rag index` is killed at a random moment, some runs again and again. What it left is a part
    of the whole index, and the next run makes it whole."""
    with interruptible(target.folder / "papers", Path(target.settings.encoder)) as runs:
        undisturbed = target.folder / "undisturbed"
        runs.run(undisturbed)
        whole, files = segments(undisturbed), len(list(undisturbed.glob("*/*")))
        for number in range(count):
            data_dir = target.folder / f"killed-{number}"
            code = runs.run(data_dir, files=chance.randrange(files), delay=chance.random() / 50)
            left = segments(data_dir)
            if code not in {0, -signal.SIGKILL} or not left.items() <= whole.items():
                tally.fault(f"{number}: exit code {code}, {len(left)} segments")
            elif chance.random() < 0.3:
                runs.run(data_dir, files=chance.randrange(files))
            if runs.run(data_dir) or segments(data_dir) != whole:
                tally.fault(f"{number}: the next run did not make it whole")
            else:
                lost = "whole already" if left == whole else "parts of it kept, then made whole"
                tally.add(lost if left else "nothing kept, then made whole")
            shutil.rmtree(data_dir)


PIECES = [
    *HOSTILE_HTML,
    *("Model:", "Paper:", "GitHub:", "Summary:", "None", "### Recommended AI Models:", "###"),
    *("A user has asked the following question: ", "### Related Papers:", "Answer:", '"', "\r"),
    *("https://arxiv.org/abs/", "https://github.com/a/b/../..", "arxiv.org/abs/1604.07379v0"),
    *("\0", "\ufeff", "\u2028", "\x85", "\ud800", "9" * 5000, "e\u0301" * 50, "[" * 3000),
    " " * 9999,
]


def mutated_prompts(target: Target, count: int, chance: random.Random, tally: Tally) -> None:
    """Lines and characters of prompt documents are moved, doubled, cut and replaced."""
    sources = [prompt.text for prompt in PROMPTS.values()]
    for number in range(count):
        lines = chance.choice(sources).split("\n")
        for _ in range(chance.randrange(1, 6)):
            lines = _mutated(lines, chance)
        text = "\n".join(lines)
        began = time.process_time()
        try:
            prompt = parse_prompt(text)
            links = (link for item in prompt.listings for link in (item.paper, item.github))
            written = [link.written for link in links if link]
            if all(link in text for link in written) and parse_prompt(prompt.text) == prompt:
                tally.add("read, with its own links and no others")
            else:
                tally.fault(f"{number}: a link or a text of nowhere in {text[:200]!a}")
        except PromptError as error:
            tally.add("refused with the line" if error.line else "refused with a sentence")
        except Exception as error:
            tally.fault(f"{number}: {type(error).__name__}: {error} in {text[:200]!a}")
        if time.process_time() - began > SECONDS:
            tally.fault(f"{number}: took longer than {SECONDS} seconds: {text[:200]!a}")


def _mutated(lines: list[str], chance: random.Random) -> list[str]:
    lines = lines or [""]
    one, two = (chance.randrange(len(lines)) for _ in range(2))
    line = lines[one]
    cut = chance.randrange(len(line) + 1)
    match chance.randrange(7):
        case 0:
            return lines[:one] + lines[one + 1 :]
        case 1:
            return [*lines[:one], lines[two], *lines[one:]]
        case 2:
            return lines[:one]
        case 3:
            changed = line[:cut] + chance.choice(PIECES) + line[cut:]
        case 4:
            changed = line[:cut] + line[cut + 1 :]
        case 5:
            changed = chance.choice(PIECES)
        case _:
            changed = line[:cut] + chr(chance.randrange(1, 0x3000)) + line[cut + 1 :]
    return [*lines[:one], changed, *lines[one + 1 :]]
