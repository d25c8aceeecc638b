"""Cuts draws into blocks, runs them on threads and puts the results in place: the one room that knows threads."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Protocol

from sector_risk.fold import Fold
from sector_risk.progress import Progress
from sector_risk.run import Draws, Run

BLOCK_SIZE = 500
"""A block's arrays of trusts by draws stay near, and its loops are long enough; measured best for one year and for
five. Rows 2,000 bytes apart do not fall on the same lines of the first cache."""

PIECE = 8 * BLOCK_SIZE
"""Draws that are looked at together where they are not kept: what a row of them is counted into stays near."""


def default_threads() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def even_block(n_draws: int, threads: int) -> int:
    """Return the largest block up to BLOCK_SIZE that gives every thread the same number of blocks.

    >>> even_block(10_000, 2), even_block(100, 2)
    (500, 50)
    """
    rounds = -(-n_draws // (BLOCK_SIZE * threads))
    return -(-n_draws // (rounds * threads))


class Blocks:
    """First draws of the blocks that are left, handed out to any thread that asks; counts what is done."""

    def __init__(self, starts: range, progress: Progress | None) -> None:
        self.total = len(starts)
        self._left, self._done = iter(starts), 0
        self._lock, self._progress = threading.Lock(), progress

    def __iter__(self) -> Iterator[int]:
        """Yield the next block that no thread has taken; coming back for more says that it is done."""
        while (first := self._take()) is not None:
            yield first
            self._finish()

    def close(self) -> None:
        """Hand out no more blocks."""
        with self._lock:
            self._left = iter(range(0))

    def _take(self) -> int | None:
        with self._lock:
            return next(self._left, None)

    def _finish(self) -> None:
        with self._lock:
            self._done += 1
            if self._progress:
                self._progress(self._done, self.total)


def run_blocks(
    run: Run,
    *,
    threads: int,
    block_size: int | None = None,
    progress: Progress | None = None,
) -> Draws:
    """Simulate all draws of a run; the result does not depend on threads or block size."""
    draws = run.draws
    block_size = min(block_size or even_block(len(draws), threads), len(draws))
    out = Draws.empty(run)
    blocks = Blocks(draws[::block_size], progress)

    def work() -> None:
        fold = Fold(run, block_size)
        for first in blocks:
            if draws.stop - first < fold.size:
                fold = Fold(run, draws.stop - first)
            fold.run_block(out, first, first - draws.start)

    on_threads(work, blocks, min(threads, blocks.total))
    return out


class Taker(Protocol):
    """What looks at pieces of a run whose draws are not kept; each thread has one of its own."""

    def take(self, draws: Draws, first: int) -> None:
        """Take what is wanted of a piece that starts at draw `first`: its arrays are used again for the next."""


def stream_pieces(run: Run, takers: Sequence[Taker], progress: Progress | None = None) -> None:
    """Simulate all draws in memory that does not grow with them, on a thread for each taker.

    Pieces begin every PIECE draws from the run's first, whatever the threads: a piece's sums have the same bits.
    """
    draws, takers = run.draws, list(takers)
    pieces = Blocks(draws[::PIECE], progress)

    def work() -> None:
        taker, room = takers.pop(), Room(run, min(PIECE, len(draws)))
        for first in pieces:
            size = min(PIECE, draws.stop - first)
            room = room if size == room.size else Room(run, size)
            taker.take(room.filled(first), first)

    on_threads(work, pieces, min(len(takers), pieces.total))


class Room:
    """Room for one piece of draws, and what fills it."""

    def __init__(self, run: Run, size: int) -> None:
        self.run, self.size, self.draws = run, size, Draws.empty(run.part(range(size)))
        self.fold = Fold(run, min(BLOCK_SIZE, size))

    def filled(self, first: int) -> Draws:
        """Return the draws of the piece that starts at draw `first`."""
        self.draws.contribution_sums[:] = 0.0
        for column in range(0, self.size, BLOCK_SIZE):
            left = self.size - column
            fold = self.fold if left >= self.fold.size else Fold(self.run, left)
            fold.run_block(self.draws, first + column, column)
        return self.draws


def on_threads(work: Callable[[], None], blocks: Blocks, threads: int) -> None:
    """Let threads work until no block is left; after an error or an interrupt each ends with the block it has."""
    if threads == 1:
        work()
        return
    with ThreadPoolExecutor(threads) as pool:
        try:
            for worker in as_completed([pool.submit(work) for _ in range(threads)]):
                worker.result()
        finally:
            blocks.close()
