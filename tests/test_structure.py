"""The rules of the two packages: what imports what, how large they are, and who needs what."""

import ast
import doctest
import importlib
import re
import sys
import tomllib
from collections import Counter
from functools import cache
from importlib.metadata import packages_distributions

import pytest
from sources import (
    FOLDERS,
    ROOT,
    all_modules,
    code_lines,
    examples,
    imports,
    modules,
    names_used,
    notebook_code,
    reference,
)

LIBRARY, TOOLS = FOLDERS
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EVERY_MODULE = sorted(all_modules())
TEXTS_WITH_EXAMPLES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]

LARGEST_FILE = 500  # lines, all of them
LARGEST_FUNCTION = 45  # lines of code
CHECKS = 250  # lines for checks of arguments, locks and checksums, beside all others
TOOLS_CHECKS = 20  # the same in the tools: sweeps whose files, folders or workers are lost
LANGUAGE = 200  # lines of `rnnbook.language`, which was planned as a part of the library
GRADING = 1000  # lines of `rnnbook.grading`, which releases, runs and grades coursework
NETWORKS = 57  # lines of networks that several pages look at; there they were 180
# What the pages of Part V add to the library, and to the tools.
PART_V = {"certificates": 170, "orthogonal": 125, "memory": 70, "what came after": 205}
PART_V_TOOLS = {"certificates": 91, "orthogonal": 107, "memory": 95, "what came after": 100}
LARGEST = {  # lines of code
    LIBRARY: 3700 + CHECKS + sum(PART_V.values()),
    TOOLS: 2500 + TOOLS_CHECKS + LANGUAGE + GRADING + NETWORKS + sum(PART_V_TOOLS.values()),
}
LARGEST_CORE = 800
CORE = {f"{LIBRARY}.{one}" for one in ("cells", "_columns", "rollout", "costs", "gradients")}
BESIDE_THE_CORE = {f"{LIBRARY}.cells.stack"}


def private(name):
    return name.rpartition(".")[2].startswith("_")


def top(name):
    return name.partition(".")[0]


# Sizes


def lines_of_code(found):
    return sum(len(module.code_lines) for module in found)


def core():
    """The modules of the core."""
    return [
        module
        for name, module in modules(LIBRARY).items()
        if any(within(name, one) for one in CORE) and name not in BESIDE_THE_CORE
    ]


def within(name, package):
    return name == package or name.startswith(package + ".")


def test_lines_are_counted_without_docstrings_comments_and_blanks():
    text = (
        '"""A module,\n\non three lines."""\n'
        "\n# A comment.\n"
        "def double(x):  # counted\n"
        '    """Double."""\n'
        '    text = """one\n'
        '\n    three"""\n'
        "    return (\n"
        "        # no\n"
        "        2 * x\n"
        "    )\n"
    )
    assert code_lines(text) == {6, 8, 9, 10, 11, 13, 14}


@pytest.mark.parametrize("name", EVERY_MODULE)
def test_no_file_and_no_function_is_long(name):
    module = all_modules()[name]
    lines = module.text.count("\n")
    assert lines <= LARGEST_FILE
    too_long = {name: lines for name, lines in module.functions() if lines > LARGEST_FUNCTION}
    assert not too_long, "lines of code"


@pytest.mark.parametrize("package", FOLDERS)
def test_a_package_is_small(package):
    lines = lines_of_code(modules(package).values())
    assert lines <= LARGEST[package]


def test_the_core_is_smaller():
    assert {module.name for module in core()} >= CORE
    checks = sum(module.text.count("@takes") for module in core())  # a line that names them
    assert lines_of_code(core()) - checks <= LARGEST_CORE


def test_the_readme_states_the_sizes():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    stated = re.search(r"core of about ([\d,]+) lines .*? of about ([\d,]+)", readme, re.DOTALL)
    assert stated, "README.md has to say: a core of about N lines … of about M"
    sizes = lines_of_code(core()), lines_of_code(modules(LIBRARY).values())
    right = tuple(f"{round(size, -2):,}" for size in sizes)
    assert stated.groups() == right, f"README.md has to say {' and '.join(right)} lines"


# Imports


def third_party(tree):
    """The packages that some code imports, without the standard library and the two of ours."""
    return {top(name) for name in imports(tree)} - sys.stdlib_module_names - set(FOLDERS)


def optional_imports(tree):
    """The imports in a function, in a ``try`` that goes on where the package is not there."""
    return [
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for attempt in ast.walk(function)
        if isinstance(attempt, ast.Try)
        and any(
            getattr(handler.type, "id", None) in ("ImportError", "ModuleNotFoundError")
            for handler in attempt.handlers
        )
        for statement in attempt.body
        for node in ast.walk(statement)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]


