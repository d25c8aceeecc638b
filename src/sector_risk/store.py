"""Forecasts larger than memory: simulated region by region into a Zarr store, and continued where a run was stopped.

A region is as many draws as fill one chunk of each variable. Until all are there, the store grows in a hidden folder
beside its target that is named after it (`.forecast-unfinished.zarr` for `forecast.zarr`):

manifest.json   what is run, and the attributes of the whole; made when the store can be filled
store.zarr      the store: its metadata and what does not depend on draws, then a file for each chunk
done            an empty file for each region, made when its chunks are on disk
lock            held by the run that writes

Whatever is written before a region is done is written again, and whatever is done stays as it is: so a run that is
killed at any moment and called again ends in the same bytes. Chunks are not compressed, as draws hardly shrink; such
a chunk is its array's own bytes, which are written without passing through Zarr.
"""

import errno
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import xarray as xr

from sector_risk.engine import BLOCK_SIZE
from sector_risk.faults import Fault, InputError, raise_if_any
from sector_risk.files import METADATA, check_store, check_target, open_stored, put_in_place, write_forecast
from sector_risk.planned import Planned
from sector_risk.progress import draws_done, reporter

__all__ = ["unfinished_folder", "write_draws"]

FORMAT = 1
CHUNK_BYTES = 4 * 2**20
MOST_DRAWS = 20 * BLOCK_SIZE
"""Few trusts would fill a chunk with very many draws, of which a stop would lose as many."""
TRIAL = 8
"""Draws that are made again before a run continues, to see that they come out the same."""
MANIFEST, LOCK, DONE, STORE, ASIDE = "manifest.json", "lock", "done", "store.zarr", "replaced.zarr"
REMEDY = "Delete the folder to begin anew, give another path, or ask for the same forecast."
NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
"""What a file system says that has no locks."""


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
    `path`; nothing is at `path`, or the earlier store, until all are there. A finished store of the same forecast is
    left as it is.

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
        The folder written; `open_forecast(path, lazy=True)` reads from it as needed.

    Raises
    ------
    InputError
        The hidden folder holds draws of another forecast, cannot be read or is being written to by another run.
    ValueError
        The ending is not `.zarr`.
    OSError
        The place cannot be written to, or the disk is full; what is on disk is kept, and the message says how much.
    ImportError
        Zarr is not installed; the message says how to install it.

    Notes
    -----
    Other errors, and an interrupt, pass as they are, with a note of the draws they came in and of what is kept.
    Two runs at one target are told apart by a lock that ends with its process; where the system or the file system
    has none (Windows, some network discs) the second run is not noticed.

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
    target = check_target(path, (".zarr",))
    folder = unfinished_folder(target)
    tell = reporter(progress, draws_done)
    with only_writer(folder):
        if is_written(planned, target) and not (folder / MANIFEST).exists():
            return target
        growing = begin(planned, folder, target)
        if growing.store.exists():  # else it was moved to its target by a run that was stopped right after
            growing.fill(threads, block_size, tell)
            growing.move_to(target)
        clear(folder)
    return target


