"""The quality pack as a folder: a table a file, and a page; all of it is written or nothing."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sector_risk.files import check_target, written_beside
from sector_risk.quality.pack import TABLES, QualityPack
from sector_risk.quality.page import HEADING, SIGNATURES, quality_page

PAGE = "quality.md"
NAMES = (*(f"{name}.csv" for name in TABLES), PAGE)


def write_quality_pack(pack: QualityPack, folder: str | Path) -> list[Path]:
    """Write what a review of a forecast needs, whole or not at all.

    Parameters
    ----------
    pack : QualityPack
        From `quality_pack`.
    folder : str or Path
        Where to; it is made. An earlier pack in its place is replaced, unless somebody has signed it.

    Returns
    -------
    list of pathlib.Path
        Files written: `assumptions.csv`, `rules.csv`, `data.csv`, `decisions.csv`, `checks.csv`, `errors.csv`,
        `uncertainty.csv`, `versions.csv` and `quality.md`, which puts them together.

    Raises
    ------
    OSError
        If the folder cannot be written, is something else than a quality pack, or one that was signed.

    Examples
    --------
    >>> import tempfile
    >>> import sector_risk as sr
    >>> place = tempfile.TemporaryDirectory()
    >>> pack = sr.quality_pack(sr.simulate(sr.load_case("england-2018-19"), n_draws=200))
    >>> [path.name for path in write_quality_pack(pack, Path(place.name) / "qa")][-2:]
    ['versions.csv', 'quality.md']
    >>> place.cleanup()
    """
    target = check_folder(Path(folder))
    with written_beside(target.resolve()) as beside:
        beside.mkdir()
        for name, table in TABLES.items():
            write_table(beside / f"{name}.csv", table.row._fields, pack.tables[name])
        (beside / PAGE).write_text(quality_page(pack), encoding="utf-8")
    return [target / name for name in NAMES]


def check_folder(folder: Path) -> Path:
    """Check, before any work is done, that a quality pack can be written here, and that nothing else is lost by it.

    Raises
    ------
    OSError
        As `write_quality_pack`.
    """
    check_target(folder / PAGE, (Path(PAGE).suffix,))
    there = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    others = [name for name in there if name not in NAMES]
    if others or (there and not _text(folder / PAGE).startswith(HEADING)):
        raise FileExistsError(f"{folder} is a folder, and no quality pack: {', '.join(others or there)} would be lost")
    if there and SIGNATURES not in _text(folder / PAGE):
        raise FileExistsError(f"{folder} is a quality pack that was signed or changed; give another folder")
    return folder


def write_table(path: Path, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write rows as CSV; lists and tables as JSON."""
    with path.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(columns)
        writer.writerows([_plain(value) for value in row] for row in rows)


def _plain(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict | bool | None) else value


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
