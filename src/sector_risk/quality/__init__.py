"""Quality pack of a forecast: its logs, checks that are made now, errors, and what makes the range."""

from sector_risk.quality.folder import write_quality_pack
from sector_risk.quality.pack import QualityPack, quality_pack
from sector_risk.quality.rows import (
    CheckRow,
    DataRow,
    DecisionRow,
    ErrorRow,
    GapRow,
    SettingRow,
    ShareRow,
    VersionRow,
)

__all__ = [
    "CheckRow",
    "DataRow",
    "DecisionRow",
    "ErrorRow",
    "GapRow",
    "QualityPack",
    "SettingRow",
    "ShareRow",
    "VersionRow",
    "quality_pack",
    "write_quality_pack",
]
