"""The report of a forecast as one page of HTML.

``report`` checks and writes it; ``page`` says what is on it, with a module for each section (``how_bad``, ``whose``,
``drivers``, ``fixes``, ``certainty``, ``years``, ``record``) over the measures of ``findings``; ``section``,
``tables``, ``pictures``, ``scale`` and ``svg`` make its parts.
"""

from sector_risk.html_report.report import write_report

__all__ = ["write_report"]
