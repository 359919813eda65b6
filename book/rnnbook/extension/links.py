"""Names in code are links to the reference: in the cells that import them, and in the text."""

import ast
import importlib
import re

from docutils import nodes

__all__ = ["setup"]

LEFT_ALONE = r"<a\b.*?</a>|<h\d\b.*?</h\d>"  # what is a link already, and titles
NO_ATTRIBUTE = r'(?<!<span class="o">\.</span>)'
NO_KEYWORD = r'(?!<span class="o">=</span>)'
CODE = rf'{NO_ATTRIBUTE}<span class="n">(?P<code>\w+)</span>{NO_KEYWORD}'
TEXT = r'<code class="docutils literal[^"]*"><span class="pre">(?P<text>[\w.]+)</span></code>'
NAME = re.compile(f"{LEFT_ALONE}|{CODE}|{TEXT}", re.DOTALL)


def documented(app):
    """Get the functions and classes of the reference: full name → page and anchor."""
    return {
        name: (entry.docname, entry.node_id)
        for name, entry in app.env.get_domain("py").objects.items()
        if entry.objtype in ("function", "class", "data", "exception")
    }


def imported(doctree):
    """Full names of what the code on a page imports from the two packages, by short name."""
    found = {}
    for block in doctree.findall(nodes.literal_block):
        try:
            statements = ast.parse(block.astext()).body
        except SyntaxError:  # a line of the shell, or an output
            continue
        for node in statements:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rnn"):
                for alias in node.names:
                    found[alias.asname or alias.name] = full_name(node.module, alias.name)
    return found


def full_name(module, name):
    """Name an object after the module that defines it, as the reference does."""
    value = getattr(importlib.import_module(module), name, None)
    home = getattr(value, "__module__", module)
    return f"{home if home.startswith('rnn') else module}.{name}"


def link(app, page, template, context, doctree):
    """Turn the names on a page into links."""
    if doctree is None or page.startswith("book/api"):
        return
    places = documented(app)
    short = {name.rpartition(".")[2]: name for name in places}
    names = {name: full for name, full in imported(doctree).items() if full in places}

    def replace(match):
        name = match["code"] or match["text"]
        full = names.get(name) if match["code"] else names.get(name, short.get(name, name))
        if full not in places:
            return match[0]
        where, anchor = places[full]
        uri = f"{app.builder.get_relative_uri(page, where)}#{anchor}"
        return f'<a class="rnn-name" href="{uri}" title="{full}">{match[0]}</a>'

    context["body"] = NAME.sub(replace, context["body"])


def setup(app):
    """Register with Sphinx."""
    app.connect("html-page-context", link)
