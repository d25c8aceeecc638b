"""XML in pieces: what is read is handed on at once and nothing is kept.

A document type (and with it every trick of entities) is refused; no workbook has one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import IO
from xml.parsers import expat

CHUNK = 65_536
# A cell of a spreadsheet holds at most 32,767 characters.
LONGEST_TEXT = 100_000
MOST_NAMES = 1_000

Start = Callable[[str, Mapping[str, str]], None]
End = Callable[[str], None]


class UnreadableError(Exception):
    """A part of a workbook that cannot be read; the text says why."""


class Text:
    """Characters gathered while they are asked for."""

    def __init__(self) -> None:
        self.wanted = False
        self._pieces: list[str] = []
        self._length = 0

    def add(self, piece: str) -> None:
        """Take a piece, if text is wanted here."""
        if self.wanted:
            self._pieces.append(piece)
            self._length += len(piece)
            if self._length > LONGEST_TEXT:
                raise UnreadableError(f"a cell with more than {LONGEST_TEXT:,} characters")

    def take(self) -> str:
        """Give what was gathered and begin anew."""
        gathered = "".join(self._pieces)
        self._pieces, self._length = [], 0
        return gathered


def read_xml(stream: IO[bytes], start: Start, end: End, text: Text) -> Iterator[None]:
    """Read a part of a workbook, piece by piece.

    Parameters
    ----------
    stream : binary file
        The part.
    start, end : callable
        Called with each element's local name (and with its attributes as they are written).
    text : Text
        Where characters go.

    Yields
    ------
    None
        After every piece, so that the caller can hand on what it gathered.

    Raises
    ------
    UnreadableError
        If it is not well-formed, or declares a document type.
    """
    parser = expat.ParserCreate()
    parser.buffer_text = True
    names = _LocalNames()
    parser.StartElementHandler = lambda name, given: start(names[name], given)
    parser.EndElementHandler = lambda name: end(names[name])
    parser.CharacterDataHandler = text.add
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        while chunk := stream.read(CHUNK):
            parser.Parse(chunk, False)
            yield
        parser.Parse(b"", True)
        yield
    except expat.ExpatError as error:
        raise UnreadableError(str(error)) from None


def by_local_name(given: Mapping[str, str]) -> Mapping[str, str]:
    """Attributes without the prefixes of their names.

    >>> by_local_name({"office:value": "3", "r:id": "rId1"})
    {'value': '3', 'id': 'rId1'}
    """
    return {_local(name): value for name, value in given.items()}


def _local(name: str) -> str:
    return name.rpartition(":")[2]


class _LocalNames(dict[str, str]):
    """Names without prefixes, each worked out once: a sheet has millions of elements."""

    def __missing__(self, name: str) -> str:
        if len(self) > MOST_NAMES:
            raise UnreadableError("more kinds of elements than a workbook has")
        self[name] = _local(name)
        return self[name]


def _refuse_doctype(*declared: object) -> None:
    raise UnreadableError("it declares a document type, as no workbook does")
