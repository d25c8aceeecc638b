"""Extras: packages that only some jobs need, and how to install them."""

import importlib.util

__all__ = ["need"]


def need(what: str, extra: str, *packages: str) -> None:
    """Say what to install where something cannot be made.

    Raises
    ------
    ImportError
        If one of the packages is missing.

    Examples
    --------
    >>> need("a picture", "plots", "no_such_package")
    Traceback (most recent call last):
    ...
    ImportError: a picture needs no_such_package; install with: pip install 'sector-risk[plots]'
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(f"{what} needs {' and '.join(missing)}; install with: pip install 'sector-risk[{extra}]'")
