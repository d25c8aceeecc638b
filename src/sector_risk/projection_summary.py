"""Summaries of a projection: the sector, every trust and the milestones, by year."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sector_risk.engine import default_threads
from sector_risk.faults import Fault, InputError, raise_if_any
from sector_risk.kernels.moments import BELOW, MEAN, SD, moments
from sector_risk.kernels.reduce import BALANCE
from sector_risk.schema import AMOUNT_SIGN, MONEY, PROJECTION_SUMMARY, VariableSpec, described
from sector_risk.summary import binomial_se, by_row, mean_se, quantile_faults, quantiles_of
from sector_risk.units import numbers

F64 = NDArray[np.float64]
Array = NDArray[Any]
Variables = dict[str, tuple[tuple[str, ...], F64]]
NEEDED = ("position", "support_by_fund", "sector_position", "sector_underlying", "deficit_count", "gross_deficit")
SEGMENT_4 = 4
NOT_FINITE = ("draws are not finite", "NaN or infinity", "Give a projection as project made it, with no draw masked.")
ROWS = 32  # measured at a time by a thread
_YEAR, _YEAR_TRUST = ("year",), ("year", "trust")
_ERROR = "Monte Carlo standard error of the trust's probability"

OF_RULES: Mapping[str, VariableSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            VariableSpec("p_segment_4", _YEAR_TRUST, "1", "trust: probability of oversight segment 4"),
            VariableSpec("p_segment_4_se", _YEAR_TRUST, "1", _ERROR),
            VariableSpec("segment_4_count_mean", _YEAR, "1", "expected number of trusts in oversight segment 4"),
            VariableSpec("p_in_programme", _YEAR_TRUST, "1", "trust: probability of the improvement programme"),
            VariableSpec("p_in_programme_se", _YEAR_TRUST, "1", _ERROR),
            VariableSpec("in_programme_count_mean", _YEAR, "1", "expected number of trusts inside the programme"),
            VariableSpec(
                "debt_mean", _YEAR_TRUST, MONEY, "trust: expected loans at the year end", sign="owed positive"
            ),
            VariableSpec("interest_mean", _YEAR_TRUST, MONEY, "trust: expected interest paid", sign=AMOUNT_SIGN),
            VariableSpec("sector_debt_mean", _YEAR, MONEY, "expected loans of all trusts", sign="owed positive"),
            VariableSpec("sector_interest_mean", _YEAR, MONEY, "expected interest of all trusts", sign=AMOUNT_SIGN),
        )
    }
)
"""What is said of variables that only some rules report."""


def summarise_projection(
    projection: xr.Dataset, quantiles: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95)
) -> xr.Dataset:
    """Summarise the draws of a projection: the sector by year, every trust by year, and the milestones.

    Parameters
    ----------
    projection : Dataset
        From `project` or `open_forecast`.
    quantiles : sequence of float
        Probabilities, each between 0 and 1.

    Returns
    -------
    Dataset
        GBP million; every total is made draw by draw before it is averaged.

        * On `year`, the provider sector: `sector_mean`, `sector_sd`, `sector_mean_se` = sd / sqrt(n),
          `underlying_mean`, `p_sector_balance` (a position of -GBP 5,000 or better) and its error
          `p_sector_balance_se` = sqrt(p (1 - p) / n); beside them
          `deficit_count_mean` (trusts in deficit by GBP 5,000 or more) and `gross_deficit_mean`.
        * On (year, quantile): `sector_quantile` with its error `sector_quantile_se`, and `deficit_count_quantile`:
          order statistics of rank ceil(p n).
        * On (year, fund): `support_mean`.
        * On (year, trust): `mean`, `p_deficit`, `p_deficit_se`.
        * On `milestone`, if the projection has any: `p_milestone`, `p_milestone_se`.
        * Where rules report it, at the year end, on (year, trust): `p_segment_4` and `p_in_programme` with their errors
          `p_segment_4_se` and `p_in_programme_se`, `debt_mean`, `interest_mean` (paid in the year); added up over
          trusts, on `year`: `segment_4_count_mean`, `in_programme_count_mean`, `sector_debt_mean`,
          `sector_interest_mean`.

    Raises
    ------
    InputError
        If it is not a projection, a variable is missing, draws are not finite, the trusts do not add up to the sector,
        or a quantile is not a probability.

    Examples
    --------
    >>> import sector_risk as sr
    >>> path = sr.project(sr.load_case("england-2018-19"), years=3, n_draws=200)
    >>> summary = sr.summarise_projection(path)
    >>> summary["p_deficit"].dims, summary["sector_quantile"].dims
    (('year', 'trust'), ('year', 'quantile'))
    >>> bool((summary["underlying_mean"] < summary["sector_mean"]).all())
    True
    """
    levels = numbers(quantiles)
    check_projection(projection, levels)
    variables = _sector(projection, levels) | _support(projection) | _trusts(projection) | _milestones(projection)
    variables |= _chances(projection) | _loans(projection)
    _check_whole(variables)
    labels = {name: values for name, values in projection.coords.items() if name in PROJECTION_SUMMARY}
    summary = xr.Dataset(variables, labels | {"quantile": levels}, attrs=projection.attrs)
    return described(summary, {**PROJECTION_SUMMARY, **OF_RULES})


def check_projection(projection: xr.Dataset, levels: F64) -> None:
    """Raise one `InputError` for all that keeps a projection from being summarised."""
    faults = [*projection_faults(projection, NEEDED, "summarise"), *quantile_faults("summarise_projection", levels)]
    faults += [] if faults else _finite_faults(projection)
    raise_if_any(faults)


def projection_faults(projection: xr.Dataset, needed: Iterable[str], instead: str) -> list[Fault]:
    """Return a fault for each variable that is missing, or one if it is not a projection at all.

    `instead` is the function that takes a forecast.
    """
    if "year" in projection.dims:
        missing = [name for name in needed if name not in projection]
        remedy = "Give a projection made by project."
        return [Fault("projection", "variable is missing", name, remedy, variable=name) for name in missing]
    if "year" in projection.coords:
        remedy = 'Select years as a list, such as projection.sel(year=["2019-20"]).'
        return [Fault("projection", "one year without its dimension", "", remedy, variable="year")]
    remedy = f"Use {instead} for what simulate gave, and this for what project gave."
    return [Fault("projection", "a forecast of one year", "", remedy, variable="year")]


def _finite_faults(projection: xr.Dataset) -> list[Fault]:
    """One fault for each of the sector's variables with draws that are not numbers."""
    names = ("sector_position", "sector_underlying", "deficit_count", "gross_deficit")
    broken = [name for name in names if not np.isfinite(projection[name].values).all()]
    return [Fault("projection", *NOT_FINITE, variable=name) for name in broken]


