"""Quality pack of a forecast: its logs, checks that are made now, errors, and what makes the range."""

from sector_risk.quality.folder import write_quality_pack
from sector_risk.quality.pack import QualityPack, quality_pack

__all__ = ["QualityPack", "quality_pack", "write_quality_pack"]
