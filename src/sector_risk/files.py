"""Saved forecasts and projections: write beside and rename, so that an interrupt never leaves a broken file.

A forecast goes to netCDF (`.nc`, one file, read by most tools) or Zarr (`.zarr`, a folder, good for very many
draws). netCDF is left uncompressed: draws shrink by a fifth and would take over ten times as long to write.
Zarr reads a chunk that is not there as if it had been left empty: every chunk is written, so that one that is
missing is found when the store is opened.
"""

import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sector_risk.faults import Fault, InputError, raise_if_any
from sector_risk.unfinished import MANIFEST, STORE, unfinished_folder, what_is_kept

__all__ = [
    "METADATA",
    "check_store",
    "check_target",
    "open_forecast",
    "open_stored",
    "save_forecast",
    "write_forecast",
    "written_beside",
]

FORECAST_SUFFIXES = (".nc", ".zarr")
METADATA = ".zmetadata"
"""The file of a Zarr store (format 2) that holds what describes all of its variables."""
REMEDY = "It is damaged: delete it and make the forecast again."
FINISH = "Run simulate(..., store=...), or the command that began it, again with the same settings to finish it."
_NEEDS = {".nc": ("h5netcdf", "h5py"), ".zarr": ("zarr",)}


def save_forecast(forecast: xr.Dataset, path: str | os.PathLike[str]) -> Path:
    """Save a forecast as netCDF or Zarr, whole or not at all.

    The forecast is written under a temporary name in the same folder and renamed when it is complete: an
    interrupt leaves an earlier file as it was. Missing folders are made.

    Parameters
    ----------
    forecast : xarray.Dataset
        What `sector_risk.simulate`, `project`, `summarise` or `summarise_projection` gave.
    path : path
        Where to; the ending chooses the format: `.nc` or `.zarr`.

    Returns
    -------
    pathlib.Path
        The file (or, for Zarr, the folder) written.

    Raises
    ------
    InputError
        The ending is neither `.nc` nor `.zarr`.
    OSError
        The place cannot be written to, or a folder that is not a Zarr store stands there.
    ImportError
        The reader and writer for that format is not installed; the message says how to install it.

    Examples
    --------
    >>> import tempfile, pathlib, xarray as xr
    >>> forecast = xr.Dataset({"position": ("draw", [1.0, -2.0])}, attrs={"seed": 0})
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = save_forecast(forecast, pathlib.Path(folder.name) / "forecast.nc")
    >>> open_forecast(path).identical(forecast)
    True
    >>> folder.cleanup()
    """
    target = check_target(path)
    with written_beside(target) as temporary:
        write_forecast(forecast, temporary)
    return target


def open_forecast(path: str | os.PathLike[str], *, lazy: bool = False) -> xr.Dataset:
    """Open a saved forecast: with everything in memory and the file closed, or reading only what is asked for.

    Parameters
    ----------
    path : path
        A `.nc` file or `.zarr` folder that `save_forecast` or `simulate(store=...)` wrote.
    lazy : bool
        Read nothing yet. Values are read whenever they are used and are not kept, so a forecast may be larger than
        memory: select draws or trusts first, `forecast["position"].isel(draw=slice(1000))`. A netCDF file stays open
        until `forecast.close()`. A chunk that is damaged is then found only when it is read.

    Returns
    -------
    xarray.Dataset
        The forecast, attributes included.

    Raises
    ------
    FileNotFoundError
        Nothing is there; the message says if an unfinished store is beside it, and how to finish it.
    InputError
        The ending is neither `.nc` nor `.zarr`. The folder is that of an unfinished store. A store lacks its metadata
        or chunks, or a variable cannot be read; every file is named.
    ImportError
        The reader for that format is not installed; the message says how to install it.

    Examples
    --------
    >>> open_forecast("no-such-forecast.nc")
    Traceback (most recent call last):
    ...
    FileNotFoundError: no forecast at no-such-forecast.nc
    """
    source = Path(path).expanduser()
    suffix = _known_suffix(source, FORECAST_SUFFIXES)
    _check_finished(source)
    _require(suffix)
    if suffix == ".zarr":
        check_store(source)
    stored = open_stored(source)
    if lazy:
        return stored
    with stored:
        for name, variable in stored.variables.items():
            with _named(source, str(name)):
                variable.load()
        return stored