def _sector(projection: xr.Dataset, levels: F64) -> Variables:
    """The sector's measures by year."""
    position, count, underlying, gross = (
        projection[name].transpose("year", "draw").values.astype(float)
        for name in ("sector_position", "deficit_count", "sector_underlying", "gross_deficit")
    )
    n = position.shape[1]
    main = by_row(moments, position, np.full(len(position), -float(BALANCE)))
    values, errors = quantiles_of(position, levels)
    by_year = {
        "sector_mean": main[:, MEAN],
        "sector_mean_se": mean_se(main[:, SD], n),
        "sector_sd": main[:, SD],
        "underlying_mean": underlying.mean(axis=1),
        "p_sector_balance": 1.0 - main[:, BELOW],
        "p_sector_balance_se": binomial_se(main[:, BELOW], n),
        "deficit_count_mean": count.mean(axis=1),
        "gross_deficit_mean": gross.mean(axis=1),
    }
    by_level = {
        "sector_quantile": values,
        "sector_quantile_se": errors,
        "deficit_count_quantile": quantiles_of(count, levels)[0],
    }
    return {name: (("year",), found) for name, found in by_year.items()} | {
        name: (("year", "quantile"), found) for name, found in by_level.items()
    }


def _support(projection: xr.Dataset) -> Variables:
    """What each fund pays in a year, all trusts together."""
    total = projection["support_by_fund"].sum("trust", dtype=float, skipna=False)
    return {"support_mean": (("year", "fund"), total.mean("draw").transpose("year", "fund").values)}


def _trusts(projection: xr.Dataset) -> Variables:
    """Every trust's expected position and chance of a deficit."""
    position = projection["position"].transpose("year", "trust", "draw").values
    n_years, n_trusts, n = position.shape
    rows = np.ascontiguousarray(position).reshape(-1, n)
    limit = np.full(len(rows), -BALANCE, rows.dtype)
    pieces = [slice(k, k + ROWS) for k in range(0, len(rows), ROWS)]
    with ThreadPoolExecutor(default_threads()) as pool:
        measured = np.vstack(list(pool.map(lambda piece: by_row(moments, rows[piece], limit[piece]), pieces)))
    if not np.isfinite(measured[:, MEAN]).all():
        raise InputError([Fault("projection", *NOT_FINITE, variable="position")])
    found = {
        "mean": measured[:, MEAN],
        "p_deficit": measured[:, BELOW],
        "p_deficit_se": binomial_se(measured[:, BELOW], n),
    }
    return {name: (("year", "trust"), values.reshape(n_years, n_trusts)) for name, values in found.items()}


def _milestones(projection: xr.Dataset) -> Variables:
    """How probable each milestone is, if there are any."""
    if "milestone_met" not in projection:
        return {}
    p = projection["milestone_met"].mean("draw").values
    error = binomial_se(p, projection.sizes["draw"])
    return {"p_milestone": (("milestone",), p), "p_milestone_se": (("milestone",), error)}


def _chances(projection: xr.Dataset) -> Variables:
    """How probable it is, where rules say, that a trust is in segment 4 or inside the programme; and how many are."""
    found: Variables = {}
    for name, reported, least in (("segment_4", "segment", SEGMENT_4), ("in_programme", "programme_status", 1)):
        if reported in projection:
            p = (projection[reported] >= least).mean("draw").transpose(*_YEAR_TRUST).values
            found[f"p_{name}"] = _YEAR_TRUST, p
            found[f"p_{name}_se"] = _YEAR_TRUST, binomial_se(p, projection.sizes["draw"])
            found[f"{name}_count_mean"] = _YEAR, p.sum(axis=1)
    return found


def _loans(projection: xr.Dataset) -> Variables:
    """Every trust's expected loans and interest, and their sums."""
    found: Variables = {}
    for name in (name for name in ("debt", "interest") if name in projection):
        mean = projection[name].mean("draw", dtype=float).transpose(*_YEAR_TRUST).values
        found[f"{name}_mean"] = _YEAR_TRUST, mean
        found[f"sector_{name}_mean"] = _YEAR, mean.sum(axis=1)
    return found


def _check_whole(variables: Variables) -> None:
    """Refuse a selection of trusts whose sector figures are still those of the whole; means may be added up."""
    trusts, sector = variables["mean"][1], variables["sector_mean"][1]
    gap = np.abs(trusts.sum(axis=1) - sector).max()
    if gap > 1e-6 * (1.0 + np.abs(trusts).sum(axis=1).max()):
        remedy = "Summarise the whole projection and select trusts from the summary."
        rule = "the trusts do not add up to the sector: is it a selection?"
        raise InputError([Fault("projection", rule, f"GBP {gap:.1f}m apart", remedy, variable="sector_position")])
