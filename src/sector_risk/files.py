"""Saved forecasts and projections: write beside and rename, so that an interrupt never leaves a broken file.

A forecast goes to netCDF (`.nc`, one file, read by most tools) or Zarr (`.zarr`, a folder, good for very many
draws). netCDF is left uncompressed: draws shrink by a fifth and would take over ten times as long to write.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import xarray as xr

__all__ = ["check_target", "open_forecast", "save_forecast", "written_beside"]

FORECAST_SUFFIXES = (".nc", ".zarr")
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
    ValueError
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


def open_forecast(path: str | os.PathLike[str]) -> xr.Dataset:
    """Open a saved forecast, with everything in memory and the file closed.

    Parameters
    ----------
    path : path
        A `.nc` file or `.zarr` folder that `save_forecast` wrote.

    Returns
    -------
    xarray.Dataset
        The forecast, attributes included.

    Raises
    ------
    FileNotFoundError
        Nothing is there.
    ValueError
        The ending is neither `.nc` nor `.zarr`.
    ImportError
        The reader for that format is not installed; the message says how to install it.

    Examples
    --------
    >>> open_forecast("no-such-forecast.nc")
    Traceback (most recent call last):
    ...
    FileNotFoundError: no forecast at no-such-forecast.nc
    """
    source = Path(path)
    suffix = _known_suffix(source, FORECAST_SUFFIXES)
    if not source.exists():
        raise FileNotFoundError(f"no forecast at {source}")
    _require(suffix)
    engine = "h5netcdf" if suffix == ".nc" else "zarr"
    with xr.open_dataset(source, engine=engine, chunks=None) as stored:
        return _plain(stored.load())


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
        writer.submit(forecast.to_zarr, path, mode="w", zarr_format=2).result()


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
    ValueError, OSError, ImportError
        As `save_forecast`.

    Examples
    --------
    >>> check_target("forecast.csv")
    Traceback (most recent call last):
    ...
    ValueError: forecast.csv: unknown ending '.csv'; use .nc or .zarr
    """
    target = Path(path)
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
        raise ValueError(f"{path}: unknown ending {path.suffix!r}; use {' or '.join(suffixes)}")
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
    """Put `new` where `old` is; a folder cannot be renamed over another, so the old one steps aside."""
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