def _check_finished(source: Path) -> None:
    """Raise an error if nothing is there, or a store that is not whole yet; say how to finish one."""
    beside = unfinished_folder(source.absolute())
    if not source.exists():
        hint = f"; it is unfinished: {what_is_kept(beside)}. {FINISH}" if (beside / MANIFEST).exists() else ""
        raise FileNotFoundError(f"no forecast at {source}{hint}")
    within = (source.parent if source.name == STORE else source).absolute()
    if within.stem.endswith("-unfinished") and (within / MANIFEST).exists():
        raise InputError([Fault(str(within), f"the store is unfinished: {what_is_kept(within)}", "", FINISH)])


def open_stored(source: Path) -> xr.Dataset:
    """Open a file or store unchecked, to be read as it is used."""
    engine = "h5netcdf" if source.suffix == ".nc" else "zarr"
    with _named(source, "it"):
        stored = xr.open_dataset(source, engine=engine, chunks=None, cache=False)
        plain = _plain(stored)
    plain.set_close(stored.close)
    return plain


def check_store(path: Path) -> None:
    """Find out whether a Zarr store has its metadata and, if this package wrote it, all of its chunks.

    Parameters
    ----------
    path : pathlib.Path
        The folder.

    Raises
    ------
    InputError
        With every file that is missing, or is too short or too long.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory(suffix=".zarr")
    >>> try:
    ...     check_store(Path(folder.name))
    ... except InputError as error:
    ...     print(error.faults[0])
    metadata is missing ('.zmetadata'). It is damaged: delete it and make the forecast again.
    >>> folder.cleanup()
    """
    if (path / "zarr.json").exists():  # format 3, which is never ours
        return
    if not (path / METADATA).exists():
        raise InputError([Fault(str(path), "metadata is missing", METADATA, REMEDY)])
    with _named(path, METADATA):
        faults = list(_store_faults(path, json.loads((path / METADATA).read_bytes())["metadata"]))
    raise_if_any(faults)


def _store_faults(path: Path, metadata: dict[str, Any]) -> Iterator[Fault]:
    """Yield what is wrong with the chunks of a store, if this package wrote it."""
    if {"format", "versions"} <= metadata[".zattrs"].keys():
        arrays = {key.removesuffix("/.zarray"): value for key, value in metadata.items() if key.endswith("/.zarray")}
        yield from (fault for name, array in arrays.items() for fault in _chunk_faults(path, name, array))


