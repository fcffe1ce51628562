"""Bytes that change on disk, and prompt documents of every kind."""

from __future__ import annotations

import random
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

from index.documents import Document
from index.encoder import LazyEncoder
from index.errors import PromptError, RagError
from index.settings import Settings
from index.sources import SourceStore
from rag.answer import Answer, SourceRecord, read_answer
from rag.answer.verify import DocumentOf, Reextraction, verify
from rag.pipeline import Pipeline, reproduce
from rag.prompt import parse_prompt
from tests.attacks import Tally, Target
from tests.parts.hostile import HOSTILE_HTML
from tests.parts.interrupted import interruptible, kept, lost
from tests.parts.works import PROMPTS

SECONDS = 5.0
"""More than any prompt document may take."""


def flips(target: Target, count: int, chance: random.Random, tally: Tally) -> None:
    """One bit of any file of the data directory, of the encoder's folder or of an answer's file is
    changed. The next run has to give the same answer, or refuse with a sentence; and what it gives
    has to verify."""
    prompt = parse_prompt(target.answer.prompt.text)
    whole = target.folder / "whole"
    shutil.copytree(target.settings.data_dir, whole)
    shutil.copytree(target.settings.encoder, whole / "encoder")
    (whole / "answer.json").write_text(target.answer.to_json(), encoding="utf-8")
    kinds: dict[Path, list[Path]] = {}
    for path in sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file()):
        kinds.setdefault(Path(*path.parts[: 2 if "ledger" in path.parts else 1]), []).append(path)
    extracted = Reextraction(target.settings).ahead(target.answer.sources)
    for number in range(count):
        data_dir = target.folder / f"flipped-{number}"
        shutil.copytree(whole, data_dir)
        path = data_dir / chance.choice(kinds[chance.choice(sorted(kinds))])
        damaged = bytearray(path.read_bytes() or b"\0")
        at = chance.randrange(len(damaged))
        damaged[at] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        where = f"{path.relative_to(data_dir)} byte {at}"
        is_encoder = (data_dir / "encoder") in path.parents
        encoder = str(data_dir / "encoder") if is_encoder else target.settings.encoder
        own = replace(target.settings, data_dir=data_dir, encoder=encoder)
        try:
            pipeline = replace(
                target.pipeline,
                settings=own,
                encoder=LazyEncoder(own) if is_encoder else target.encoder,
            )
            document_of = _extracting_once(extracted, target, own)
            if path.name == "answer.json":
                tally.add(_read_flipped(target, pipeline, read_answer(path), document_of))
            else:
                answer = pipeline.ask(prompt)
                failures = verify(answer, document_of).failures
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
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # Also what extensions written in Rust raise.
            tally.fault(f"{where}: {type(error).__name__}: {error}")
        shutil.rmtree(data_dir)


def _extracting_once(extracted: DocumentOf, target: Target, own: Settings) -> DocumentOf:
    """As Reextraction over `own`: bytes are read and compared each time, but the undamaged ones of
    the target are those that `extracted` knows."""
    store, again = SourceStore(own.sources), Reextraction(own)

    def document_of(record: SourceRecord) -> Document:
        source = store.find(record.id, record.sha256)
        if source is None or record not in target.answer.sources:
            return again(record)
        store.read(source)
        return extracted(record)

    return document_of


def _read_flipped(
    target: Target, pipeline: Pipeline, answer: Answer, document_of: DocumentOf
) -> str:
    if verify(answer, document_of).failures:
        return "noticed by verify"
    if list(reproduce(answer, lambda: pipeline)):
        return "noticed by verify --strict"
    if _same(answer, target.answer):
        return "in what an answer only reports"
    raise AssertionError("a changed answer was not noticed")


def _same(answer: Answer, other: Answer) -> bool:
    return replace(answer, writer=other.writer) == other


def kills(target: Target, count: int, chance: random.Random, tally: Tally) -> None:
    """`rag index` is killed at a random moment, most runs again and again: an eighth from nothing
    on, the others where all is read and nothing embedded, as after a change of the encoder. What a
    kill left is a part of the whole, what was there before is there still, and a run that is not
    killed makes it whole. A run that ended before its kill is not counted."""
    with interruptible(target.folder / "papers", Path(target.settings.encoder)) as runs:
        undisturbed, data_dir = target.folder / "undisturbed", target.folder / "killed"
        runs.run(undisturbed)
        whole = kept(undisturbed)
        while tally.outcomes.total() < count:
            if chance.random() < 7 / 8:
                shutil.copytree(undisturbed, data_dir, ignore=shutil.ignore_patterns("*.segment"))
            outcomes: list[str] = []
            code = -signal.SIGKILL
            while code == -signal.SIGKILL and (not outcomes or chance.random() < 0.7):
                before = kept(data_dir)
                files = chance.randrange(min(len(before), len(whole)), len(whole) + 1)
                delay = chance.random() * chance.choice([0.02, 0.5])
                code = runs.run(data_dir, files=files, delay=delay)
                left = kept(data_dir)
                gone = {name for name in before.keys() - left.keys() if name in whole}
                if code not in {0, -signal.SIGKILL} or gone or lost(data_dir, whole):
                    wrong = gone | lost(data_dir, whole)
                    tally.fault(f"{files} files, {delay:.3f} s: exit code {code}, {wrong}")
                elif code:
                    kind = "nothing new was there" if left == before else "more was there"
                    outcomes.append(
                        "whole already" if left == whole else f"{kind}, and was made whole"
                    )
            if runs.run(data_dir) or kept(data_dir) != whole:
                tally.fault(f"after {outcomes}: the next run did not make it whole")
            tally.outcomes.update(outcomes)
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
