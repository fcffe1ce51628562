"""Known facts about eighteen real papers, checked against the text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from index.documents.extract import extract
from tests.parts import SHARED
from tests.parts.invariants import assert_invariants

MIRROR = SHARED / "mirror"
pytestmark = pytest.mark.skipif(not MIRROR.is_dir(), reason="the shared mirror is not here")

# id: pages, words of the title, some headings
PAPERS = {
    "1406.2661": (9, "Generative Adversarial Nets", "1 Introduction|3 Adversarial nets"),
    "1411.1784": (7, "Conditional Generative Adversarial Nets", "1 Introduction|5 Future Work"),
    "1502.03167": (11, "Batch Normalization: Accelerating", "1 Introduction|5 Conclusion"),
    "1505.04597": (8, "U-Net: Convolutional Networks", "2 Network Architecture|5 Conclusion"),
    "1512.00570": (19, "Attribute2Image: Conditional", "2 Related Work|6 Conclusion"),
    "1512.03385": (12, "Deep Residual Learning", "1. Introduction|3.1. Residual Learning"),
    "1606.05908": (23, "Tutorial on Variational", "1 Introduction|2.3 Testing the learned model"),
    "1611.07004": (10, "Image-to-Image Translation", "1. Introduction|5. Conclusion"),
    "1706.03762": (15, "Attention Is All You Need", "3.2 Attention|7 Conclusion"),
    "1801.09392": (17, "Shift-Net: Image Inpainting", "1 Introduction|6 Conclusion"),
    "1812.01187": (10, "Bag of Tricks", "5.2. Label Smoothing|7. Conclusion"),
    "1911.05722": (12, "Momentum Contrast", "3.2. Momentum Contrast|A. Appendix"),
    "2002.08909": (12, "REALM: Retrieval-Augmented", "3. Approach|6. Future Work"),
    "2005.11401": (19, "Retrieval-Augmented Generation", "2.5 Decoding|6 Discussion"),
    "2007.01282": (6, "Leveraging Passage Retrieval", "3 Method|5 Conclusion"),
    "2010.11929": (22, "AN IMAGE IS WORTH 16X16 WORDS", "3.1 VISION TRANSFORMER (VIT)|APPENDIX"),
    "2203.02155": (68, "Training language models to follow", "5.3 Limitations|F Model samples"),
    "2301.11305": (13, "DetectGPT: Zero-Shot", "1. Introduction|6. Discussion"),
}
ABSTRACTS = {
    "1411.1784": "Generative Adversarial Nets",
    "1505.04597": "There is large consent that",
    "1706.03762": "The dominant sequence transduction models",
    "1911.05722": "We present Momentum Contrast (MoCo) for unsupervised",
    "2010.11929": "While the Transformer architecture has become the",
    "2203.02155": "Making language models bigger does not inherently make",
}


@pytest.mark.parametrize("name", PAPERS)
def test_each_paper_has_its_pages_title_headings_abstract_and_bibliography(name: str) -> None:
    pages, title, headings = PAPERS[name]
    data = (MIRROR / "arxiv" / f"{name}.pdf").read_bytes()
    document = extract(f"arxiv:{name}", data, "application/pdf")
    assert_invariants(document, pages)
    assert document.title.startswith(title)
    assert {*headings.split("|")} <= {section.heading for section in document.sections}

    def texts(heading: str, quotable: bool) -> list[str]:
        named = (s for s in document.sections if s.heading.lower().endswith(heading))
        return [document.text[s.start : s.end] for s in named if s.quotable is quotable]

    assert any(ABSTRACTS.get(name, "") in text for text in texts("abstract", True))
    assert sum(map(len, texts("references", False))) > 1500
    assert not texts("references", True)
    quotable = "".join(texts("", True))
    entries = re.findall(r"arXiv preprint|In (Proceedings|CVPR|NIPS|ICLR)\b", quotable)
    assert len(entries) <= 2
    # No line end, ligature or control character is left, and no stamp of arXiv.
    text = document.text
    assert not re.search(r"[ﬀ-ﬆ\u00ad\u200b\x00-\x09\x0b-\x1f]|(?<!\n)\n(?!\n)|  ", text)
    assert not re.search(r"arXiv:\d{4}\.\d{4,5}v\d", text[:3000])


@pytest.mark.parametrize("path", sorted(MIRROR.glob("github/*/*/README*")), ids=str)
def test_the_mirrored_readmes_read_as_text(path: Path) -> None:
    document = extract("github:a/b", path.read_bytes(), "text/markdown")
    assert_invariants(document)
    assert document.title
    assert not re.search(r"</?\w+[^>]*>|\]\(|!\[|img\.shields\.io|```", document.text)
