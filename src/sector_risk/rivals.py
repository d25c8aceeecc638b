"""Simple rivals: what anyone could have said without a model, as point forecasts of a variance.

All are in per cent of turnover to date, so that a straight run rate stays what it is.
"""

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
RIVALS = {
    "plan": "plan",
    "run_rate": "straight run rate",
    "declared_forecast": "declared forecast",
    "plan_and_mean_error": "plan and mean past error",
}


def rival_forecasts(seen: F64, declared: F64, mean_error: F64 | float) -> F64:
    """Forecasts of all rivals, (rival, unit), per cent of turnover to date; NaN where a rival has nothing to go on.

    Parameters
    ----------
    seen : array (unit)
        Variance so far, per cent of turnover to date; NaN where none is known.
    declared : array (unit)
        Variance declared for the target month, per cent of turnover to date; NaN where none is.
    mean_error : array (unit) or float
        Mean variance of the sector at the target month in other years; NaN if none is known.

    Examples
    --------
    >>> rival_forecasts(np.array([-1.0, 0.0]), np.array([np.nan, -0.5]), -0.4)
    array([[ 0. ,  0. ],
           [-1. ,  0. ],
           [ nan, -0.5],
           [-0.4, -0.4]])
    """
    return np.array([np.zeros_like(seen), seen, declared, np.broadcast_to(mean_error, seen.shape)])


def latest(values: F64) -> F64:
    """Last value that is known in each row, (row); NaN where none is.

    Examples
    --------
    >>> latest(np.array([[1.0, np.nan, 3.0], [1.0, 2.0, np.nan], [np.nan, np.nan, np.nan]]))
    array([ 3.,  2., nan])
    """
    values = np.column_stack([np.full(len(values), np.nan), values])
    last = values.shape[1] - 1 - np.argmax(np.isfinite(values[:, ::-1]), axis=1)
    last = np.where(np.isfinite(values).any(axis=1), last, 0)
    return np.asarray(values[np.arange(len(values)), last])
