"""The build of the book: what it has to notice, tried on books of one page."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from rnnbook.extension.execution import fingerprint

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CLAIMS = tomllib.loads((ROOT / "book" / "claims.toml").read_text(encoding="utf-8"))


def code_cells(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def called(node, name):
    return (
        isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", None)) == name
    )


def displayed(cell):
    """The nodes of a cell whose value a reader sees: the last expression, and what is displayed."""
    tree = ast.parse(re.sub(r"^\s*[%!].*$", "", cell, flags=re.MULTILINE))
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        yield tree.body[-1].value
    for node in ast.walk(tree):
        if called(node, "display"):
            yield from node.args


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_claims_are_literal_listed_and_displayed(path):
    for cell in code_cells(path):
        checks = [node for node in ast.walk(ast.parse(cell)) if called(node, "check")]
        for node in checks:
            assert node.args, cell
            assert isinstance(node.args[0], ast.Constant), cell
            assert node.args[0].value in CLAIMS, cell
        shown = {(node.lineno, node.col_offset) for node in displayed(cell)}
        assert {(node.lineno, node.col_offset) for node in checks} <= shown, cell


def test_the_list_of_claims_is_complete():
    for identifier, claim in CLAIMS.items():
        assert re.fullmatch(r"C\d+\.\d+", identifier)
        assert set(claim) == {"origin", "notebook", "statement"}
        assert claim["origin"] in ("paper", "beyond")
        assert len(claim["statement"]) > 40


def test_claims_belong_to_pages_that_exist_or_will():
    # A slip in a name would make a claim that is never due.
    names = {path.stem[:2]: f"notebooks/{path.stem}" for path in NOTEBOOKS}
    for claim in CLAIMS.values():
        number = re.fullmatch(r"notebooks/(\d\d)_\w+", claim["notebook"])[1]
        assert claim["notebook"] == names.get(number, claim["notebook"])


def test_every_notebook_is_in_the_table_of_contents():
    contents = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    listed = re.findall(r"file: (notebooks/\w+)", contents)
    assert listed == [f"notebooks/{path.stem}" for path in NOTEBOOKS]


# Books of one page, built by the Makefile with the real configuration and extension.

LIST = """
["C1.1"]
origin = "paper"
notebook = "notebooks/01_page"
statement = "One is not more than two."
"""
TRUE = """
from rnnbook.claims import check
check("C1.1", "One is at most two.", measured=1, at_most=2)
"""
FALSE = TRUE.replace("measured=1", "measured=3")
DIFFERS = """
from rnnbook.claims import check
check("C1.1", "Three is at most two.", measured=3, at_most=2, expected="differs")
"""


class Book:
    def __init__(self, root):
        self.root = root
        shutil.copytree(ROOT / "book" / "rnnbook", root / "book" / "rnnbook")
        shutil.copytree(ROOT / "book" / "styles", root / "book" / "styles")
        shutil.copytree(ROOT / "rnnpedagogy", root / "rnnpedagogy")
        for name in ("_config.yml", "Makefile", "requirements.txt", "book/claims.md"):
            shutil.copy(ROOT / name, root / name)
        self.write("book/preface.md", "# Preface")
        self.write("book/references.bib", "")
        self.write("book/claims.toml", LIST)
        self.write("repository.url", "")
        self.write(
            "_toc.yml",
            "format: jb-book\nroot: book/preface\nchapters:\n"
            "  - file: notebooks/01_page\n  - file: book/claims\n",
        )

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def write_page(self, *cells):
        def cell(index, source):
            code = {"execution_count": None, "outputs": [], "source": source}
            return {"cell_type": "code", "id": f"cell-{index}", "metadata": {}, **code}

        title = {"cell_type": "markdown", "id": "title", "metadata": {}, "source": "# Page"}
        notebook = {
            "cells": [title, *(cell(index, source) for index, source in enumerate(cells))],
            "metadata": {
                "kernelspec": {"name": "python3", "display_name": "Python 3"},
                "language_info": {"name": "python"},
            },
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        self.write("notebooks/01_page.ipynb", json.dumps(notebook))

    def build(self):
        """Run `make book` without its set-up: return whether it succeeded, and what it said."""
        command = ["make", "book", "-o", "setup", f"BIN={Path(sys.executable).parent}"]
        environment = os.environ | {"PYTHONPATH": f"{self.root / 'book'}{os.pathsep}{self.root}"}
        done = subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, check=False
        )
        return done.returncode == 0, done.stdout + done.stderr

    def read(self, name):
        return (self.root / "_build" / "html" / name).read_text(encoding="utf-8")


@pytest.fixture
def book(tmp_path):
    return Book(tmp_path)


@pytest.mark.slow
def test_a_false_claim_fails_every_build_until_it_is_mended(book):
    book.write_page(FALSE)
    for _ in range(2):
        succeeded, said = book.build()
        assert not succeeded
        assert "ClaimError" in said
        assert "C1.1" in said
    book.write_page(TRUE)
    assert book.build()[0]


@pytest.mark.slow
def test_a_claim_that_is_missing_or_not_listed_fails_every_build(book):
    book.write_page(TRUE)
    assert book.build()[0]
    book.write("book/claims.toml", LIST + LIST.replace("C1.1", "C1.2"))
    for _ in range(2):
        succeeded, said = book.build()
        assert not succeeded
        assert "C1.2 is due in notebooks/01_page" in said
    book.write("book/claims.toml", LIST.replace("C1.1", "C1.2").replace("01_page", "02_page"))
    succeeded, said = book.build()
    assert not succeeded
    assert "notebooks/01_page asserts C1.1, which is not in book/claims.toml" in said


@pytest.mark.slow
def test_the_claims_page_lists_first_what_differs_and_links_to_the_cell(book):
    book.write_page(TRUE, DIFFERS)
    assert book.build()[0]
    page = book.read("book/claims.html")
    assert re.findall("(?:Three|One) is at most two", page) == [
        "Three is at most two",
        "One is at most two",
        "Three is at most two",
    ]
    anchors = re.findall(r'href="\.\./notebooks/01_page\.html#(claim-[^"]*)"', page)
    assert len(anchors) == 3
    notebook = book.read("notebooks/01_page.html")
    assert all(f'id="{anchor}"' in notebook for anchor in anchors)
    book.write_page(TRUE)
    assert book.build()[0]
    assert "Three is at most two" not in book.read("book/claims.html")


@pytest.mark.slow
def test_notebooks_run_again_when_a_package_changes_and_only_then(book):
    def ran():
        assert book.build()[0]
        pattern = r"ran (\d+) with (\w+) and (\w+)"
        return re.search(pattern, book.read("notebooks/01_page.html")).groups()

    book.write("rnnpedagogy/answer.py", 'ANSWER = "first"\n')
    book.write("book/rnnbook/question.py", 'QUESTION = "what"\n')
    book.write_page(
        TRUE,
        "import time\nfrom rnnpedagogy.answer import ANSWER\n"
        "from rnnbook.question import QUESTION\n"
        'print(f"ran {time.time_ns()} with {ANSWER} and {QUESTION}")',
    )
    first = ran()
    assert first[1:] == ("first", "what")
    shutil.rmtree(book.root / "_build" / ".doctrees")
    assert ran() == first
    book.write("rnnpedagogy/answer.py", 'ANSWER = "second"\n')
    assert ran()[1:] == ("second", "what")
    book.write("book/rnnbook/question.py", 'QUESTION = "why"\n')
    assert ran()[1:] == ("second", "why")
    caches = list((book.root / "_build" / "executions").iterdir())
    assert len(caches) == 1


def test_the_hash_covers_both_packages_their_results_and_the_pins(tmp_path):
    files = (
        "rnnpedagogy/cells.py",
        "book/rnnbook/figures.py",
        "book/rnnbook/results/sine/LSTM-0.npz",
        "requirements.txt",
    )
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"as it is")
    seen = {fingerprint(tmp_path)}
    for number, name in enumerate(files, start=1):
        (tmp_path / name).write_bytes(b"changed")
        seen.add(fingerprint(tmp_path))
        assert len(seen) == number + 1
    for name in ("notebooks/01_page.ipynb", "book/rnnbook/__pycache__/figures.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"new")
    assert fingerprint(tmp_path) in seen


@pytest.mark.slow
def test_buttons_point_to_the_public_address_or_nowhere(book):
    book.write_page(TRUE)
    assert book.build()[0]
    outside = r'href="(https?://[^"]*)"'
    assert re.findall(outside, book.read("notebooks/01_page.html")) == []
    address = "https://github.example.org/owner/name"
    book.write("repository.url", address + "\n")
    succeeded, said = book.build()
    assert succeeded, said
    links = set(re.findall(outside, book.read("notebooks/01_page.html")))
    page = "notebooks/01_page.ipynb"
    assert address in links
    assert f"{address}/edit/main/{page}" in links
    assert any(link.startswith("https://mybinder.org/v2/") and page in link for link in links)
    assert f"https://colab.research.google.com/github/owner/name/blob/main/{page}" in links


@pytest.mark.slow
def test_an_address_that_is_none_is_refused(book):
    book.write_page(TRUE)
    book.write("repository.url", "somewhere")
    succeeded, said = book.build()
    assert not succeeded
    assert "repository.url must hold nothing or https://host/owner/name, got 'somewhere'" in said
