"""Pictures of matplotlib as SVG that can stand inside a page: text kept as text, no ids that two pictures share."""

import io
import re
import threading
import warnings
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sector_risk.plots import take_words

__all__ = ["draw_svg"]

# Measured with the font that comes with matplotlib, so that every machine draws the same; the page's own is narrower.
FONT = "DejaVu Sans"
NO_METADATA: dict[str, Any] = dict.fromkeys(("Creator", "Date", "Format", "Type"))
UNWANTED = ("metadata", "style")
REFERENCE = re.compile(r"^#(.+)|url\(#(.+?)\)")
SPACE, LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
# matplotlib reads how to write text and name parts from settings that all threads share.
_SETTINGS = threading.Lock()


def draw_svg(draw: Callable[[Axes], Axes], size: tuple[float, float], name: str) -> tuple[Markup, str, str]:
    """Draw a picture and return it as an SVG element, with its title and its note, which are left out of it.

    Parameters
    ----------
    draw : callable
        Draws on the axes that it is given.
    size : tuple of float
        Width and height in inches; a unit of the element is a point.
    name : str
        What ids inside the element are made from; no two pictures of a page may have the same.

    Examples
    --------
    >>> def draw(ax):
    ...     ax.plot([1, 2])
    ...     ax.set_title("<Up>", loc="left")
    ...     return ax
    >>> picture, title, note = draw_svg(draw, (3, 2), "up")
    >>> picture.startswith("<svg"), "Up" in picture, title, note
    (True, False, '<Up>', '')
    """
    settings: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": name, "font.family": [FONT]}
    with _SETTINGS, mpl.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # the reader's browser has more fonts
        figure = Figure(figsize=size, layout="constrained")
        title, note = take_words(draw(figure.subplots()))
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata=NO_METADATA, transparent=True)
    return _inline(file.getvalue()), title, note


def _inline(svg: bytes) -> Markup:
    """Strip what a page does not need: names of parts that nothing refers to, styles for all of a page, metadata."""
    root = ElementTree.fromstring(svg)
    linked = {id_ for part in root.iter() for value in part.attrib.values() for id_ in _ids_in(value)}
    for part in list(root.iter()):
        for child in [child for child in part if child.tag.removeprefix(SPACE) in UNWANTED]:
            part.remove(child)
        part.tag = part.tag.removeprefix(SPACE)
        kept = {key: value for key, value in part.attrib.items() if key != "id" or value in linked}
        part.attrib = {key.replace(LINK, "href"): value for key, value in kept.items()}
    root.attrib = {"viewBox": root.attrib["viewBox"], "aria-hidden": "true", "focusable": "false"}
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _ids_in(value: str) -> list[str]:
    """The ids that an attribute refers to."""
    return ["".join(found) for found in REFERENCE.findall(value)]