def _chunk_faults(store: Path, name: str, array: dict[str, Any]) -> Iterator[Fault]:
    """Yield a fault for each chunk of a variable that is not there or, where its length is known, has another."""
    grid = [range(-(-size // step)) for size, step in zip(array["shape"], array["chunks"], strict=True)]
    folder = store / name
    sizes = {entry.name: entry.stat().st_size for entry in os.scandir(folder)} if folder.is_dir() else {}
    as_they_are = array["compressor"] is None and not array["filters"]
    length = prod(array["chunks"]) * np.dtype(array["dtype"]).itemsize if as_they_are else None
    for place in product(*grid):
        chunk = ".".join(map(str, place)) or "0"
        if chunk not in sizes:
            yield Fault(str(store), "a chunk is missing", f"{name}/{chunk}", REMEDY, variable=name)
        elif length not in (None, sizes[chunk]):
            rule = f"a chunk has {sizes[chunk]:,} bytes instead of {length:,}"
            yield Fault(str(store), rule, f"{name}/{chunk}", REMEDY, variable=name)


@contextmanager
def _named(source: Path, what: str) -> Iterator[None]:
    """Say what of a file cannot be read, where the reader's own error does not."""
    try:
        yield
    except Exception as error:
        if isinstance(error, MemoryError) or getattr(error, "errno", None) is not None:  # the system's own
            raise
        came = f"{type(error).__name__}: {error}"
        raise InputError([Fault(str(source), f"{what} cannot be read", came, REMEDY)]) from error


def write_forecast(forecast: xr.Dataset, path: Path) -> None:
    """Write `forecast` at `path` as it stands; `save_forecast` is the safe way."""
    forecast = _typed(forecast)
    if path.suffix == ".nc":
        forecast.to_netcdf(path, engine="h5netcdf")
    else:
        _write_store(forecast, path)


def _write_store(forecast: xr.Dataset, path: Path) -> None:
    """Write a Zarr store. Zarr has a thread of its own that an interrupt does not stop: wait for it to end."""
    with ThreadPoolExecutor(1) as writer:
        # Format 3 has no settled way to store text.
        writer.submit(forecast.to_zarr, path, mode="w", zarr_format=2, write_empty_chunks=True).result()


def check_target(path: str | os.PathLike[str], suffixes: tuple[str, ...] = FORECAST_SUFFIXES) -> Path:
    """Check, before any work is done, that `path` can be written, and give it back as a `Path`.

    Parameters
    ----------
    path : path
        The file to be written.
    suffixes : tuple of str
        The endings that will do.

    Returns
    -------
    pathlib.Path
        The same path.

    Raises
    ------
    InputError, OSError, ImportError
        As `save_forecast`.

    Examples
    --------
    >>> check_target("forecast.csv")
    Traceback (most recent call last):
    ...
    sector_risk.faults.InputError: 1 fault in forecast.csv:
      unknown ending '.csv'; use .nc or .zarr. For example forecast.nc.
    """
    target = Path(path).expanduser()
    suffix = _known_suffix(target, suffixes)
    _require(suffix)
    if target.is_dir() and not _is_zarr_store(target):
        raise IsADirectoryError(f"{target} is a folder, not a file")
    if suffix == ".zarr" and target.is_file():
        raise FileExistsError(f"{target} is a file; a Zarr store is a folder")
    _check_writable(target.parent)
    return target


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; rename it to `path` if all went well, else remove it.

    Parameters
    ----------
    path : pathlib.Path
        Where the finished file or folder belongs. Missing parent folders are made.

    Yields
    ------
    pathlib.Path
        The name to write under: hidden, in the same folder, with the same ending.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name) / "note.txt"
    >>> with written_beside(path) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> path.read_text()
    'whole'
    >>> folder.cleanup()
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _hidden_name(path)
    try:
        yield temporary
        _replace(temporary, path)
    finally:
        _remove(temporary)


def _known_suffix(path: Path, suffixes: tuple[str, ...]) -> str:
    if path.suffix not in suffixes:
        rule = f"unknown ending {path.suffix!r}; use {' or '.join(suffixes)}"
        raise InputError([Fault(str(path), rule, "", f"For example {path.stem or 'forecast'}{suffixes[0]}.")])
    return path.suffix


def _require(suffix: str) -> None:
    missing = [name for name in _NEEDS.get(suffix, ()) if find_spec(name) is None]
    if missing:
        remedy = f"pip install 'sector-risk[files]' {' '.join(missing)}"
        raise ImportError(f"{suffix} files need {' and '.join(missing)}; install with: {remedy}")


def _is_zarr_store(path: Path) -> bool:
    return (path / "zarr.json").exists() or (path / ".zgroup").exists()


def _check_writable(folder: Path) -> None:
    """Try to make a file in `folder`, or in the nearest folder above it that exists."""
    while not folder.exists():
        folder = folder.parent
    with tempfile.TemporaryFile(dir=folder):
        pass


def _hidden_name(path: Path) -> Path:
    return path.with_name(f".{path.stem}-{uuid.uuid4().hex[:8]}{path.suffix}")


def _replace(new: Path, old: Path) -> None:
    """Put `new` where `old` is, or where nothing is.

    A folder cannot be renamed over another, so an old one steps aside and is removed when the new one is in place.
    """
    if not old.is_dir():
        os.replace(new, old)
        return
    aside = _hidden_name(old)
    old.rename(aside)
    new.rename(old)
    _remove(aside)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _typed(data: xr.Dataset) -> xr.Dataset:
    """Say that an empty list of labels is text: a file takes untyped nothing for numbers."""
    empty = [name for name, values in data.variables.items() if values.dtype == object and not values.size]
    return data.assign({name: data[name].astype("<U1") for name in empty})


def _plain(stored: xr.Dataset) -> xr.Dataset:
    """Attributes and text as plain Python numbers and strings, and no leftovers of how the file was encoded."""
    attrs = {key: getattr(value, "tolist", lambda v=value: v)() for key, value in stored.attrs.items()}
    texts = [name for name, values in stored.variables.items() if values.dtype.kind == "T"]
    plain = stored.assign({name: stored[name].astype(object) for name in texts})
    return plain.drop_encoding().assign_attrs(attrs)
