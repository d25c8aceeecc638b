"""Forecasts on many machines: groups of draws as Dask tasks, with the bits of `sector_risk.simulate`.

What is made computes under whatever Dask has at the time: a `distributed.Client`, or the threads of this process. Only
progress knows which of the two it is.
"""

import operator
import pickle
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import TYPE_CHECKING, Any, TypeVar

import xarray as xr
from numpy.typing import NDArray

from sector_risk.assumptions import Assumptions
from sector_risk.engine import PIECE
from sector_risk.extras import need
from sector_risk.faults import Fault, InputError, raise_if_any
from sector_risk.panel import check_panel
from sector_risk.planned import Planned, plan_forecast, run_draws
from sector_risk.progress import Progress, reporter
from sector_risk.regimes import Regime
from sector_risk.results import label_forecast
from sector_risk.simulation import check_settings, together_faults, warn_of_idle_rules
from sector_risk.streaming import (
    Keep,
    Summary,
    keep_faults,
    names_by_draw,
    settled,
    summarise_passes,
)

if TYPE_CHECKING:
    from dask.array import Array
    from dask.delayed import Delayed

__all__ = ["simulate", "total", "tree_sum"]

State = TypeVar("State")
Graph = dict[Hashable, Any]
PLACE = "distributed.simulate"
DRAWS_PER_TASK = 10_000
"""A group of 10,000 draws of 227 trusts is 130 to 160 MB and a sixth of a second's work of one core: long enough that
what Dask does for a task is little, and small enough that several fit into a worker."""
DRAWS_PER_COUNT = 200_000
"""For 227 trusts counts are some 50 MB whatever the number of draws: few of them are to be added up."""
FAN_IN = 8
"""States that one task adds up: few enough to be held at once, many enough that the tree is low."""
NOT_PICKLED = (TypeError, AttributeError, pickle.PicklingError)
OWN_NAMES = {"threads": "threads_per_task", "block_size": "draws_per_task"}


def simulate(
    panel: xr.Dataset,
    assumptions: Assumptions | None = None,
    regime: Regime | str | None = None,
    *,
    n_draws: int,
    seed: int = 0,
    by_quarter: bool = False,
    keep: Keep = "draws",
    sampling: str = "random",
    controls: bool = False,
    draws_per_task: int | None = None,
    threads_per_task: int = 1,
    progress: bool | Progress = False,
) -> xr.Dataset:
    """Plan a forecast whose draws are made by Dask, group by group, when something is computed from them.

    One task makes all variables of a group of draws. What is computed together (`dask.compute`, or a Dataset's
    `compute`) makes each group once; what is computed later makes it again, unless the forecast was kept in the memory
    of the cluster by `persist` or stored.

    Parameters
    ----------
    panel, assumptions, regime, n_draws, seed, by_quarter
        As for `sector_risk.simulate`.
    keep : "draws", "summary", Summary or sequence of str
        As for `sector_risk.simulate`: all draws, or those of the variables named, which are then all that a task holds
        on to; or a summary, which is made at once: workers count, and counts are added up on the way to the client.
    sampling, controls
        As for `sector_risk.simulate`; groups need not be whole replicates.
    draws_per_task : int, optional
        Draws of a group, up to 1,048,576; the last one takes what is left. Speed and memory only: results are the same
        to the bit. Default: 10,000, of which 227 trusts take 130 to 160 MB; for a summary 200,000, of which nothing is
        kept but some 50 MB of counts (here it is rounded up to pieces of 4,000).
    threads_per_task : int
        Threads inside a task. One is right where workers have a thread for each core.
    progress : bool or function (groups done, groups in all)
        For a summary alone; True shows a line on standard error.

    Returns
    -------
    Dataset
        As from `sector_risk.simulate`, to the bit, but variables with dimension `draw` are Dask arrays in chunks of
        `draws_per_task`. A summary is computed.

    Raises
    ------
    ImportError
        If Dask is missing.
    InputError
        With every fault of panel and settings; for what cannot be kept; for drivers or rules that cannot be sent to
        another process; for progress of draws, which are not made here.
    ConnectionError
        If the cluster goes away while a summary is made. While draws are computed, errors are Dask's own.

    Warns
    -----
    InputWarning
        As `sector_risk.simulate`.

    Notes
    -----
    A worker that dies changes nothing: Dask has its groups made again elsewhere, and a draw's numbers depend on its
    own number and the seed alone. An error in a task comes with a note that names the task's draws.

    Examples
    --------
    >>> import sector_risk as sr
    >>> from sector_risk.distributed import simulate
    >>> case = sr.load_case("england-2018-19")
    >>> forecast = simulate(case, n_draws=300, seed=1, draws_per_task=100)
    >>> forecast["position"].chunksizes["draw"]
    (100, 100, 100)
    >>> sector = forecast["sector_position"].compute()
    >>> sector.equals(sr.simulate(case, n_draws=300, seed=1)["sector_position"])
    True
    """
    need("a forecast on a cluster", "cluster", "dask")
    assumptions = Assumptions() if assumptions is None else assumptions
    keep = settled(keep)
    numbers = {"n_draws": n_draws, "seed": seed, "block_size": draws_per_task, "threads": threads_per_task}
    together = [*together_faults(keep, None, sampling, controls, by_quarter), *_progress_faults(keep, progress)]
    asked = _checked(assumptions, regime, numbers, together)
    panel = check_panel(panel)
    planned = plan_forecast(panel, assumptions, asked, n_draws=n_draws, seed=seed, by_quarter=by_quarter)
    warn_of_idle_rules(planned.regime, planned.run.prepared.context.years)
    planned = planned.with_points() if sampling == "sobol" else planned
    planned = planned.with_controls() if controls else planned
    if isinstance(keep, Summary):
        per_task, report = draws_per_task or DRAWS_PER_COUNT, reporter(progress, groups_done)
        return summarise_on_workers(planned, keep, per_task, threads_per_task, report)
    return lazy_forecast(planned, keep, draws_per_task or DRAWS_PER_TASK, threads_per_task)


