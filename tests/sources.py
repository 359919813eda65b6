"""The source of the two packages and of what uses them, as the tests of the rules read it."""

import ast
import doctest
import io
import json
import re
import tokenize
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = {"rnnpedagogy": ROOT / "rnnpedagogy", "rnnbook": ROOT / "book" / "rnnbook"}
REFERENCE = (ROOT / "book" / "api.md", ROOT / "book" / "api-tools.md")
NO_CODE = (
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
)
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class Module:
    """One file of a package."""

    def __init__(self, name, path):
        self.name, self.path = name, path
        self.text = path.read_text(encoding="utf-8")
        self.tree = ast.parse(self.text)
        self.code_lines = code_lines(self.text)

    def functions(self):
        """Iterate over its functions and methods: (name, lines of code of the body)."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = range(node.body[0].lineno, node.end_lineno + 1)
                yield node.name, len(self.code_lines.intersection(body))

    def imports(self):
        """The full names of the modules that it imports, wherever it does."""
        return imports(self.tree)

    def listed(self):
        """What `__all__` lists, None without it."""
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "__all__":
                return set(ast.literal_eval(node.value))
        return None

    def public_names(self):
        """What `__all__` lists, of what the module itself defines.

        Without `__all__` these are the functions and classes that have no underscore; constants
        are then settings of the module. A program has nothing public.
        """
        definitions, constants = set(), set()
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                definitions.add(node.name)
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                constants.add(node.targets[0].id)
        if self.path.name == "__main__.py":
            return set()
        if self.listed() is None:
            return {name for name in definitions if not name.startswith("_")}
        return self.listed() & (definitions | constants)

    def passed_on(self):
        """What `__all__` lists of other modules, or a package without one imports.

        To pass a name on is not to use it.
        """
        names = self.listed() or set()
        if self.listed() is None and self.path.name == "__init__.py":
            names = {
                alias.asname or alias.name
                for node in self.tree.body
                if isinstance(node, ast.ImportFrom)
                for alias in node.names
            }
        return names - self.public_names()

    def returned_classes(self):
        """Its classes that it makes itself: what its functions return, or raise."""
        classes = {node.name for node in self.tree.body if isinstance(node, ast.ClassDef)}
        return {
            node.func.id
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        } & classes

    def tabulated(self):
        """What its constants hold, such as a table of functions by name."""
        return {
            node.id
            for statement in self.tree.body
            if isinstance(statement, ast.Assign)
            for node in ast.walk(statement.value)
            if isinstance(node, ast.Name)
        }


def code_lines(text):
    """The numbers of the lines that hold code: no docstrings, no comments, no blanks."""
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            lines.difference_update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return lines


@cache
def modules(package):
    """The modules of a package: name → Module."""
    folder = FOLDERS[package]
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        name = ".".join((package, *(part for part in parts if part != "__init__")))
        found[name] = Module(name, path)
    return found


@cache
def all_modules():
    """The modules of both packages."""
    return {name: module for package in FOLDERS for name, module in modules(package).items()}


def imports(tree):
    """The full names of imported modules: ``from a import b`` gives ``a.b`` if that is one."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole path"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                found.add(name if name in all_modules() else node.module)
    return found


def names_used(tree):
    """The names of the two packages that some code takes.

    These are imported, or taken of an imported module, or of a module in a table of modules.
    """
    used, from_us = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] in FOLDERS:
            used.update(alias.name for alias in node.names)
            from_us.update(alias.asname or alias.name for alias in node.names)
    tables = {
        target.id
        for statement in tree.body
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Dict)
        for target in statement.targets
        if {getattr(value, "id", None) for value in statement.value.values} & from_us
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            entry = isinstance(node.value, ast.Subscript)
            owner = node.value.value if entry else node.value
            if getattr(owner, "id", None) in (tables if entry else from_us):
                used.add(node.attr)
    return used


def examples(text):
    """The source of the examples in a text, as `doctest` runs them."""
    return ast.parse("".join(one.source for one in doctest.DocTestParser().get_examples(text)))


def notebook_code(path):
    """The code of a notebook as one tree, without magic commands."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    return parsed(code)


def parsed(code):
    """Parse the code of a cell, without IPython's own lines."""
    return ast.parse(re.sub(r"^\s*[%!].*$", "", code, flags=re.MULTILINE))


def reference():
    """The modules that the two pages of the reference list, in their order."""
    texts = [path.read_text(encoding="utf-8") for path in REFERENCE]
    return re.findall(r"automodule:: (\S+)", "".join(texts))
