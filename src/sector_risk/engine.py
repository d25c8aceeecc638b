"""Cuts draws into blocks, runs them on threads and puts the results in place: the one room that knows threads."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sector_risk.kernels import pressure, reduce
from sector_risk.prepare import N_YEARLY_STREAMS, Prepared, normals, shared_randomness
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
    n_trusts, block_size = len(prepared.codes), block_size or even_block(n_draws, threads)
    out = Draws.empty(pressure.N_DRIVERS + len(prepared.drivers), n_trusts, n_draws)
    starts = list(range(0, n_draws, block_size))
    stop = threading.Event()

    def run(own: Iterator[int]) -> Iterator[int]:
        scratch = Scratch(prepared, min(block_size, n_draws))
        for first in own:
            if stop.is_set():
                return
            n = min(block_size, n_draws - first)
            if n < scratch.size:
                scratch = Scratch(prepared, n)
            run_block(prepared, rules, out, scratch, first)
            yield first

    _spread(run, starts, min(threads, len(starts)), stop, progress or (lambda done, total: None))
    return out


def _spread(run: Any, starts: list[int], threads: int, stop: threading.Event, progress: Progress) -> None:
    """Run all blocks on threads that take the next one as they come free; report after each."""
    done, total, lock = 0, len(starts), threading.Lock()
    queue = iter(starts)

    def following() -> Iterator[int]:
        while True:
            with lock:
                first = next(queue, None)
            if first is None:
                return
            yield first

    def work() -> None:
        nonlocal done
        for _ in run(following()):
            with lock:
                done += 1
                progress(done, total)

    if threads == 1:
        work()
        return
    with ThreadPoolExecutor(threads) as pool:
        try:
            for future in as_completed([pool.submit(work) for _ in range(threads)]):
                future.result()
        finally:
            stop.set()


def run_block(prepared: Prepared, rules: tuple[PreparedRule, ...], out: Draws, scratch: Scratch, first: int) -> None:
    """Pressures, rules and sums of the block that starts at draw `first` and is as long as the scratch."""
    n, quarter_variance = scratch.size, scratch.quarter_variance
    last = first + n
    shared = shared_randomness(prepared, first, scratch.factors)
    extra = user_pressure(prepared, first, n)
    before, variance = out.position_before_support, out.sector_variance
    target = pressure.YearOut(out.contribution, before, quarter_variance, variance, out.efficiency_delivered)
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
    *levels, rest = user.shares.loadings().astype(np.float32)
    if rest == 1.0:
        return own
    factor = normals(prepared.driver_keys[u], groups.hashes, first, user.items, n_draws)
    shared = sum(load * factor[rows] for load, rows in zip(levels, groups.rows, strict=True))
    return np.asarray(shared + rest * own, np.float32)
