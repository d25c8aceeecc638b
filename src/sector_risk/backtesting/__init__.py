"""Back-tests: forecasts made as of earlier months, held against what came, and against simple rivals.

`trusts` forecasts the trusts of one year from its months; `years` leaves out each year of the sector in turn;
`measure` scores both in the same way, and `labels` says what its variables are.
"""

from sector_risk.backtesting.measure import in_money
from sector_risk.backtesting.trusts import backtest
from sector_risk.backtesting.years import backtest_years

__all__ = ["backtest", "backtest_years", "in_money"]
