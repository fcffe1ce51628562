"""The example prompts list the eleven works with their exact links, and summaries that suffice for
an answer where nothing else can be read."""

from __future__ import annotations

import re

from rag.prompt import read_prompt, render_prompt
from tests.parts import ROOT

PROMPTS = [read_prompt(path) for path in sorted((ROOT / "prompts").glob("*.txt"))]
LISTINGS = [item for prompt in PROMPTS for item in prompt.listings]

WORKS = {
    ("Txt2Img-StableDiffusionV1-QGO-PromptingReal", None, "Kameronski/stable-diffusion-1.5"),
    ("ImgTxt2Img-HuggingFace-timbrooks-instruct-pix2pix",
     "https://arxiv.org/pdf/2211.09800", "timothybrooks/instruct-pix2pix"),
    ("Iteratively Prompting Multimodal LLMs to Reproduce Natural and AI-Generated Images",
     "http://arxiv.org/pdf/2404.13784v1.pdf", None),
    ("SDFD: Building a Versatile Synthetic Face Image Dataset with Diverse Attributes",
     "http://arxiv.org/pdf/2404.17255v2.pdf", None),
    ("Learning Naturally Aggregated Appearance for Efficient 3D Editing",
     "http://arxiv.org/pdf/2312.06657v2.pdf", "felixcheng97/agap"),
    ("Enhancing Image Matting in Real-World Scenes with Mask-Guided Iterative Refinement",
     "http://arxiv.org/pdf/2502.17093v1.pdf", None),
    ("A Large-scale AI-generated Image Inpainting Benchmark",
     "http://arxiv.org/pdf/2502.06593v1.pdf", None),
    ("Quality Assured: Rethinking Annotation Strategies in Imaging AI",
     "http://arxiv.org/pdf/2407.17596v2.pdf", None),
    ("AI-generated Image Quality Assessment in Visual Communication",
     "http://arxiv.org/pdf/2412.15677v1.pdf", "ytian73/aigi-vc"),
    ("FPGA: Flexible Portrait Generation Approach",
     "http://arxiv.org/pdf/2408.09248v3.pdf", None),
    ("FeatSharp: Your Vision Model Features, Sharper",
     "http://arxiv.org/pdf/2502.16025v1.pdf", None),
}  # fmt: skip
"""Name, paper and repository of each; the first two are the recommended models."""


def test_there_are_five_in_the_canonical_form_each_with_a_question_of_its_own() -> None:
    assert len(PROMPTS) == len({prompt.question for prompt in PROMPTS}) == 5
    for prompt in PROMPTS:
        assert render_prompt(prompt) == prompt.text
        assert len(prompt.requests) == 3
        assert len(prompt.listed_as("recommended")) in (1, 2)
        assert len(prompt.listed_as("related")) in (2, 3, 4)
        assert 1 <= len(re.findall(r"[.!?](?=\s|$)", prompt.question)) <= 3
        assert prompt.question.endswith("?")


def test_together_they_list_every_work_with_exactly_its_links_and_one_summary() -> None:
    listed = {
        (
            item.name,
            item.paper and item.paper.written,
            item.github and item.github.written.removeprefix("https://github.com/"),
        )
        for item in LISTINGS
    }
    assert listed == WORKS
    assert len({(item.name, item.summary, item.role) for item in LISTINGS}) == len(WORKS)
    assert {item.name.partition("-")[0] for item in LISTINGS if item.role == "recommended"} == {
        "Txt2Img",
        "ImgTxt2Img",
    }


def test_every_summary_has_five_to_eight_sentences_and_names_input_and_output() -> None:
    for item in LISTINGS:
        assert item.summary is not None
        sentences = re.split(r"(?<=[.!?]) (?=[A-Z])", item.summary)
        assert 5 <= len(sentences) <= 8, item.name
        assert all(re.fullmatch(r"[A-Z].*[.!?]", sentence) for sentence in sentences)
        assert re.search(r"\binput\b", item.summary), item.name
        assert re.search(r"\boutput\b", item.summary), item.name
