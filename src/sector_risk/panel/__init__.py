"""From a file, a table or a hand-made Dataset to a checked and complete panel.

``tables`` reads a file as rows of text, ``oversight`` turns the oversight framework's long form into one row
per trust, ``columns`` says which column is which variable, ``draft`` turns
cells into numbers and leaves the gaps, ``check`` finds what is wrong, ``fill`` closes the gaps by named
rules, and ``build`` puts these in order.
"""

from sector_risk.panel.build import check_panel, make_panel, read_panel

__all__ = ["check_panel", "make_panel", "read_panel"]
