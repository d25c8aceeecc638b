"""A store that is filled region by region, and continued where a run was stopped.

A region is as many draws as fill one chunk of each variable. Whatever is written before a region is done is written
again, and whatever is done stays as it is: so a run that is killed at any moment and called again ends in the same
bytes.
"""

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import xarray as xr

from sector_risk.engine import BLOCK_SIZE
from sector_risk.faults import Fault, InputError, raise_if_any
from sector_risk.files import check_store, check_target, open_stored, write_forecast
from sector_risk.planned import Planned
from sector_risk.progress import draws_done, reporter
from sector_risk.store.differences import manifest, other_draws, other_forecast, other_store
from sector_risk.store.disk import check_room, lengthen, remove, sync, write_chunks, write_whole
from sector_risk.store.lock import only_writer
from sector_risk.unfinished import (
    DONE,
    LOCK,
    MANIFEST,
    STORE,
    draws_on_disk,
    read_manifest,
    region_of,
    regions_done,
    unfinished_folder,
    what_is_kept,
)

__all__ = ["write_draws"]

CHUNK_BYTES = 4 * 2**20
MOST_DRAWS = 20 * BLOCK_SIZE
"""Few trusts would fill a chunk with very many draws, of which a stop would lose as many."""
TRIAL = 8
"""Draws that are made again before a run continues, to see that they come out the same."""


def write_draws(
    planned: Planned,
    path: str | os.PathLike[str],
    *,
    threads: int | None = None,
    block_size: int | None = None,
    progress: bool | Callable[[int, int], None] = False,
) -> Path:
    """Simulate a planned forecast into a Zarr store, a few thousand draws at a time.

    The store holds what `save_forecast` would make of the whole forecast; memory does not grow with the draws. A run
    that was stopped, by whatever, continues when it is called again with the same plan, and ends in the same bytes
    as if it had not been stopped: `created` stays the time of the first start. Draws wait in a hidden folder beside
    `path` (see `sector_risk.unfinished`); nothing is at `path` until all are there. A finished store of the same
    forecast is left as it is. One of another forecast is never replaced: it may have taken hours.

    Parameters
    ----------
    planned : Planned
        The forecast.
    path : path
        Where to; it ends in `.zarr`.
    threads, block_size : int, optional
        Speed alone, as for `simulate`; a run may continue with others.
    progress : bool or function (draws on disk, draws in all)
        Draws found on disk count. True shows a line on standard error.

    Returns
    -------
    pathlib.Path
        The full path of the folder written; `open_forecast(path, lazy=True)` reads from it as needed.

    Raises
    ------
    InputError
        The ending is not `.zarr`. The path holds another forecast. The hidden folder holds draws of another forecast,
        cannot be read or is being written to by another run.
    OSError
        The place cannot be written to, or the disk has too little room, which is found out before the simulation.
    ImportError
        Zarr is not installed; the message says how to install it.

    Notes
    -----
    Every error, and an interrupt, that comes once draws are being written passes as it is, with a note (PEP 678) of
    the draws it came in and of what is kept. Two runs at one target are told apart by a lock that ends with its
    process; where the system or the file system has none (Windows, some network discs) the second run is not noticed.

    Examples
    --------
    >>> import tempfile
    >>> import sector_risk as sr
    >>> from sector_risk.assumptions import Assumptions
    >>> from sector_risk.planned import plan_run
    >>> panel, assumptions = sr.load_case("england-2018-19").isel(trust=slice(5)), Assumptions()
    >>> run, regime = plan_run(panel, assumptions, None, years=1, n_draws=300, seed=1, by_trust=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = write_draws(Planned(run, regime, panel, assumptions), Path(folder, "forecast.zarr"))
    ...     sr.open_forecast(store)["position"].equals(sr.simulate(panel, n_draws=300, seed=1)["position"])
    True
    """
    target = check_target(path, (".zarr",)).absolute()
    folder = unfinished_folder(target)
    with only_writer(folder):
        if target.exists():
            raise_if_any(other_store(planned, target))
        else:
            growing = begin(planned, folder)
            growing.fill(threads, block_size, reporter(progress, draws_done))
            growing.move_to(target)
        if not (folder / STORE).exists():  # else draws wait there for a target that was put in place otherwise
            clear(folder)
    return target


def region_length(n_trusts: int, n_draws: int) -> int:
    """Draws of a region: whole blocks that fill a chunk of trusts by draws, and no more than there are.

    >>> region_length(230, 10**6), region_length(5, 10**6), region_length(230, 100)
    (4500, 10000, 100)
    """
    blocks = CHUNK_BYTES // (4 * max(n_trusts, 1) * BLOCK_SIZE)
    return min(max(blocks, 1) * BLOCK_SIZE, MOST_DRAWS, n_draws)


