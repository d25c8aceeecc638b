"""The one place that decides how kernels are compiled.

nogil      blocks run on plain threads, so a kernel must let go of the interpreter lock.
error_model numpy: no Python exceptions for a division by zero, which would stop vectorisation.
fastmath   never: it drops NaN checks and lets the compiler reorder sums, which would make results depend on
           the block size. Without it every result is plain IEEE arithmetic, the same for any block size.
cache      compiled code is kept on disk in a folder named after a digest of all kernel sources, so code that
           was compiled from other sources can never be served (numba itself looks at one file only).
"""

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import config as numba_config

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _digest() -> str:
    """Digest of all kernel sources and of what compiles them."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    digest.update(f"{numba.__version__} {sys.version_info[:2]}".encode())
    return digest.hexdigest()


def _cache_homes() -> Iterator[Path]:
    """Folders that may hold compiled code, best first; the package's own folder is never one of them."""
    given = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    if given:
        yield Path(given)
    with suppress(RuntimeError):  # no home directory, as in some containers
        yield Path.home() / ".cache"
    yield Path(tempfile.gettempdir()) / f"cache-{os.getuid() if hasattr(os, 'getuid') else 'user'}"


def _cache_folder() -> str:
    """Return the first folder that can be written to, or nothing: then kernels are compiled in every process."""
    for home in _cache_homes():
        folder = home / "sector_risk" / _digest()
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.access(folder, os.W_OK):
                return str(folder)
    return ""


_CACHE = _cache_folder()
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


def step(function: _Function) -> _Function:
    """Compile a small function that is built into the kernels that call it."""
    compiled: _Function = numba.njit(forceinline=True, **_OPTIONS)(function)
    return compiled


def kernel(function: _Function) -> _Function:
    """Compile an entry point (called from Python) and keep the result on disk."""
    config: Any = numba_config
    before, config.CACHE_DIR = config.CACHE_DIR, _CACHE
    try:
        compiled: _Function = numba.njit(cache=bool(_CACHE), **_OPTIONS)(function)
    finally:
        config.CACHE_DIR = before
    return compiled
