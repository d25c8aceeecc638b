"""From history to assumptions with a joint distribution.

`parameters` says what is fitted and what is thought of it beforehand; `statistics` what history and simulation are
compared by; `emulator` stands in for the simulation; `posterior` weighs parameters by history; `fit` puts these in
order; `result` is what comes out, and `file` keeps it; `outturn` says what a fit makes of a year that has begun.
"""

from sector_risk.calibration.fit import calibrate
from sector_risk.calibration.outturn import sector_outturn
from sector_risk.calibration.result import Calibration

__all__ = ["Calibration", "calibrate", "sector_outturn"]
