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
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import config as numba_config

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _cache_folder() -> str:
    sources = sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.blake2b(digest_size=8)
    for path in sources:
        digest.update(path.read_bytes())
    digest.update(f"{numba.__version__} {sys.version_info[:2]}".encode())
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return str(Path(home) / "sector_risk" / digest.hexdigest())


_CACHE = os.environ.get("NUMBA_CACHE_DIR") or _cache_folder()
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
        compiled: _Function = numba.njit(cache=True, **_OPTIONS)(function)
    finally:
        config.CACHE_DIR = before
    return compiled
