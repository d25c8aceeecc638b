"""Sensitivity: how much of the variance of a year-end position each group of random inputs accounts for.

`partners` plans runs that share some groups of random inputs with a first one, `estimate` makes indices of such pairs,
`pairs` runs those that are needed, and `indices` checks what is asked and labels what comes of it.

Not SALib's Sobol analysis, which takes a matrix of independent scalar inputs and one result: here a group is thousands
of numbers by address, groups depend on each other, and all units are measured at once.
"""

from sector_risk.sensitivity.indices import sensitivity_indices

__all__ = ["sensitivity_indices"]
