"""All passages on one page: near each other where they mean alike, as far as two axes can tell."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rag.plaintext import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from rag.views.notebook.library import Library

Points = npt.NDArray[np.float64]

NAME = 60
"""Characters of a work's name that the key shows."""


@dataclass(frozen=True, slots=True)
class Plane:
    """The two directions along which vectors differ most, and what share of the variance each
    has. Kept apart from drawing."""

    centre: Points
    axes: Points
    shares: tuple[float, float]

    @classmethod
    def of(cls, vectors: npt.NDArray[np.floating]) -> Plane:
        """The first two principal components of `vectors` [n, d]. Their signs, which are free, are
        chosen so that the largest weight of each is positive: equal vectors, equal maps."""
        rows = np.asarray(vectors, dtype=np.float64)
        centre = rows.mean(axis=0)
        _, sizes, axes = np.linalg.svd(rows - centre, full_matrices=False)
        axes, sizes = axes[:2], np.append(sizes, (0.0, 0.0))
        axes = np.vstack((axes, np.zeros((2 - len(axes), rows.shape[1]))))
        largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
        total = float((sizes**2).sum()) or 1.0
        first, second = (float(size**2) / total for size in sizes[:2])
        return cls(centre, axes * np.where(largest < 0, -1.0, 1.0), (first, second))

    def points(self, vectors: npt.NDArray[np.floating]) -> Points:
        """[n, 2]: where `vectors` [n, d] fall."""
        points: Points = (np.asarray(vectors, dtype=np.float64) - self.centre) @ self.axes.T
        return points


@dataclass(frozen=True, slots=True, repr=False)
class PassageMap:
    """The drawing, and the plane it is drawn on."""

    figure: Figure
    plane: Plane

    def __repr__(self) -> str:
        return "A map of passages; its `figure` can be saved with savefig"

    def _repr_png_(self) -> bytes:
        out = io.BytesIO()
        self.figure.savefig(out, format="png", dpi=110)
        return out.getvalue()


def passage_map(library: Library, query: str, count: int) -> PassageMap:
    """See `Library.map`. Raises ValueError where nothing is in the index."""
    from matplotlib.figure import Figure

    if not library.segments:
        raise ValueError("no passage is in the index: there is nothing to draw")
    plane = Plane.of(np.concatenate([each.vectors for each in library.segments.values()]))
    places = {source_id: plane.points(each.vectors) for source_id, each in library.segments.items()}
    works: dict[str, list[Points]] = {}
    for source_id, points in places.items():
        works.setdefault(library.names[source_id], []).append(points)

    figure = Figure(figsize=(10, 6), layout="constrained")
    axes = figure.add_subplot()
    for number, (name, parts) in enumerate(sorted(works.items())):
        x, y = np.concatenate(parts).T
        axes.scatter(
            x, y, s=44, color=_COLOURS[number % len(_COLOURS)], alpha=0.75, linewidths=0,
            marker=_MARKERS[number // len(_COLOURS) % len(_MARKERS)], label=_words(name),
        )  # fmt: skip
    if query:
        (at,) = plane.points(library.encoder.encode_queries([query]))
        axes.scatter(at[0], at[1], s=190, marker="*", color="black", zorder=3, label="the query")
        for rank, hit in enumerate(library.hits(query)[:count], start=1):
            starts = [each.start for each in library.segments[hit.source_id].passages]
            spot = places[hit.source_id][starts.index(hit.passage.start)]
            axes.scatter(spot[0], spot[1], s=170, facecolors="none", edgecolors="black", zorder=3)
            axes.annotate(str(rank), spot, xytext=(6, 6), textcoords="offset points", fontsize=11)
    first, second = plane.shares
    axes.set_xlabel(f"first principal component ({first:.0%} of the variance)")
    axes.set_ylabel(f"second ({second:.0%})")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(_words(query) if query else f"{sum(map(_size, works.values()))} passages")
    figure.legend(loc="outside lower center", ncols=2, fontsize=9, frameon=False)
    return PassageMap(figure, plane)


# Okabe and Ito's colours, which people see apart whatever colours they see; without the black.
_COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#d8c700", "#0072b2", "#d55e00", "#cc79a7")
_MARKERS = ("o", "^", "s", "D")


def _size(points: list[Points]) -> int:
    return sum(map(len, points))


def _words(name: str) -> str:
    """Words of others, in which a dollar sign would begin a formula."""
    shown = plain(name)
    return (shown if len(shown) <= NAME else shown[: NAME - 1] + "…").replace("$", "\\$")
