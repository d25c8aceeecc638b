"""What is written to disk so that a stop at any moment leaves a file as it was or whole.

Chunks are not compressed, as draws hardly shrink; such a chunk is its array's own bytes, which are written without
passing through Zarr.
"""

import errno
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np

from sector_risk.files import METADATA

__all__ = ["check_room", "lengthen", "remove", "sync", "write_chunks", "write_whole"]


def check_room(folder: Path, needed: int, what: str) -> None:
    """Raise an error if what is to be written takes more bytes than are free.

    Raises
    ------
    OSError
        With both sizes; its number is that of a full disk.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        said = f"{what} would take {size(needed)} on disk, and {size(free)} are free"
        remedy = "make room, give another path, or ask for fewer draws or a summary"
        raise OSError(errno.ENOSPC, f"{said}: {remedy}", str(folder.parent))


def size(count: int) -> str:
    """Write a number of bytes.

    >>> size(12_892_000), size(3_160_000_000)
    ('12.9 MB', '3.2 GB')
    """
    return f"{count / 1e6:,.1f} MB" if count < 1e9 else f"{count / 1e9:,.1f} GB"


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


def remove(path: Path) -> None:
    """Remove a folder or file, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