@pytest.mark.parametrize("name", sorted(modules(LIBRARY)))
def test_the_library_imports_numpy_and_autograd_only(name):
    tree = modules(LIBRARY)[name].tree
    assert TOOLS not in {top(one) for one in imports(tree)}
    others = third_party(tree) - {"numpy", "autograd"}
    assert others <= {"tqdm"}
    tried = Counter(top(one) for node in optional_imports(tree) for one in imports(node))
    plain = Counter(
        top(one)
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for one in imports(node)
    )
    for other in others:
        assert plain[other] == tried[other], f"{other} has to be optional"


def test_the_dependencies_are_what_the_library_imports():
    found = set().union(*(third_party(one.tree) for one in modules(LIBRARY).values()))
    assert found - {"tqdm"} == set(map(distribution, PROJECT["dependencies"]))
    assert "tqdm" in map(distribution, PROJECT["optional-dependencies"]["notebooks"])


def distribution(requirement):
    return re.match(r"[\w.-]+", requirement)[0].lower()


# Which extra brings what a part of the book's tools imports.
EXTRA_OF = {
    "rnnbook.experiments": "experiments",
    "rnnbook.extension": "book",
    "rnnbook.grading": "grading",
}


@pytest.mark.parametrize("name", sorted(modules(TOOLS)))
def test_an_extra_brings_what_the_tools_import(name):
    extra = next((EXTRA_OF[part] for part in EXTRA_OF if within(name, part)), "notebooks")
    brought = PROJECT["dependencies"] + PROJECT["optional-dependencies"][extra]
    brought = set(map(distribution, brought))
    known = packages_distributions()
    for package in third_party(modules(TOOLS)[name].tree):
        assert brought & {one.lower() for one in known[package]}, package


# The order of the reference


@cache
def places():
    """The place of each public module in the reference; what is listed deeper is more exact."""
    listed = reference()
    found = {}
    for name in all_modules():
        containing = [place for place, one in enumerate(listed) if within(name, one)]
        if containing:
            found[name] = max(containing, key=lambda place: len(listed[place]))
    return found


def reached(name, seen=()):
    """The public modules of ours that a module imports, itself or through private modules."""
    found = set()
    for other in all_modules()[name].imports():
        if top(other) in FOLDERS and other != name and other not in seen:
            found |= reached(other, (*seen, name)) if private(other) else {other}
    return found


def test_modules_are_listed_once_and_exist():
    assert len(set(reference())) == len(reference())
    assert set(reference()) <= set(all_modules())


# Packages without anything of their own, and what only Sphinx imports.
NOT_LISTED = {"rnnpedagogy", "rnnbook", "rnnbook.extension"}


@pytest.mark.parametrize("name", [one for one in EVERY_MODULE if not private(one)])
def test_modules_import_only_those_above_them_in_the_reference(name):
    if name in NOT_LISTED or within(name, "rnnbook.extension"):
        return
    assert name in places(), f"{name} has to be in the reference, book/api.md or book/api-tools.md"
    below = [
        other
        for other in reached(name)
        if not within(other, name) and places().get(other, -1) > places()[name]
    ]
    assert not below, f"{name} stands above what it imports"


# Who needs what


def users():
    """The trees of everything that may use a name, with the module that each belongs to."""
    for name, module in all_modules().items():
        yield name, module.tree
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                yield None, examples(ast.get_docstring(node) or "")
    notebooks, assignments = ROOT / "notebooks", ROOT / "notebooks" / "assignments"
    for path in sorted([*notebooks.glob("*.ipynb"), *assignments.glob("*.ipynb")]):
        yield None, notebook_code(path)
    for path in sorted([*(ROOT / "benchmarks").glob("*.py"), *assignments.glob("*.py")]):
        yield None, ast.parse(path.read_text(encoding="utf-8"))
    for path in TEXTS_WITH_EXAMPLES:
        yield None, examples(path.read_text(encoding="utf-8"))


@cache
def users_of():
    """Each name with the modules that use it; None stands for a page, a benchmark, an example."""
    found = {}
    for name, tree in users():
        passed_on = all_modules()[name].passed_on() if name else set()
        for one in names_used(tree) - passed_on:
            found.setdefault(one, set()).add(name)
    return found


@pytest.mark.parametrize("name", EVERY_MODULE)
def test_every_public_name_has_a_user(name):
    module = all_modules()[name]
    unused = {
        one
        for one in module.public_names() - module.returned_classes() - module.tabulated()
        if not users_of().get(one, set()) - {name}
    }
    if within(name, "rnnbook.extension"):
        unused.discard("setup")  # Sphinx calls it
    assert not unused, "give it a user, an example that runs, an underscore, or remove it"


# Examples


@pytest.mark.parametrize("name", EVERY_MODULE)
def test_the_examples_of_the_docstrings_run(name):
    if name.endswith("__main__"):
        return
    found = doctest.testmod(importlib.import_module(name))
    assert found.failed == 0


@pytest.mark.parametrize("path", TEXTS_WITH_EXAMPLES, ids=lambda path: path.name)
def test_the_examples_of_the_texts_run(path):
    found = doctest.testfile(str(path), module_relative=False)
    assert found.failed == 0
    assert found.attempted > 0 or path.name != "README.md"
