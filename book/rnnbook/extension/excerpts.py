"""Figures that are shown again: taken from the page that draws them, so that the two cannot differ.

A cell with the tag ``picture-NAME`` draws the figure; ``{excerpt} PAGE NAME`` shows its output.
"""

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from rnnbook.extension.claims import written_anew

__all__ = ["setup"]

log = logging.getLogger(__name__)


class ExcerptNode(nodes.General, nodes.Element):
    """Stands for a figure of another page until all pages were read."""


class ExcerptDirective(SphinxDirective):
    """``{excerpt} notebooks/05_page name``: the figure, and a link to where it is drawn."""

    required_arguments = 2

    def run(self):
        """Leave a place for the figure."""
        page, name = self.arguments
        written_anew(self.env).add(self.env.docname)
        return [ExcerptNode(page=page, name=name, line=self.lineno)]


def fill(app, doctree, page):
    """Replace each place by its figure."""
    for place in list(doctree.findall(ExcerptNode)):
        source, name = place["page"], place["name"]
        figures = drawn(app.env, source, name)
        if len(figures) != 1:
            message = "%s has to draw one figure in a cell with the tag picture-%s, found %d"
            log.warning(message, source, name, len(figures), location=(page, place["line"]))
        title = app.env.titles[source].astext() if source in app.env.titles else source
        uri = app.builder.get_relative_uri(page, source)
        link = nodes.reference("", f"From: {title}", refuri=uri, internal=True)
        source_line = nodes.paragraph("", "", link, classes=["rnn-excerpt"])
        place.replace_self([*(figure.deepcopy() for figure in figures), source_line])


def drawn(env, page, name):
    """The figures in the outputs of the cells of a page that have the tag."""
    if page not in env.found_docs:
        return []
    cells = env.get_doctree(page).findall(
        lambda node: f"tag_picture-{name}" in getattr(node, "attributes", {}).get("classes", ())
    )
    outputs = [node for cell in cells for node in cell.findall(nodes.raw)]
    return [node for node in outputs if "<figure" in node.astext()]


def setup(app):
    """Register with Sphinx."""
    app.add_node(ExcerptNode)
    app.add_directive("excerpt", ExcerptDirective)
    app.connect("doctree-resolved", fill)
