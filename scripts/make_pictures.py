"""`make pictures`: the pictures in the README, of answers from an invented paper in our own words.

Chromium prints the paper from `docs/pictures/paper.html`, a real kernel answers a question about
it, and Chromium takes pictures of the notebook and the page. Needs the extra `dev` and Chromium.
"""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag.cli.options import say

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PAPER = Path("docs/pictures/paper.html")
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

QUESTION = (
    "I found a grey photo of my grandmother, and an app gave it colours. Her dress came back "
    "green, and my mother says it really was. How can a program know that?"
)
LANTERN = {
    "model": "Lantern: Giving Grey Photographs Their Colours Back",
    # An id that no paper has: arXiv does not get so many papers in a month.
    "paper": "https://arxiv.org/abs/2401.99999v1",
}
MOSAIC = {
    "model": "Mosaic: A Collection of Coloured Portraits",
    "summary": "Mosaic is a collection of portraits in colour with which colouring programs can be "
    "tested. The input of a test is a portrait that was made grey, and the output is compared with "
    "the colours that it had.",
}
CELLS = (
    "from rag import ask",
    'answer = ask("grey-photo.txt", writer="extractive")',
    "answer",
    "answer.verify()",
)


def run(
    folder: Annotated[Path, typer.Argument(help="Where the pictures go.")] = PAPER.parent,
) -> None:
    """Make notebook.png and page.png anew."""
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if chromium is None:
        raise SystemExit(f"no browser to make pictures with; expected one of {', '.join(CHROMIUM)}")
    with (
        TemporaryDirectory() as temporary,
        sync_playwright() as playwright,
        # The sandbox wants rights that a container does not have; only our own pages are opened.
        playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"]) as browser,
    ):
        work = Path(temporary)
        _write_works(browser, work)
        _run_notebook(work)
        folder.mkdir(parents=True, exist_ok=True)
        for name, height, quote in (("notebook", 1500, 3), ("page", 1360, 0)):
            _photograph(browser, work / f"{name}.html", folder / f"{name}.png", height, quote)


def _write_works(browser: Browser, work: Path) -> None:
    """Write the prompt document, and a mirror with the paper printed as a PDF."""
    from rag.prompt import Prompt

    prompt = Prompt.build(QUESTION, recommended=[LANTERN], related=[MOSAIC])
    (work / "grey-photo.txt").write_text(prompt.text, encoding="utf-8")
    paper = work / "mirror" / "arxiv" / "2401.99999v1.pdf"
    with browser.new_page() as page:
        page.goto(PAPER.resolve().as_uri())
        page.pdf(path=paper, prefer_css_page_size=True)


def _run_notebook(work: Path) -> None:
    """Write notebook.html, the executed notebook as JupyterLab shows it, and page.html, the page
    that its answer is saved as."""
    import nbformat
    from nbclient import NotebookClient
    from nbconvert import HTMLExporter

    notebook: Any = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]
    for source in (*CELLS, 'answer.save("page.html")'):
        notebook.cells.append(nbformat.v4.new_code_cell(source))  # type: ignore[no-untyped-call]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(Path.cwd()), os.environ.get("PYTHONPATH", ""))),
        "RAG_DATA_DIR": str(work / "data_dir"),
        "RAG_MIRROR": str(work / "mirror"),
        "RAG_OFFLINE": "1",
    }
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(work)}}
    )
    kernel = client.create_kernel_manager()
    # Over files of its own: no other user of this machine can connect.
    kernel.transport, kernel.ip = "ipc", str(work / "kernel")
    client.execute(env=environment)
    del notebook.cells[len(CELLS) :]
    exporter = HTMLExporter(template_name="lab")  # type: ignore[no-untyped-call]
    # Scripts for formulas and widgets, of which there are none, would be fetched from the network.
    exporter.mathjax_url = exporter.require_js_url = exporter.jquery_url = ""
    html, _ = exporter.from_notebook_node(notebook)
    (work / "notebook.html").write_text(html, encoding="utf-8")


def _photograph(browser: Browser, html: Path, target: Path, height: int, quote: int) -> None:
    """Save the top of a page, with one quote unfolded to the page of the paper it stands on."""
    from PIL import Image

    with browser.new_page(viewport={"width": 1040, "height": height}, color_scheme="light") as page:
        page.goto(html.as_uri())
        page.locator("details:has(.crop) > summary").nth(quote).click()
        page.wait_for_timeout(300)
        image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    # As many colours as text needs: a picture stays well below 200 kB.
    image.quantize(96, dither=Image.Dither.NONE).save(target, optimize=True)
    say(f"{target}: {target.stat().st_size // 1000} kB")


if __name__ == "__main__":
    typer.run(run)
