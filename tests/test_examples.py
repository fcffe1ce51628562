"""The example prompts list the eleven works with their exact links, and summaries that suffice for
an answer where nothing else can be read."""

from __future__ import annotations

import re

import pytest

from index.catalog import Listing
from rag.prompt import Prompt, read_prompt, render_prompt
from tests.parts import ROOT

EXAMPLES = sorted((ROOT / "prompts").glob("*.txt"))

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
        assert len(prompt.listed_as("recommended")) in (1, 2)
        assert len(prompt.listed_as("related")) in (2, 3, 4)


def test_together_they_list_every_work_with_exactly_its_links_and_one_summary(
    prompts: list[Prompt],
) -> None:
    listings = [item for prompt in prompts for item in prompt.listings]
    assert {(item.name, item.role) for item in listings} == set(WORKS)
    assert all(links(item) == WORKS[item.name, item.role] for item in listings)
    assert len({(item.name, item.summary) for item in listings}) == len(WORKS)


def test_every_summary_has_five_to_eight_sentences_and_names_input_and_output(
    prompts: list[Prompt],
) -> None:
    for item in (item for prompt in prompts for item in prompt.listings):
        assert item.summary is not None
        sentences = re.split(r"(?<=[.!?]) (?=[A-Z])", item.summary)
        assert 5 <= len(sentences) <= 8, item.name
        assert all(re.fullmatch(r"[A-Z].*[.!?]", sentence) for sentence in sentences)
        assert re.search(r"\binput\b", item.summary), item.name
        assert re.search(r"\boutput\b", item.summary), item.name


def test_every_question_is_one_to_three_sentences_of_its_own(prompts: list[Prompt]) -> None:
    assert len({prompt.question for prompt in prompts}) == 5
    for prompt in prompts:
        assert 1 <= len(re.findall(r"[.!?](?=\s|$)", prompt.question)) <= 3
        assert prompt.question.endswith("?")
