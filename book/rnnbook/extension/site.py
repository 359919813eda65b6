"""Mathematics without a network, buttons, and the versions that built the book."""

import importlib.util
import platform
import re
import shutil
from importlib.metadata import version
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

__all__ = ["setup"]

ADDRESS = "repository.url"
PACKAGES = (
    "rnnpedagogy", "numpy", "autograd", "matplotlib",
    "jupyter-book", "sphinx", "sphinx-book-theme", "myst-nb",
)  # fmt: skip


def prepare(app, config):
    """Take MathJax from the book itself; add the buttons that need a public repository."""
    config.mathjax_path = "mathjax/tex-mml-chtml.js"
    address = (Path(app.srcdir) / ADDRESS).read_text(encoding="utf-8").strip()
    options = config.html_theme_options
    if not address:
        return
    if not re.fullmatch(r"https://[^\s/]+/[^\s/]+/[^\s/]+", address):
        raise ValueError(f"{ADDRESS} must hold nothing or https://host/owner/name, got {address!r}")
    options |= {
        "repository_url": address,
        "repository_branch": "main",
        "path_to_docs": "",
        "use_repository_button": True,
        "use_edit_page_button": True,
        "use_issues_button": True,
        "launch_buttons": {
            "notebook_interface": "jupyterlab",
            "binderhub_url": "https://mybinder.org",
            "colab_url": "https://colab.research.google.com",
        },
    }


def copy_mathjax(app, error):
    """Copy the scripts and fonts of MathJax that the pages use."""
    if error or app.builder.format != "html":
        return
    source = Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent
    source = source / "static" / "mathjax"
    target = Path(app.outdir) / "_static" / "mathjax"
    if not target.exists():
        shutil.copytree(source / "output" / "chtml", target / "output" / "chtml")
        shutil.copy(source / "tex-mml-chtml.js", target)


class VersionsDirective(SphinxDirective):
    """``{versions}``: the interpreter and the main packages that built the book."""

    def run(self):
        """Write the list."""
        names = [("Python", platform.python_version())]
        names += [(name, version(name)) for name in PACKAGES]
        lines = nodes.bullet_list()
        for name, number in names:
            lines += nodes.list_item("", nodes.paragraph(text=f"{name} {number}"))
        return [lines]


def setup(app):
    """Register with Sphinx."""
    app.add_directive("versions", VersionsDirective)
    app.connect("config-inited", prepare)
    app.connect("build-finished", copy_mathjax)
