"""Settings of the documentation."""

from importlib.metadata import version as _version

project = "sector_risk"
author = "sector_risk contributors"
copyright = "sector_risk contributors"
release = _version("sector-risk")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.mathjax", "numpydoc"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False

html_theme = "furo"
html_title = "sector_risk"
