"""The claims page: what is claimed, and what came out when the notebooks ran.

The box that a notebook shows for a claim carries its record. A claim is due when `book/claims.toml`
names a notebook that is part of the book. A due claim without a record, and a record that is not in
the list, are warnings, which fail the build.
"""

import html
import json
import re
import tomllib
from pathlib import Path

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

__all__ = ["setup"]

LIST = "book/claims.toml"
log = logging.getLogger(__name__)


class ClaimsNode(nodes.General, nodes.Element):
    """Stands for the list until all notebooks have run."""


class ClaimsDirective(SphinxDirective):
    """``{claims}``: no argument, no content."""

    def run(self):
        """Leave a place for the list."""
        written_anew(self.env).add(self.env.docname)
        return [ClaimsNode()]


def listed(app):
    """Read the list of claims: identifier → statement, origin, notebook."""
    return tomllib.loads((Path(app.srcdir) / LIST).read_text(encoding="utf-8"))


def recorded(app):
    """Iterate over the records of all pages: (page, record), in the order of the book."""
    for page, records in sorted(records_of(app.env).items()):
        for record in records:
            yield page, record


def records_of(env):
    """Get the records of each page; Sphinx stores them with what else it knows of the pages."""
    return env.__dict__.setdefault("rnnbook_records", {})


def remember(app, doctree):
    """Note the records on a page that was read."""
    boxes = "".join(node.astext() for node in doctree.findall(nodes.raw))
    found = re.findall(r'<div class="rnn-record"[^>]* data-record="([^"]*)"', boxes)
    records_of(app.env)[app.env.docname] = [json.loads(html.unescape(text)) for text in found]


def forget(app, env, page):
    """Drop a page that is removed or about to be read again."""
    records_of(env).pop(page, None)
    written_anew(env).discard(page)


def written_anew(env):
    """Get the pages that every build writes: what they show of others may have changed."""
    return env.__dict__.setdefault("rnnbook_anew", set())


def order(identifier):
    """Sort C10.1 after C2.1."""
    return [int(number) for number in identifier[1:].split(".")]


def collect(app, place):
    """Match the list with the records, and warn of what is missing."""
    claims = listed(app)
    checks = {identifier: [] for identifier in claims}
    anchors = set()
    for page, record in recorded(app):
        identifier = record["identifier"]
        if identifier not in claims:
            log.warning("%s asserts %s, which is not in %s", page, identifier, LIST, location=place)
            continue
        if (page, record["anchor"]) in anchors:
            log.warning("%s asserts %s twice in the same words", page, identifier, location=place)
        anchors.add((page, record["anchor"]))
        checks[identifier].append((page, record))
    for identifier, claim in claims.items():
        due = claim["notebook"]
        if due in app.env.found_docs and due not in {page for page, _ in checks[identifier]}:
            log.warning(
                "%s is due in %s, which asserts nothing of it",
                identifier,
                due,
                location=place,
            )
    return {key: (claims[key], checks[key]) for key in sorted(claims, key=order) if checks[key]}


def fill(app, doctree, page):
    """Replace each place by the list."""
    for place in doctree.findall(ClaimsNode):
        found = collect(app, page)
        differing = {
            key: (claim, kept)
            for key, (claim, checks) in found.items()
            if (kept := [check for check in checks if check[1]["verdict"] == "differs"])
        }
        sections = []
        if differing:
            sections.append(section(app, page, "Claims that came out otherwise", differing))
        else:
            sections.append(nodes.paragraph(text="No claim came out otherwise."))
        sections.append(section(app, page, "All claims", found))
        place.replace_self(sections)


def section(app, page, title, found):
    """Write one list of claims."""
    block = nodes.section(ids=[nodes.make_id(title)])
    block += nodes.title(text=title)
    for identifier, (claim, checks) in found.items():
        entry = nodes.container(classes=["rnn-claims"])
        head = nodes.paragraph()
        head += nodes.strong(text=identifier)
        head += nodes.Text(f" ({claim['origin']}) {claim['statement']}")
        entry += head
        checked = nodes.bullet_list()
        for where, record in checks:
            checked += nodes.list_item("", item(app, page, where, record))
        entry += checked
        block += entry
    return block


def item(app, page, where, record):
    """Write one check: statement and link, measured value, bound, verdict."""
    uri = app.builder.get_relative_uri(page, where) + "#" + record["anchor"]
    required = f", required {record['bound']}" if record["bound"] else ""
    line = nodes.paragraph()
    line += nodes.reference("", record["statement"], refuri=uri, internal=True)
    line += nodes.Text(f" Measured {record['measured']}{required}: ")
    line += nodes.inline("", record["verdict"], classes=[f"rnn-{record['verdict']}", "rnn-verdict"])
    line += nodes.Text(". " + record["note"] if record["note"] else ".")
    return line


def outdated(app, env, added, changed, removed):
    """Write these pages again, whatever has changed."""
    return [page for page in written_anew(env) if page in env.found_docs]


def setup(app):
    """Register with Sphinx."""
    app.add_node(ClaimsNode)
    app.add_directive("claims", ClaimsDirective)
    app.connect("doctree-read", remember)
    app.connect("env-purge-doc", forget)
    app.connect("env-get-outdated", outdated)
    app.connect("doctree-resolved", fill)
