"""Cuts draws into blocks, runs them on threads and puts the results in place: the one room that knows threads."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sector_risk.kernels import pressure, reduce
from sector_risk.prepare import N_YEARLY_STREAMS, Prepared, by_trust, normals, shared_randomness
from sector_risk.regimes import Block, PreparedRule

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
BLOCK_SIZE = 800
"""Rows of a block fit the second-level cache; 3,200 bytes apart, they do not fall on the same lines of the first."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Draws:
    """Arrays of a whole run (T trusts, N draws), filled block by block."""

    contribution: F32  # (driver..., one_off, favourable_spent; T; N)
    variance: F32  # (T, N) at the year end, before support
    position_before_support: F32  # (T, N)
    position: F32  # (T, N)
    support: F32  # (T, N)
    sector: F64  # (4, N): before support, position, deficit count, gross deficit
    sector_variance: F64  # (12, N) year to date, before support
    efficiency_delivered: F64  # (N,)

    @classmethod
    def empty(cls, n_drivers: int, n_trusts: int, n_draws: int) -> "Draws":
        """Room for a run; pages are touched only when a block writes them."""

        def room() -> F32:
            return np.empty((n_trusts, n_draws), np.float32)

        return cls(
            np.empty((n_drivers + 2, n_trusts, n_draws), np.float32),
            room(),
            room(),
            room(),
            np.zeros((n_trusts, n_draws), np.float32),
            np.zeros((4, n_draws)),
            np.zeros((12, n_draws)),
            np.zeros(n_draws),
        )


class Scratch:
    """Buffers that a worker uses again for every block."""

    def __init__(self, prepared: Prepared, n: int) -> None:
        self.work = np.empty((pressure.WORK_ROWS, n), np.float32)
        self.quarter_variance = np.empty((4, len(prepared.codes), n), np.float32)
        self.factors = np.empty((N_YEARLY_STREAMS, len(prepared.groups.hashes), 4, n), np.float32)
        self.size = n


def default_threads() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def even_block(n_draws: int, threads: int) -> int:
    """Return the largest block up to BLOCK_SIZE that gives every thread the same number of blocks.

    >>> even_block(10_000, 2), even_block(100, 2)
    (715, 50)
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
    prepared: Prepared,
    rules: tuple[PreparedRule, ...],
    n_draws: int,
    *,
    threads: int,
    block_size: int | None = None,
    progress: Progress | None = None,
) -> Draws:
    """Simulate draws 0 .. n_draws - 1; the result does not depend on threads or block size."""
    block_size = min(block_size or even_block(n_draws, threads), n_draws)
    out = Draws.empty(pressure.N_DRIVERS + len(prepared.drivers), len(prepared.codes), n_draws)
    blocks = Blocks(range(0, n_draws, block_size), progress)

    def work() -> None:
        scratch = Scratch(prepared, block_size)
        for first in blocks:
            if n_draws - first < scratch.size:
                scratch = Scratch(prepared, n_draws - first)
            run_block(prepared, rules, out, scratch, first)

    on_threads(work, blocks, min(threads, blocks.total))
    return out


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


def run_block(prepared: Prepared, rules: tuple[PreparedRule, ...], out: Draws, scratch: Scratch, first: int) -> None:
    """Pressures, rules and sums of the block that starts at draw `first` and is as long as the scratch."""
    n, quarter_variance = scratch.size, scratch.quarter_variance
    last = first + n
    shared = shared_randomness(prepared, first, scratch.factors)
    extra = user_pressure(prepared, first, n)
    before, total = out.position_before_support, out.sector_variance
    target = pressure.YearOut(out.contribution, out.variance, before, quarter_variance, total, out.efficiency_delivered)
    pressure.year_block(prepared.plan, prepared.trusts, prepared.year, shared, first, extra, scratch.work, target)
    block = Block(first, quarter_variance, before, out.support)
    for rule in rules:
        rule.apply(block)
    reduce.positions_block(first, last, before, out.support, out.position, out.sector)


def user_pressure(prepared: Prepared, first: int, n_draws: int) -> F32:
    """Cumulative pressure of user drivers, (driver, T, 12, B)."""
    shape = (len(prepared.drivers), len(prepared.codes), 12, n_draws)
    out = np.empty(shape, np.float32)
    for u, user in enumerate(prepared.drivers):
        z = user_normals(prepared, u, first, n_draws)
        made = np.asarray(user.pressure(z, prepared.panel))
        if made.shape != shape[1:] or not np.isfinite(made).all():
            problem = f"shape {made.shape}, finite: {bool(np.isfinite(made).all())}"
            raise ValueError(f"driver {user.name!r} must return finite numbers of shape {shape[1:]}; it gave {problem}")
        out[u] = made
    return out


def user_normals(prepared: Prepared, u: int, first: int, n_draws: int) -> F32:
    """Latent Normals of a user driver (T, items, B) with the dependence it declares."""
    user, groups = prepared.drivers[u], prepared.groups
    own = normals(prepared.driver_keys[u], prepared.trusts.hashes, first, user.items, n_draws)
    *levels, rest = by_trust(user.shares.loadings(), groups).astype(np.float32)[:, :, None, None]
    if (rest == 1.0).all():
        return own
    factor = normals(prepared.driver_keys[u], groups.hashes, first, user.items, n_draws)
    shared = sum(load * factor[rows] for load, rows in zip(levels, groups.rows, strict=True))
    return np.asarray(shared + rest * own, np.float32)
