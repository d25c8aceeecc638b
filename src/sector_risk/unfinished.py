"""A store that is not whole yet: the hidden folder in which it grows, and how much of it is there.

Until all draws of `forecast.zarr` are on disk, `.forecast-unfinished.zarr` beside it holds:

manifest.json   what is run, and the attributes of the whole; made when the store can be filled
store.zarr      the store: its metadata and what does not depend on draws, then a file for each chunk
done            an empty file for each region, made when its chunks are on disk
lock            held by the run that writes
"""

import json
from pathlib import Path
from typing import Any

from sector_risk.faults import Fault, InputError

__all__ = [
    "DONE",
    "LOCK",
    "MANIFEST",
    "STORE",
    "draws_on_disk",
    "read_manifest",
    "region_of",
    "regions_done",
    "unfinished_folder",
    "what_is_kept",
]

MANIFEST, STORE, DONE, LOCK = "manifest.json", "store.zarr", "done", "lock"


def unfinished_folder(target: Path) -> Path:
    """Return the folder in which a store grows until it is whole.

    >>> unfinished_folder(Path("out/forecast.zarr")).name
    '.forecast-unfinished.zarr'
    """
    return target.with_name(f".{target.stem}-unfinished{target.suffix}")


def region_of(draws: range, length: int, number: int) -> range:
    """Return the draws of a region; the last may have fewer than the others.

    >>> region_of(range(100, 125), 10, 2)
    range(120, 125)
    """
    return draws[number * length : (number + 1) * length]


def regions_done(folder: Path) -> list[int]:
    """Regions whose chunks are on disk, in order."""
    marks = (folder / DONE).iterdir() if (folder / DONE).is_dir() else ()
    return sorted(int(mark.name) for mark in marks if mark.name.isdecimal())


def draws_on_disk(folder: Path, draws: range, length: int) -> int:
    """How many draws are on disk."""
    return sum(len(region_of(draws, length, number)) for number in regions_done(folder))


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read what an unfinished store follows from.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        found: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
        range(*found["draws"]), int(found["draws_of_a_region"]), found["attrs"]["created"]
    except (ValueError, KeyError, TypeError):
        remedy = "Delete the folder to begin anew, or give another path."
        raise InputError([Fault(str(folder), "its manifest cannot be read", MANIFEST, remedy)]) from None
    return found


def what_is_kept(folder: Path) -> str:
    """Say how many draws are there, and where.

    >>> what_is_kept(Path("no-such-folder"))
    'no draws are kept'
    """
    if not (folder / MANIFEST).exists():
        return "no draws are kept"
    found = read_manifest(folder)
    draws = range(*found["draws"])
    there = draws_on_disk(folder, draws, int(found["draws_of_a_region"]))
    return f"{there:,} of {len(draws):,} draws are kept in {folder}"
