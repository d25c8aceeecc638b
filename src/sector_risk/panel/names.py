"""Names of trusts as people write them, made comparable."""

from __future__ import annotations

import re
from collections.abc import Iterable

STATUS = re.compile(r"\bnhs (?:foundation )?trust\b|\bfoundation trust\b|^the ")


def plain(name: str) -> str:
    """A name without case, punctuation and double blanks, with ``&`` as "and".

    >>> plain("King's  Lynn & District NHS Trust")
    'kings lynn and district nhs trust'
    """
    words = re.sub(r"['’`]", "", name.casefold().replace("&", " and "))
    return " ".join(re.sub(r"[^0-9a-z]+", " ", words).split())


def bare(name: str) -> str:
    """A plain name without what changes when a trust becomes a foundation trust.

    >>> bare("The Anytown NHS Trust") == bare("Anytown NHS Foundation Trust")
    True
    """
    return " ".join(STATUS.sub(" ", plain(name)).split())


def only_once(keys: Iterable[str]) -> dict[str, int]:
    """The position of every key that is there once and not empty.

    >>> only_once(["a", "b", "a", ""])
    {'b': 1}
    """
    keys = list(keys)
    return {key: position for position, key in enumerate(keys) if key and keys.count(key) == 1}
