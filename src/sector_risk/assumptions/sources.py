"""Sources that several groups of assumptions share."""

CALIBRATED = (
    "hand-calibrated to sector outturns against plan 2014-15 to 2018-19 and the month 9 cross-section of 2025-26"
)
CORRELATIONS = (
    "judgement near the intra-class correlations of trust variances at month 9 of 2025-26 (system .12, region .01):"
    " NHS Oversight Framework data"
)
SHARED_YEARS = (
    "sd of the sector's outturn against plan, .17% of turnover over five years; the larger correlation seen within"
    " types comes from their plans, which the model has apart"
)
