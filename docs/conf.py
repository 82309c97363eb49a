"""The site: every page of this folder, the commands' own help, docstrings of the public names. See `scripts/site`."""

project = "demitasse"
author = "The demitasse authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click", "sphinx_copybutton"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "demitasse"
html_copy_source = False
myst_heading_anchors = 3
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
copybutton_prompt_text = "$ "
