"""From a file, a table or a hand-made Dataset to a checked and complete panel.

``tables`` reads a file as rows of text, ``oversight`` turns the oversight framework's long form into one row
per trust, ``columns`` says which column is which variable, ``draft`` turns
cells into numbers and leaves the gaps, ``check`` finds what is wrong, ``fill`` closes the gaps by named
rules, and ``build`` puts these in order. ``reconfigure`` says of a checked panel's trusts which other trust
they become part of. ``accounts`` reads published accounts, ``returns`` a monthly finance return, and
``combine`` makes one panel of several sources. ``guard`` decides what may be opened; ``xlsx`` and ``ods``
read workbooks in bounded memory.
"""

from sector_risk.panel.accounts import read_accounts
from sector_risk.panel.build import check_panel, make_panel, read_panel
from sector_risk.panel.combine import CombineReport, combine
from sector_risk.panel.reconfigure import administer, by_successor, merge, take_over
from sector_risk.panel.returns import read_return

__all__ = [
    "CombineReport",
    "administer",
    "by_successor",
    "check_panel",
    "combine",
    "make_panel",
    "merge",
    "read_accounts",
    "read_panel",
    "read_return",
    "take_over",
]