def lazy_forecast(
    planned: Planned,
    keep: str | Sequence[str] = "draws",
    draws_per_task: int = DRAWS_PER_TASK,
    threads_per_task: int = 1,
) -> xr.Dataset:
    """Return the forecast of a plan, its draws to be made by Dask; `simulate` says how."""
    pattern = planned.pattern()
    kept = _kept(pattern, keep)
    tasks = _Tasks.of(planned, partial(_arrays, kept, threads_per_task), draws_per_task)
    return _lazy(pattern, kept, tasks).assign_attrs(planned.provenance())


def summarise_on_workers(
    planned: Planned,
    asked: Summary,
    draws_per_task: int = DRAWS_PER_COUNT,
    threads_per_task: int = 1,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Return the summary of a plan, counted by Dask; `simulate` says how. This process says where bins lie."""
    raise_if_any(keep_faults(asked, planned.pattern()))
    per_task = -(-draws_per_task // PIECE) * PIECE  # a sum over a piece has bits of its own

    def on_workers(state_of: Callable[..., Any], tell: Progress | None) -> Any:
        return total(tree_sum(planned, partial(state_of, threads=threads_per_task), draws_per_task=per_task), tell)

    return summarise_passes(planned, asked, threads_per_task, on_workers, progress)


def tree_sum(
    planned: Planned, state_of: Callable[[Planned], State], *, draws_per_task: int = DRAWS_PER_TASK
) -> "Delayed":
    """Return the sum of what a function makes of every part of a plan, as one Dask value.

    One task makes the state of a part, and parts never meet the client: states are added on workers, eight at a
    time, in order. The sum is the same for any cut into parts where adding is exact, as it is for whole numbers.

    Parameters
    ----------
    planned : Planned
    state_of : function Planned -> state
        Gets the plan of a part; states add up by `+`.
    draws_per_task : int
        Draws of a part.

    Returns
    -------
    dask.delayed.Delayed
        Give it to `total`, or compute it with Dask.

    Raises
    ------
    ImportError
        If Dask is missing.
    InputError
        If the plan cannot be sent to another process.

    Examples
    --------
    >>> import sector_risk as sr
    >>> from sector_risk.planned import Planned, plan_run
    >>> panel, assumptions = sr.check_panel(sr.load_case("england-2018-19")), sr.Assumptions()
    >>> run, regime = plan_run(panel, assumptions, None, years=1, n_draws=300, seed=1, by_trust=True)
    >>> planned = Planned(run, regime, panel, assumptions)
    >>> def in_deficit(part):
    ...     return (part.forecast(threads=1)["position"] < 0).values.sum()
    >>> deficits = tree_sum(planned, in_deficit, draws_per_task=100)
    >>> bool(total(deficits) == in_deficit(planned))
    True
    """
    need("a sum on a cluster", "cluster", "dask")
    from dask.delayed import Delayed

    untyped: Any = Delayed
    tasks = _Tasks.of(planned, state_of, draws_per_task)
    graph = tasks.graph()
    keys, level = list(tasks.groups), 0
    while len(keys) > 1:
        level += 1
        sums = {(f"{tasks.name}-{level}", k): (_add, keys[k : k + FAN_IN]) for k in range(0, len(keys), FAN_IN)}
        graph, keys = graph | sums, list(sums)
    return untyped(keys[0], graph)


def total(value: Any, progress: Progress | None = None) -> Any:
    """Compute what `tree_sum` made, and say so plainly where the cluster went away under it.

    Parameters
    ----------
    value : dask.delayed.Delayed
        From `tree_sum`.
    progress : function (parts done, parts in all), optional
        Told of each part that is done.

    Raises
    ------
    ConnectionError
        If scheduler or client were gone before it was done. Nothing is kept; a new run gives the same result.
    """
    try:
        return _watched(value, progress) if progress else value.compute()
    except CancelledError as error:
        message = (
            "the cluster went away before the sum was done, and what its workers held is lost; "
            "start it again and run again: the result is the same to the bit"
        )
        raise ConnectionError(message) from error


def groups_done(done: int, total: int) -> str:
    """Count groups of draws.

    >>> groups_done(2, 4)
    'counted 2 of 4 groups of draws'
    """
    return f"counted {done} of {total} groups of draws"


def _watched(value: Any, progress: Progress) -> Any:
    """Compute a sum, and tell of its parts: a cluster has a future for each, other schedulers call back."""
    import dask.base
    import dask.callbacks

    base: Any = dask.base
    callbacks: Any = dask.callbacks
    graph: Graph = dict(value.__dask_graph__())
    parts = [key for key, task in graph.items() if isinstance(task, tuple) and task[0] is _run]
    client = getattr(base.get_scheduler(collections=[value]), "__self__", None)
    if client is not None:
        return _watched_on_cluster(client, client.get(graph, [*parts, value.key], sync=False), progress)
    left = set(parts)

    def tell(key: Hashable, *_: Any) -> None:
        if key in left:
            left.remove(key)
            progress(len(parts) - len(left), len(parts))

    with callbacks.Callback(posttask=tell):
        return value.compute()


def _watched_on_cluster(client: Any, futures: list[Any], progress: Progress) -> Any:
    """Return the result of the last future. Those of parts are let go when they are done, for states take memory."""
    import distributed

    untyped: Any = distributed
    whole, in_all = futures.pop(), len(futures)
    waiting = untyped.as_completed(futures, loop=client.loop)
    futures.clear()
    for done, part in enumerate(waiting, 1):
        if part.status != "finished":
            break
        progress(done, in_all)
    return whole.result()


@dataclass(frozen=True)
class _Tasks:
    """A task for each group of draws of a plan.

    The plan, with what is to be made of it, is a node of the graph: a worker gets it once however many groups it
    makes, and if the worker that held it dies it is there again.
    """

    name: str
    job: bytes
    draws: range
    groups: dict[Hashable, range]  # key of the task, and its draws

    @classmethod
    def of(cls, planned: Planned, make: Callable[[Planned], Any], draws_per_task: int) -> "_Tasks":
        """Cut the draws of a plan into groups."""
        from dask.base import tokenize

        job, draws = _pickled(planned, make), planned.run.draws
        name = f"draws-{tokenize(job, draws_per_task)}"
        starts = range(0, len(draws), draws_per_task)
        return cls(name, job, draws, {(name, i): draws[k : k + draws_per_task] for i, k in enumerate(starts)})

    @property
    def plan(self) -> str:
        """Key of the plan."""
        return f"plan-of-{self.name}"

    def layer(self) -> Graph:
        """Tasks by key."""
        return {key: (_run, self.plan, draws.start, draws.stop) for key, draws in self.groups.items()}

    def graph(self) -> Graph:
        """Tasks and the plan."""
        return {self.plan: self.job} | self.layer()


def _run(job: bytes, start: int, stop: int) -> Any:
    """Do a job for a group of draws; an error says which."""
    planned, make = pickle.loads(job)
    try:
        return make(planned.part(range(start, stop)))
    except Exception as error:
        error.add_note(f"This was in draws {start:,} to {stop - 1:,}.")
        raise


def _arrays(names: Sequence[str], threads: int, part: Planned) -> dict[str, NDArray[Any]]:
    """Return variables of a part's forecast by name."""
    forecast = label_forecast(part.run, run_draws(part.run, threads, None, False), part.central_actions())
    return {name: forecast[name].values for name in names}


def _add(states: list[Any]) -> Any:
    """Add states up, in order."""
    return reduce(operator.add, states)


def _kept(pattern: xr.Dataset, keep: str | Sequence[str]) -> list[str]:
    """Names of what tasks make: the variables by draw that are kept, and labels by draw other than its number."""
    raise_if_any(keep_faults(keep, pattern))
    by_draw = names_by_draw(pattern)
    wanted = by_draw if isinstance(keep, str) else keep
    labels = [str(name) for name in pattern.coords if "draw" in pattern[name].dims and name != "draw"]
    return [name for name in by_draw if name in wanted] + labels


def _lazy(pattern: xr.Dataset, kept: list[str], tasks: _Tasks) -> xr.Dataset:
    """Return the forecast with Dask arrays of all draws in the place of the pattern's one draw."""
    import pandas as pd

    layer, plain, draws = tasks.layer(), pattern.drop_dims("draw"), tasks.draws
    arrays = {name: (pattern[name].dims, _array(name, pattern[name], tasks, layer)) for name in kept}
    number = {"draw": pd.RangeIndex(draws.start, draws.stop)}  # takes no room, however many draws
    forecast = xr.Dataset(arrays | dict(plain.data_vars), dict(plain.coords) | number)
    for name in (*kept, "draw"):
        forecast[name].attrs = pattern[name].attrs
    return forecast.set_coords(name for name in kept if name in pattern.coords)


def _array(name: str, variable: xr.DataArray, tasks: _Tasks, layer: Graph) -> "Array":
    """Return one variable of all groups as a Dask array; a chunk is picked from what a group's task made."""
    from dask.array import Array
    from dask.highlevelgraph import HighLevelGraph

    untyped: Any = Array
    own, axis = f"{name}-of-{tasks.name}", variable.dims.index("draw")
    zeros, after = (0,) * axis, (0,) * (variable.ndim - axis - 1)
    picks = {(own, *zeros, i, *after): (operator.getitem, key, name) for i, key in enumerate(tasks.groups)}
    layers: dict[str, Any] = {tasks.plan: {tasks.plan: tasks.job}, tasks.name: layer, own: picks}
    graph = HighLevelGraph(layers, {tasks.plan: set(), tasks.name: {tasks.plan}, own: {tasks.name}})
    sizes = tuple(len(draws) for draws in tasks.groups.values())
    chunks = tuple(sizes if dim == "draw" else (size,) for dim, size in variable.sizes.items())
    return untyped(graph, own, chunks, variable.dtype)


def _progress_faults(keep: Any, progress: Any) -> Iterator[Fault]:
    """Yield a fault for progress of draws that nothing makes yet."""
    if progress and not isinstance(keep, Summary):
        remedy = "Leave it out, and use dask.diagnostics.ProgressBar or distributed.progress when you compute."
        yield Fault(PLACE, "draws are made when something is computed from them", "", remedy, variable="progress")


def _checked(assumptions: Any, regime: Any, numbers: dict[str, Any], together: list[Fault]) -> Regime | None:
    """Return the regime that is asked for, if any; raise one `InputError` for all faults of the settings."""
    asked, faults = None, together
    try:
        asked = check_settings(PLACE, assumptions, regime, **numbers)
    except InputError as error:
        faults = [*error.faults, *together]
    raise_if_any(replace(f, place=PLACE, variable=OWN_NAMES.get(f.variable, f.variable)) for f in faults)
    return asked


def _pickled(planned: Planned, make: Callable[[Planned], Any]) -> bytes:
    """Pickle a plan and what is to be made of it; say which driver or rule stands in the way."""
    from cloudpickle import dumps

    try:
        return dumps((planned, make), protocol=5)
    except NOT_PICKLED:
        raise_if_any(_not_sent(planned))
        raise


def _not_sent(planned: Planned) -> Iterator[Fault]:
    """Yield drivers and rules that do not pickle."""
    from cloudpickle import dumps

    for part in (*planned.run.prepared.drivers, *planned.run.rules, *planned.run.acting):
        try:
            dumps(part, protocol=5)
        except NOT_PICKLED as error:
            came = getattr(part, "name", type(part).__name__)
            remedy = "Make what it needs inside its function, from numbers and files."
            yield Fault(PLACE, f"cannot be sent to other processes: {error}", came, remedy)