@dataclass(frozen=True)
class Growing:
    """A store that is being filled, region by region."""

    planned: Planned
    folder: Path
    length: int  # draws of a region; the last may have fewer

    @property
    def store(self) -> Path:
        """Where the store is until it is whole."""
        return self.folder / STORE

    @property
    def draws(self) -> range:
        """Numbers of all draws."""
        return self.planned.run.draws

    def missing(self) -> list[int]:
        """Regions that are to be written, in order."""
        n_regions = -(-len(self.draws) // self.length)
        return sorted(set(range(n_regions)) - set(regions_done(self.folder)))

    def check_room(self) -> None:
        """Find out whether the disk has room for the draws that are to be written.

        Chunks are not compressed and of full length, so that their bytes are known beforehand.
        """
        variables = self.planned.pattern().variables.values()
        of_a_draw = sum(variable.nbytes for variable in variables if "draw" in variable.dims)
        wanted = len(self.missing()) * self.length
        check_room(self.folder, wanted * of_a_draw, f"{min(wanted, len(self.draws)):,} draws")

    def fill(self, threads: int | None, block_size: int | None, tell: Callable[[int, int], None] | None) -> None:
        """Simulate and write the regions that are not there."""
        self.tell_how_far(tell)
        for number in self.missing():
            draws = region_of(self.draws, self.length, number)
            with self.saying_what_is_kept(f"Stopped in draws {draws.start:,} to {draws.stop - 1:,}: "):
                self.keep(number, self.planned.part(draws).forecast(threads, block_size))
            self.tell_how_far(tell)

    def tell_how_far(self, tell: Callable[[int, int], None] | None) -> None:
        """Tell how many draws are on disk, and how many there are in all."""
        with self.saying_what_is_kept():
            if tell:
                tell(draws_on_disk(self.folder, self.draws, self.length), len(self.draws))

    def keep(self, number: int, part: xr.Dataset) -> None:
        """Write a region's chunks and, when they are on disk, its mark."""
        for name, variable in part.variables.items():
            if "draw" in variable.dims:
                write_chunks(self.store / str(name), number, variable.values, self.length)
        (self.folder / DONE / str(number)).touch()
        sync(self.folder / DONE)

    def move_to(self, target: Path) -> None:
        """Put the store where it belongs, if it is whole and nothing has come there meanwhile."""
        try:
            check_store(self.store)
        except InputError as error:
            remedy = f"Delete {self.folder} to begin anew."
            raise InputError(replace(fault, remedy=remedy) for fault in error.faults) from None
        with self.saying_what_is_kept():
            if target.exists():
                raise FileExistsError(errno.EEXIST, "something has come there meanwhile: move it away", str(target))
            os.rename(self.store, target)
            sync(target.parent)

    @contextmanager
    def saying_what_is_kept(self, where: str = "") -> Iterator[None]:
        """Add to an error where it came and how many draws are on disk; the error stays as it is."""
        try:
            yield
        except BaseException as error:
            error.add_note(f"{where}{what_is_kept(self.folder)}. Run the same again to go on from there.")
            raise


def begin(planned: Planned, folder: Path) -> Growing:
    """Return the store to be filled: the one that is there, if it is of the same forecast, or a new one.

    One of another forecast with no draws yet makes way.
    """
    growing = Growing(planned, folder, region_length(len(planned.run.prepared.codes), planned.run.n_draws))
    wanted = manifest(planned, growing.length)
    begun = (folder / MANIFEST).exists() and growing.store.exists()
    different = list(other_forecast(folder, wanted, read_manifest(folder))) if begun else []
    if begun and not (different and not regions_done(folder)):
        raise_if_any(different)
        with growing.saying_what_is_kept():
            growing.check_room()
            different = otherwise(growing)
        raise_if_any(different)
    else:
        start(growing, wanted)
    return growing


def otherwise(growing: Growing) -> list[Fault]:
    """Make some of the draws on disk again, and return a fault for each variable that does not come out the same."""
    done = regions_done(growing.folder)
    draws = region_of(growing.draws, growing.length, done[0] if done else 0)[:TRIAL]
    again = growing.planned.part(draws).forecast(threads=1)
    at = draws.start - growing.draws.start
    with open_stored(growing.store) as stored:
        return list(other_draws(growing.folder, again, stored.isel(draw=slice(at, at + len(draws))), bool(done)))


def start(growing: Growing, wanted: dict[str, Any]) -> None:
    """Make the store with all but its draws, then the manifest; whatever an earlier start left is removed."""
    clear(growing.folder)
    growing.check_room()
    (growing.folder / DONE).mkdir()
    few = growing.planned.part(growing.draws[:TRIAL]).forecast(threads=1)
    empty = few.isel(draw=slice(0)).assign_attrs(wanted["attrs"])
    write_forecast(empty, growing.store)
    lengthen(growing.store, len(growing.draws), growing.length)
    write_whole(growing.folder / MANIFEST, json.dumps(wanted, indent=1).encode())


def clear(folder: Path) -> None:
    """Remove all but the lock, and the manifest first: without it the folder means nothing."""
    (folder / MANIFEST).unlink(missing_ok=True)
    for entry in folder.iterdir():
        if entry.name != LOCK:
            remove(entry)
