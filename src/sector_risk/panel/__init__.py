"""From a file, a table or a hand-made Dataset to a checked and complete panel.

``tables`` reads a file as rows of text, ``oversight`` turns the oversight framework's long form into one row
per trust, ``columns`` says which column is which variable, ``draft`` turns
cells into numbers and leaves the gaps, ``check`` finds what is wrong, ``fill`` closes the gaps by named
rules, and ``build`` puts these in order. ``reconfigure`` says of a checked panel's trusts which other trust
they become part of.
"""

from sector_risk.panel.build import check_panel, make_panel, read_panel
from sector_risk.panel.reconfigure import administer, by_successor, merge, take_over

__all__ = ["administer", "by_successor", "check_panel", "make_panel", "merge", "read_panel", "take_over"]
