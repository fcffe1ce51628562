"""The example prompts cover the works they are meant to, with those links, and say enough of each
for an answer where nothing but the summaries can be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from index.catalog import Listing
from rag.prompt import Prompt, read_prompt, render_prompt

EXAMPLES = sorted((Path(__file__).parents[1] / "prompts").glob("*.txt"))

WORKS = {
    ("Txt2Img-StableDiffusionV1-QGO-PromptingReal", "recommended"): (
        None,
        "https://github.com/Kameronski/stable-diffusion-1.5",
    ),
    ("ImgTxt2Img-HuggingFace-timbrooks-instruct-pix2pix", "recommended"): (
        "https://arxiv.org/pdf/2211.09800",
        "https://github.com/timothybrooks/instruct-pix2pix",
    ),
    (
        "Iteratively Prompting Multimodal LLMs to Reproduce Natural and AI-Generated Images",
        "related",
    ): ("http://arxiv.org/pdf/2404.13784v1.pdf", None),
    (
        "SDFD: Building a Versatile Synthetic Face Image Dataset with Diverse Attributes",
        "related",
    ): ("http://arxiv.org/pdf/2404.17255v2.pdf", None),
    ("Learning Naturally Aggregated Appearance for Efficient 3D Editing", "related"): (
        "http://arxiv.org/pdf/2312.06657v2.pdf",
        "https://github.com/felixcheng97/agap",
    ),
    (
        "Enhancing Image Matting in Real-World Scenes with Mask-Guided Iterative Refinement",
        "related",
    ): ("http://arxiv.org/pdf/2502.17093v1.pdf", None),
    ("A Large-scale AI-generated Image Inpainting Benchmark", "related"): (
        "http://arxiv.org/pdf/2502.06593v1.pdf",
        None,
    ),
    ("Quality Assured: Rethinking Annotation Strategies in Imaging AI", "related"): (
        "http://arxiv.org/pdf/2407.17596v2.pdf",
        None,
    ),
    ("AI-generated Image Quality Assessment in Visual Communication", "related"): (
        "http://arxiv.org/pdf/2412.15677v1.pdf",
        "https://github.com/ytian73/aigi-vc",
    ),
    ("FPGA: Flexible Portrait Generation Approach", "related"): (
        "http://arxiv.org/pdf/2408.09248v3.pdf",
        None,
    ),
    ("FeatSharp: Your Vision Model Features, Sharper", "related"): (
        "http://arxiv.org/pdf/2502.16025v1.pdf",
        None,
    ),
}


def links(item: Listing) -> tuple[str | None, str | None]:
    paper = item.paper.written if item.paper else None
    return paper, item.github.written if item.github else None


@pytest.fixture(scope="module")
def prompts() -> list[Prompt]:
    return [read_prompt(path) for path in EXAMPLES]


def test_there_are_five_in_the_canonical_form(prompts: list[Prompt]) -> None:
    assert len(prompts) == 5
    for prompt in prompts:
        assert render_prompt(prompt) == prompt.text
        assert len(prompt.requests) == 3
        assert len(prompt.recommended) in (1, 2)
        assert len(prompt.related) in (2, 3, 4)


def test_together_they_list_every_work_with_exactly_its_links(prompts: list[Prompt]) -> None:
    listed = {(x.name, x.role): links(x) for prompt in prompts for x in prompt.listings}
    assert listed == WORKS
    for prompt in prompts:
        for item in prompt.listings:
            assert links(item) == WORKS[item.name, item.role]


def test_a_work_has_the_same_summary_wherever_it_is_listed(prompts: list[Prompt]) -> None:
    summaries = {(x.name, x.summary) for prompt in prompts for x in prompt.listings}
    assert len(summaries) == len(WORKS)


def test_every_summary_has_five_to_eight_whole_sentences(prompts: list[Prompt]) -> None:
    for prompt in prompts:
        for item in prompt.listings:
            assert item.summary is not None
            sentences = re.split(r"(?<=[.!?]) (?=[A-Z])", item.summary)
            assert 5 <= len(sentences) <= 8, item.name
            assert all(re.fullmatch(r"[A-Z].*[.!?]", sentence) for sentence in sentences)
            # What a summary must say for an answer: the task, what goes in, what comes out.
            assert re.search(r"\binput\b", item.summary), item.name
            assert re.search(r"\boutput\b", item.summary), item.name


def test_every_question_is_one_to_three_sentences_of_its_own(prompts: list[Prompt]) -> None:
    assert len({prompt.question for prompt in prompts}) == 5
    for prompt in prompts:
        assert 1 <= len(re.findall(r"[.!?](?=\s|$)", prompt.question)) <= 3
        assert prompt.question.endswith("?")
