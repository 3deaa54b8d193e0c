"""The site of the documentation: `make docs` builds it, docs/_build/html/index.html is its first page."""

import os
import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "_extensions"))

import readable_types  # noqa: E402, F401  # before the package, whose aliases it changes
from code_names import public_aliases  # noqa: E402

from csl_plugin import __version__  # noqa: E402

project = "csl-plugin"
author = "The csl-plugin authors"
copyright = author
version = release = __version__
language = "en"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "myst_nb",
    "sphinx_copybutton",
    "sphinx_design",
    "public_names",
    "code_names",
    "repository",
    "page_head",
]
# README.md is the index for readers on the repository host; index.md is that of the site.
exclude_patterns = ["_build", "README.md"]
nitpicky = True
nitpick_ignore_regex = [
    # Type variables.
    (r"py:.*", r"(csl_plugin\.\w+\.(\w+\.)?)?[A-Z]\w*[a-z]T"),
    # Classes of the inside, which public signatures pass on and nobody has to name.
    (r"py:.*", r"csl_plugin\.\w+\.\w+(\.\w+)*\.[A-Z]\w+|csl_plugin\.distributed\.Processes"),
    # The same, where an annotation is shown as it is written.
    (r"py:.*", "Partition|Normalization"),
    # Classes of other packages that have no stable address.
    (r"py:.*", r"torch\.export\..*|supervision\..*"),
]

myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 6
nb_execution_mode = "off"
nb_merge_streams = True

default_role = "code-name"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_type_aliases = public_aliases() | {
    # Names that are imported for type checkers alone: Sphinx could not evaluate the signatures with them.
    "Detections": "supervision.Detections",
    "HierarchicalRegions": "csl_plugin.proposers.hierarchy.HierarchicalRegions",
    "Scale": "csl_plugin.proposers.hierarchy.Scale",
}
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Source"]
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"
add_module_names = False

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"

repository = "https://github.com/csl-plugin/csl-plugin"
repository_branch = "main"
linkcheck_ignore = [
    rf"{repository}/(blob|tree|edit)/"
]  # the extension `repository` checks these in the clone
linkcheck_timeout = 20

html_theme = "furo"
pygments_dark_style = "github-dark"
html_title = "csl-plugin"
html_baseurl = os.environ.get("READTHEDOCS_CANONICAL_URL", "https://csl-plugin.github.io/csl-plugin/")
html_static_path = ["_static", "images/demo.png"]  # the picture for those who show links
html_css_files = ["site.css"]
html_search_scorer = str(Path(__file__).parent / "_extensions" / "scorer.js")
html_favicon = html_logo = "_static/logo.svg"
html_copy_source = False
html_show_copyright = False
html_theme_options = {
    "source_repository": repository,
    "source_branch": repository_branch,
    "source_directory": "docs/",
    "light_css_variables": {
        "color-brand-primary": "#8f2469",
        "color-brand-content": "#8f2469",
        "color-code-background": "#f6f6f7",
    },
    "dark_css_variables": {
        "color-brand-primary": "#ff9d4d",
        "color-brand-content": "#ff9d4d",
        "color-code-background": "#1d1e22",
    },
}