def unfinished_folder(target: Path) -> Path:
    """Return the folder in which a store grows until it is whole.

    >>> unfinished_folder(Path("out/forecast.zarr")).name
    '.forecast-unfinished.zarr'
    """
    return target.with_name(f".{target.stem}-unfinished{target.suffix}")


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

    def region(self, number: int) -> range:
        """Numbers of a region's draws."""
        return self.draws[number * self.length : (number + 1) * self.length]

    def done(self) -> list[int]:
        """Regions whose chunks are on disk, in order."""
        return sorted(int(mark.name) for mark in (self.folder / DONE).iterdir() if mark.name.isdecimal())

    def kept(self) -> int:
        """Draws on disk."""
        return sum(len(self.region(number)) for number in self.done())

    def fill(self, threads: int | None, block_size: int | None, tell: Callable[[int, int], None] | None) -> None:
        """Simulate and write the regions that are not there."""
        done, n_regions = set(self.done()), -(-len(self.draws) // self.length)
        tell = tell or (lambda *_: None)
        with self.saying_what_is_kept("counting draws"):
            tell(self.kept(), len(self.draws))
        for number in sorted(set(range(n_regions)) - done):
            draws = self.region(number)
            with self.saying_what_is_kept(f"draws {draws.start:,} to {draws.stop - 1:,}"):
                self.keep(number, self.planned.part(draws).forecast(threads, block_size))
                tell(self.kept(), len(self.draws))

    def keep(self, number: int, part: xr.Dataset) -> None:
        """Write a region's chunks and, when they are on disk, its mark."""
        for name, variable in part.variables.items():
            if "draw" in variable.dims:
                write_chunks(self.store / str(name), number, variable.values, self.length)
        (self.folder / DONE / str(number)).touch()
        sync(self.folder / DONE)

    def move_to(self, target: Path) -> None:
        """Put the store where it belongs, if it is whole."""
        try:
            check_store(self.store)
        except InputError as error:
            remedy = f"Delete {self.folder} to begin anew."
            raise InputError(replace(fault, remedy=remedy) for fault in error.faults) from None
        with self.saying_what_is_kept(f"moving it to {target}"):
            check_target(target, (".zarr",))
            remove(self.folder / ASIDE)
            put_in_place(self.store, target, self.folder / ASIDE)
            sync(target.parent)

    @contextmanager
    def saying_what_is_kept(self, doing: str) -> Iterator[None]:
        """Add to an error where it came and how many draws are on disk; the error stays of its kind."""
        try:
            yield
        except BaseException as error:
            kept = f"{self.kept():,} of {len(self.draws):,} draws are kept in {self.folder}"
            note = f"{doing}: {kept}; the same call continues from there"
            if isinstance(error, OSError) and error.errno is not None:
                raise OSError(error.errno, f"{error.strerror}; {note}", error.filename) from error
            error.add_note(note)
            raise


def begin(planned: Planned, folder: Path, target: Path) -> Growing:
    """Return the store to be filled: the one that is there, if it is of the same forecast, or a new one."""
    run = planned.run
    growing = Growing(planned, folder, region_length(len(run.prepared.codes), run.n_draws))
    wanted = manifest(growing)
    found = read_manifest(folder) if (folder / MANIFEST).exists() else None
    differences = [] if found is None else list(other_forecast(folder, wanted, found))
    if found is not None and growing.store.exists():
        raise_if_any(differences)
        raise_if_any(other_draws(growing))
    elif found is None or differences or not is_there(target, found["attrs"]):
        start(growing, wanted)
    return growing


def is_written(planned: Planned, target: Path) -> bool:
    """Tell whether the target is a finished store of the very forecast that is planned."""
    if (target / "variance_by_quarter").exists() != planned.run.by_quarter:
        return False
    return stored_attrs(target) | {"created": ""} == plain(planned.provenance()) | {"created": ""}


def is_there(target: Path, attrs: dict[str, Any]) -> bool:
    """Tell whether the store at the target is the one with these attributes, the time of its start among them."""
    return stored_attrs(target) == attrs


def stored_attrs(target: Path) -> dict[str, Any]:
    """Read the attributes of the store at the target; none where there is no store."""
    described = target / ".zattrs"
    found = read_json(described.read_text(encoding="utf-8")) if described.exists() else {}
    return found if isinstance(found, dict) else {}


def manifest(growing: Growing) -> dict[str, Any]:
    """What a store follows from, all of which must be the same for a run to continue; `created` alone may differ."""
    run, draws = growing.planned.run, growing.draws
    what = {"draws": [draws.start, draws.stop], "by_quarter": run.by_quarter, "draws_of_a_region": growing.length}
    return {"manifest_format": FORMAT} | plain(what | {"attrs": growing.planned.provenance()})


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as Zarr stores them: NumPy's numbers and arrays as Python's own."""
    made: dict[str, Any] = json.loads(json.dumps(values, default=lambda value: value.tolist()))
    return made


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read what an unfinished store follows from."""
    try:
        found: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
        found["attrs"]["created"]
    except (ValueError, KeyError, TypeError):
        remedy = "Delete the folder to begin anew, or give another path."
        raise InputError([Fault(str(folder), "its manifest cannot be read", MANIFEST, remedy)]) from None
    return found


def other_forecast(folder: Path, wanted: dict[str, Any], found: dict[str, Any]) -> Iterator[Fault]:
    """Yield a fault for each thing in which the forecast that is asked for differs from the one that is there."""
    asked, there = dict(leaves("", wanted)), dict(leaves("", found))
    rule = "the folder holds draws of another forecast"
    for name in sorted(asked.keys() | there.keys()):
        if name != "created" and asked.get(name) != there.get(name):
            came = f"{shown(there.get(name))} there, {shown(asked.get(name))} asked for"
            yield Fault(str(folder), rule, came, REMEDY, variable=name)


def shown(leaf: str | None) -> str:
    """Return a value short enough for a message.

    >>> shown("1"), shown(None), shown("x" * 60)
    ('1', 'nothing', 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...')
    """
    if leaf is None:
        return "nothing"
    return leaf if len(leaf) <= 40 else f"{leaf[:37]}..."


def leaves(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield every single value of nested tables under its full name; text that is JSON is looked into.

    >>> dict(leaves("", {"attrs": {"seed": "1", "regime": '{"name": "none"}'}}))
    {'seed': '1', 'regime.name': 'none'}
    """
    inner = read_json(value) if isinstance(value, str) and value[:1] in ("{", "[") else value
    if isinstance(inner, list):
        inner = dict(enumerate(inner))
    if not isinstance(inner, dict):
        yield name, str(value)
        return
    for key, part in inner.items():
        yield from leaves(f"{name}.{key}" if name not in ("", "attrs") else str(key), part)


def read_json(text: str) -> Any:
    """Return what a text holds, or the text where it only looks like JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def other_draws(growing: Growing) -> Iterator[Fault]:
    """Yield a fault for each variable whose stored values do not come out the same again in the first draws.

    This sees what the manifest cannot: functions of a user's drivers and rules, or a computer that rounds otherwise.
    """
    done = growing.done()
    draws = growing.region(done[0] if done else 0)[:TRIAL]
    again = growing.planned.part(draws).forecast(threads=1)
    at = draws.start - growing.draws.start
    with open_stored(growing.store) as stored:
        there = stored.isel(draw=slice(at, at + len(draws))).variables
        for name, variable in again.variables.items():
            known = bool(done) or "draw" not in variable.dims
            if name not in there or (known and not same(variable, there[name])):
                rule = "the draws in the folder do not come out the same again"
                yield Fault(str(growing.folder), rule, "", REMEDY, variable=str(name))


def same(variable: xr.Variable, other: xr.Variable) -> bool:
    """Tell whether two variables have the same dimensions and values."""
    return bool(variable.equals(other))  # type: ignore[no-untyped-call]


def start(growing: Growing, wanted: dict[str, Any]) -> None:
    """Make the store with all but its draws, then the manifest; whatever an earlier start left is removed."""
    for entry in growing.folder.iterdir():
        if entry.name != LOCK:
            remove(entry)
    (growing.folder / DONE).mkdir()
    with growing.saying_what_is_kept("beginning"):
        few = growing.planned.part(growing.draws[:TRIAL]).forecast(threads=1)
        empty = few.isel(draw=slice(0)).assign_attrs(wanted["attrs"])
        write_forecast(empty, growing.store)
        lengthen(growing.store, len(growing.draws), growing.length)
        write_whole(growing.folder / MANIFEST, json.dumps(wanted, indent=1).encode())


def lengthen(store: Path, n_draws: int, length: int) -> None:
    """Give variables by draw, which have none yet, room for `n_draws` in chunks of `length`, not compressed."""
    metadata = json.loads((store / METADATA).read_bytes())
    known = metadata["metadata"]
    for name in [key.removesuffix("/.zarray") for key in known if key.endswith("/.zarray")]:
        if "draw" in known[f"{name}/.zattrs"]["_ARRAY_DIMENSIONS"]:
            array = known[f"{name}/.zarray"]
            *rows, _ = array["shape"]
            array["shape"] = [*rows, n_draws]
            array["chunks"] = [*(1 for _ in rows[:-1]), *(max(size, 1) for size in rows[-1:]), length]
            array["compressor"] = None
            write_whole(store / name / ".zarray", json.dumps(array, indent=2).encode())
    write_whole(store / METADATA, json.dumps(metadata, indent=2).encode())


def write_chunks(folder: Path, region: int, values: np.ndarray, length: int) -> None:
    """Write one region of a variable (..., row, draw): a chunk for each index before the last two."""
    if not values.size:  # as many funds or actions as there are none
        return
    kind = np.dtype(json.loads((folder / ".zarray").read_bytes())["dtype"])
    for place in np.ndindex(values.shape[:-2]):
        chunk = np.zeros((*values.shape[-2:-1], length), kind)  # the last region's too is of full length
        chunk[..., : values.shape[-1]] = values[place]
        name = ".".join(map(str, (*place, *(0 for _ in values.shape[-2:-1]), region)))
        write_through(folder / name, chunk.data)
    sync(folder)


def write_through(path: Path, data: bytes | memoryview) -> None:
    """Write a file and wait until it is on disk."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f"{path.name}.new")
    write_through(temporary, data)
    os.replace(temporary, path)
    sync(path.parent)


def sync(folder: Path) -> None:
    """Wait until a folder's names are on disk; Windows cannot be asked."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def clear(folder: Path) -> None:
    """Remove what is left of a store that was moved: the manifest last, for without it the folder means nothing."""
    for entry in folder.iterdir():
        if entry.name not in (LOCK, MANIFEST):
            remove(entry)
    (folder / MANIFEST).unlink()


def remove(path: Path) -> None:
    """Remove a folder or file, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; afterwards remove a folder without a manifest, in which nothing is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        file = open(folder / LOCK, "ab")  # noqa: SIM115
    except FileNotFoundError:  # another run has just ended and removed the folder
        raise busy(folder) from None
    with file:
        if not take(file) or not same_file(file, folder / LOCK):
            raise busy(folder)
        try:
            yield
        finally:
            if not (folder / MANIFEST).exists():
                shutil.rmtree(folder, ignore_errors=True)


def busy(folder: Path) -> InputError:
    """Return the error of a second run at the same target."""
    remedy = "Wait until it has ended, or give another path."
    return InputError([Fault(str(folder), "another run is writing this forecast", "", remedy)])


def take(file: IO[bytes]) -> bool:
    """Take a lock that ends with this process, however it ends; say whether it was free."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    return True


def same_file(file: IO[bytes], path: Path) -> bool:
    """Tell whether an open file is still the one of that name."""
    return path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())
