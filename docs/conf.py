"""How Sphinx makes the site; `make docs`."""

import re
import sys
from pathlib import Path

from docutils import nodes

sys.path[:0] = [str(Path(__file__).parent / "extensions"), str(Path(__file__).parents[1] / "src")]

import spquant_snn  # noqa: E402

project = "spquant-snn"
author = "The authors of spquant-snn"
project_copyright = author
version = release = spquant_snn.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    # of docs/extensions
    "docstrings",
    "links",
    "mathml",
    "tables",
]
exclude_patterns = ["_build"]
nitpicky = True
# What signatures name that is not public, or of other packages: shown, and not linked.
nitpick_ignore_regex = [("py:(class|data|obj)", r"(?!spquant_snn\.(data\.)?\w+$).*")]

# Markdown: `$...$` and `$$...$$` for formulas, `:::` for boxes, an anchor for each heading.
myst_enable_extensions = ["dollarmath", "colon_fence", "attrs_inline", "deflist"]
myst_heading_anchors = 3

# The reference of the API, from docstrings.
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"
autodoc_default_options = {"members": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 88

html_theme = "furo"
html_title = "spquant-snn"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_baseurl = "https://spquant-snn.github.io/spquant-snn/"
html_show_sphinx = False
html_theme_options = {
    "source_repository": "https://github.com/spquant-snn/spquant-snn/",
    "source_branch": "main",
    "source_directory": "docs/",
}
pygments_style = "friendly"
pygments_dark_style = "monokai"
highlight_language = "text"
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = False


def keep_units(app, doctree):
    """A number and its unit stay on one line, in narrow tables too."""
    for text in list(doctree.findall(nodes.Text)):
        joined = re.sub(r"(?<=\d) (?=(?:%|kB|KB|B|MB|ms|us)(?!\w))", "\u00a0", text)
        if joined != text and not isinstance(text.parent, nodes.literal | nodes.literal_block):
            text.parent.replace(text, nodes.Text(joined))


def setup(app):
    """Called by Sphinx."""
    app.connect("doctree-read", keep_units)
