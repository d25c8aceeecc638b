"""What the variables of a back-test are: long names, units, signs."""

from collections.abc import Mapping
from types import MappingProxyType

import xarray as xr

from sector_risk.schema import FRACTION, MONEY, VARIANCE_SIGN, VariableSpec

SCORE_SIGN = "nought at best, higher is worse"
AS_SCORED = "as scored"
"""Unit of a variable that is in the back-test's own unit."""
_UNIT = ("origin", "unit")
_VARIABLES = (
    VariableSpec("outcome", ("unit",), AS_SCORED, "variance that came", sign=VARIANCE_SIGN),
    VariableSpec("forecast_mean", _UNIT, AS_SCORED, "mean of the draws", sign=VARIANCE_SIGN),
    VariableSpec("forecast_quantile", (*_UNIT, "quantile"), AS_SCORED, "quantiles of the draws", sign=VARIANCE_SIGN),
    VariableSpec("forecast_score", ("score", *_UNIT), AS_SCORED, "score of the forecast", sign=SCORE_SIGN),
    VariableSpec("rival_forecast", ("rival", *_UNIT), AS_SCORED, "what a simple rival says", sign=VARIANCE_SIGN),
    VariableSpec("rival_score", ("score", "rival", *_UNIT), AS_SCORED, "score of a simple rival", sign=SCORE_SIGN),
    VariableSpec("pit_low", _UNIT, FRACTION, "share of draws below what came"),
    VariableSpec("pit_high", _UNIT, FRACTION, "share of draws not above what came"),
    VariableSpec("pit", (*_UNIT, "tie"), FRACTION, "probability integral transform, at random between its bounds"),
    VariableSpec("covered", (*_UNIT, "interval"), FRACTION, "whether what came is in the central interval"),
    VariableSpec("last_seen", _UNIT, FRACTION, "last month whose variance was known; nought if none"),
    VariableSpec("turnover_to_date", ("unit",), MONEY, "turnover up to the month that is forecast"),
    VariableSpec("mean_score", ("score", "origin"), AS_SCORED, "mean score of the forecasts", sign=SCORE_SIGN),
    VariableSpec(
        "mean_rival_score",
        ("score", "rival", "origin"),
        AS_SCORED,
        "mean score of a rival where it says something",
        sign=SCORE_SIGN,
    ),
    VariableSpec(
        "skill_over",
        ("score", "rival", "origin"),
        FRACTION,
        "1 - mean score of the forecasts / that of the rival, where the rival says something",
        sign="above nought where the forecasts are better",
    ),
    VariableSpec(
        "skill_over_se",
        ("score", "rival", "origin"),
        FRACTION,
        "standard error of skill_over: of the mean difference of scores, units taken as independent",
    ),
    VariableSpec(
        "skill",
        ("score", "origin"),
        FRACTION,
        "skill over the best rival, chosen with hindsight",
        sign="above nought where the forecasts are better than every rival",
    ),
    VariableSpec("best_rival", ("score", "origin"), "", "rival over which skill is lowest"),
    VariableSpec("coverage", ("origin", "interval"), FRACTION, "share of outcomes in the central interval"),
    VariableSpec("pit_count", ("origin", "bin"), FRACTION, "number of PIT values in each tenth, mean over ties"),
    VariableSpec("pit_p_value", ("origin",), FRACTION, "p-value of Kolmogorov-Smirnov, median over ties"),
    VariableSpec(
        "pit_p_value_shared", ("origin",), FRACTION, "p-value of the same distance, with what trusts share in the draws"
    ),
    VariableSpec("origin", ("origin",), FRACTION, "last month that was seen"),
    VariableSpec("interval", ("interval",), FRACTION, "probability of the central interval"),
    VariableSpec("quantile", ("quantile",), FRACTION, "probability"),
    VariableSpec("score", ("score",), "", "score"),
    VariableSpec("rival", ("rival",), "", "simple rival"),
    VariableSpec("bin", ("bin",), FRACTION, "lower end of the bin"),
)
BACKTEST: Mapping[str, VariableSpec] = MappingProxyType({v.name: v for v in _VARIABLES})


def described(result: xr.Dataset, unit: str) -> xr.Dataset:
    """Give every variable its attributes; those in the back-test's own unit get that."""
    for name in result.variables:
        if name in BACKTEST:
            attrs = BACKTEST[str(name)].attrs
            result[name].attrs = attrs | ({"units": unit} if attrs.get("units") == AS_SCORED else {})
    return result
