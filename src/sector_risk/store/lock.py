"""One run at a time at a target: a lock that ends with its process, however that ends."""

import errno
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sector_risk.faults import Fault, InputError
from sector_risk.unfinished import LOCK, MANIFEST

__all__ = ["only_writer"]

NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
"""What a file system says that has no locks."""


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; afterwards remove a folder without a manifest, in which nothing is kept.

    Raises
    ------
    InputError
        If another run holds it.
    """
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
