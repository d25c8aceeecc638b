"""The one look of all pictures: colours, titles that say the finding, labels that do not overlap, pages saved whole."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.ticker import StrMethodFormatter
from numpy.typing import NDArray

from sector_risk.files import check_target, written_beside
from sector_risk.readings import counted_draws, money, regime_name

INK, MUTED, GRID = "#212b32", "#5b6770", "#d8dde0"
BLUE, ADVERSE, FAVOURABLE, PLAN = "#005eb8", "#c0392b", "#00837a", "#212b32"
FAN = (0.05, 0.25, 0.5, 0.75, 0.95)
BANDS = "Dark band: half of the draws. Light band: nine in ten."
LEGEND: dict[str, Any] = {
    "frameon": False,
    "fontsize": 9.5,
    "handletextpad": 0.2,
    "columnspacing": 1.2,
    "borderaxespad": 0,
}
_END_LABEL: dict[str, Any] = {
    "va": "center",
    "fontsize": 9.5,
    "bbox": {"facecolor": "white", "linewidth": 0, "pad": 1.5},
}
_ROW_NAME: dict[str, Any] = {
    "va": "bottom",
    "fontsize": 9.5,
    "color": INK,
    "bbox": {"facecolor": "white", "linewidth": 0, "pad": 0.5},
}
_MONEY = StrMethodFormatter("{x:,.0f}")
_NOTE = "note"
NARROW = 300.0  # points of width, below which labels are fewer
LINE = 13.0  # points from one line of text to the next


def axes_or_new(ax: Axes | None) -> Axes:
    """The axes given, or new ones on a page of their own."""
    return Figure(figsize=(7, 5), layout="constrained").subplots() if ax is None else ax


def page(width: float, height: float) -> Figure:
    """A page with room for a footnote."""
    layout = ConstrainedLayoutEngine(w_pad=0.2, h_pad=0.15, rect=(0, 0.03, 1, 0.97))
    return Figure(figsize=(width, height), dpi=150, layout=layout, facecolor="white")


def target_of(path: str | os.PathLike[str] | None) -> Path | None:
    """Check, before anything is drawn, that a page can be saved there."""
    return None if path is None else check_target(path, (".png", ".pdf", ".svg"))


def signed(figure: Figure, footnote: str, target: Path | None) -> Figure:
    """Put the footnote under a page, and save it, if anywhere, whole or not at all."""
    figure.text(0.012, 0.012, footnote, fontsize=8.5, color=MUTED, parse_math=False)
    if target is not None:
        with written_beside(target) as temporary:
            figure.savefig(temporary)
    return figure


def finish(ax: Axes, title: str, note: str, grid: Literal["x", "y"]) -> Axes:
    """Give all pictures one look: the finding as title, how to read it below, few lines; names are never formulas."""
    ax.set_title(title, loc="left", fontsize=12.5, fontweight="bold", color=INK, pad=24)
    ax.annotate(note, (0, 1), (0, 7), "axes fraction", textcoords="offset points", fontsize=9, color=MUTED, gid=_NOTE)
    ax.grid(axis=grid, color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0, labelcolor=INK, labelsize=9.5)
    (ax.yaxis if grid == "y" else ax.xaxis).set_major_formatter(_MONEY)
    for words in ax.findobj(Text):
        words.set_parse_math(False)
    return ax


def take_words(ax: Axes) -> tuple[str, str]:
    """Take title and note off a finished picture, to stand beside it, and give them back.

    Examples
    --------
    >>> ax = finish(axes_or_new(None), "Costs rise", "By month.", grid="y")
    >>> take_words(ax), ax.get_title(loc="left")
    (('Costs rise', 'By month.'), '')
    """
    title, note = ax.get_title(loc="left"), ""
    ax.set_title("", loc="left", pad=0)
    for words in [words for words in ax.texts if words.get_gid() == _NOTE]:
        note = words.get_text()
        words.remove()
    return title, note


def size_of(ax: Axes) -> tuple[float, float]:
    """Width and height of axes in points, before any layout."""
    return 72 * ax.bbox.width / ax.figure.dpi, 72 * ax.bbox.height / ax.figure.dpi


def is_narrow(ax: Axes) -> bool:
    """Whether there is little room for labels, as on a telephone."""
    return size_of(ax)[0] < NARROW


def bar_height(ax: Axes) -> float:
    """Part of a row that its bar takes: less where the name stands above it."""
    return 0.38 if is_narrow(ax) else 0.66


def name_rows(ax: Axes, rows: NDArray[Any], names: Sequence[str]) -> None:
    """Name the bars of a picture, the first on top: beside them or, where there is little room, above them."""
    ax.set_yticks(rows, ["" for _ in names] if is_narrow(ax) else names)
    if is_narrow(ax):
        for row, name in zip(rows, names, strict=True):
            ax.annotate(name, (0, row - 0.25), xycoords=("axes fraction", "data"), **_ROW_NAME)
    ax.set_ylim(len(rows) - 0.4, -0.8 if is_narrow(ax) else -0.6)
    ax.use_sticky_edges = False
    ax.margins(x=0.18 if is_narrow(ax) else 0.14)


def label_ends(ax: Axes, month: float, values: dict[str, float]) -> None:
    """Name the lines where they end, pushed apart by the height of a line of text so that no two labels overlap."""
    _, points = size_of(ax)
    gap, reach = LINE / points * np.ptp(ax.get_ylim()), 0.011 * np.ptp(ax.get_xlim())
    height = -np.inf
    for name, value in sorted(values.items(), key=lambda item: item[1]):
        height = max(height + gap, value)
        colour = {"plan": PLAN, "breakeven": PLAN, "underlying": MUTED}.get(name, BLUE)
        ax.text(month + reach, height, f"{name} {signed_money(value)}", color=colour, **_END_LABEL)


def label_bar(ax: Axes, row: float, left: float, length: float, value: float | None = None) -> None:
    """Write a bar's length, or another value, just beyond its end, on the side that it points to, by its sign."""
    outward = int(np.copysign(1, length))
    ax.annotate(
        signed_money(length if value is None else value),
        (left + length, row),
        xytext=(4 * outward, 0),
        textcoords="offset points",
        ha="right" if outward < 0 else "left",
        va="center",
        fontsize=9.5,
        color=INK,
    )


def signed_money(value: float) -> str:
    """GBP million with a minus sign as long as a plus."""
    return money(value).replace("-", "\N{MINUS SIGN}")


def short(code: str, name: str, most: int = 26) -> str:
    """Give the name if it is short, else the beginning of it, on one line.

    >>> short("ZZ1", "A name that goes on and on and on")
    'A name that goes on and o…'
    """
    label = " ".join("".join(c if c.isprintable() else " " for c in name or code).split())
    return label if len(label) <= most else f"{label[: most - 1].rstrip()}…"


def footnote(result: xr.Dataset) -> str:
    """What figures are, which rules hold, and how many trusts and draws there are."""
    draws = counted_draws(result.sizes.get("draw") or result.attrs["n_draws"])  # a summary has kept none
    who = f"{result.sizes['trust']} trusts, {draws}, seed {result.attrs['seed']}"
    synthetic = " Trusts are synthetic." if result.attrs.get("synthetic") else ""
    signs = "GBP million after support; surplus positive, deficit negative."
    return f"{signs} Rules: {regime_name(result.attrs)}. {who}.{synthetic}"
