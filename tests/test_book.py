"""The build of the book: what it has to notice, tried on books of a few pages."""

import ast
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from rnnbook.extension.execution import fingerprint
from rnnbook.extension.parallel import cores, longest_first
from sources import parsed

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
    tree = parsed(cell)
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        yield from _parts(tree.body[-1].value)
    for node in ast.walk(tree):
        if called(node, "display"):
            for shown in node.args:
                yield from _parts(shown)


def _parts(shown):
    """What is displayed, and the checks that it shows together."""
    yield shown
    if called(shown, "together"):
        yield from (node for node in ast.walk(shown) if called(node, "check"))


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
    names = {path.stem.partition("_")[0]: f"notebooks/{path.stem}" for path in NOTEBOOKS}
    for claim in CLAIMS.values():
        number = re.fullmatch(r"notebooks/(\d\d|[A-Z])_\w+", claim["notebook"])[1]
        assert claim["notebook"] == names.get(number, claim["notebook"])


def test_every_notebook_is_in_the_table_of_contents():
    contents = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    listed = re.findall(r"file: (notebooks/\w+)", contents)
    assert listed == [f"notebooks/{path.stem}" for path in NOTEBOOKS]


# Books of few pages, built by the Makefile with the real configuration and extension.

PAGES_OF_THE_BOOK = ("book/claims.md", "book/build.md")
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
        for name in ("_config.yml", "Makefile", "requirements.txt", *PAGES_OF_THE_BOOK):
            shutil.copy(ROOT / name, root / name)
        self.write("book/preface.md", "# Preface")
        self.write("book/references.bib", "")
        self.write("book/claims.toml", LIST)
        self.write("repository.url", "")
        self.list_pages("01_page")

    def list_pages(self, *names):
        pages = [*(f"notebooks/{name}.ipynb" for name in names), *PAGES_OF_THE_BOOK]
        contents = "".join(f"  - file: {page.rpartition('.')[0]}\n" for page in pages)
        self.write("_toc.yml", "format: jb-book\nroot: book/preface\nchapters:\n" + contents)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def write_page(self, *cells, name="01_page", tags=()):
        def cell(index, source):
            code = {"execution_count": None, "outputs": [], "source": source}
            metadata = {"tags": tags} if tags else {}
            return {"cell_type": "code", "id": f"cell-{index}", "metadata": metadata, **code}

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
        self.write(f"notebooks/{name}.ipynb", json.dumps(notebook))

    def start(self):
        """Start `make book` without its set-up, in a group of processes of its own."""
        command = ["make", "book", "-o", "setup", f"BIN={Path(sys.executable).parent}"]
        environment = os.environ | {"PYTHONPATH": f"{self.root / 'book'}{os.pathsep}{self.root}"}
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def build(self):
        """Run `make book`: return whether it succeeded, and what it said."""
        with self.start() as making:
            said = making.communicate()[0]
        return making.returncode == 0, said

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
    caches = [path for path in (book.root / "_build" / "executions").iterdir() if path.is_dir()]
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


# Notebooks that run at the same time.


BY_MYST_NB = "Executed notebook in"


def ran(said):
    """The notebooks that a build says it ran, in the order in which they ended."""
    assert BY_MYST_NB not in said
    return re.findall(r"\[\d+/\d+\] notebooks/(\w+)", said)


FIGURE = """
import numpy as np
from rnnbook.figures import figure, show
fig, axes = figure()
axes.plot(np.sin(np.arange(100)))
show(fig, alt="Sixteen periods of a sine, all alike.")
"""
WORDS = """
print("some words")
{"a", "set"}
"""


@pytest.mark.slow
def test_outputs_are_those_of_a_build_one_after_the_other(book):
    book.list_pages("01_page", "02_page", "03_page")
    book.write_page(TRUE, name="01_page")
    book.write_page(FIGURE, name="02_page")
    book.write_page(WORDS, name="03_page", tags=("runs-alone", "hide-input"))

    def built():
        succeeded, said = book.build()
        assert succeeded, said
        times = rb"<p>\d{4}-\d\d-\d\d \d\d:\d\d</p>|<p>\d+\.\d+</p>"
        index = book.root / "_build" / "html" / "searchindex.js"  # times are words to search for
        return said, {
            path.relative_to(book.root): re.sub(times, b"<p>then</p>", path.read_bytes())
            for folder in ("html", "jupyter_execute")
            for path in (book.root / "_build" / folder).rglob("*")
            if path.is_file() and path != index
        }

    said, files = built()
    assert sorted(ran(said)) == ["01_page", "02_page", "03_page"]
    shutil.rmtree(book.root / "_build")
    book.write("book/rnnbook/extension/parallel.py", "def setup(app):\n    pass\n")
    said, expected = built()
    assert said.count(BY_MYST_NB) == 3
    table = expected[Path("_build/html/book/build.html")].decode()
    assert table.count("<p>✅</p>") == 3
    assert table.count("<p>then</p>") == 6
    assert files.keys() == expected.keys()
    different = [name for name in files if files[name] != expected[name]]
    assert different == []


DRAWN = """```{excerpt} notebooks/01_page sine
```
"""


@pytest.mark.slow
def test_a_figure_that_is_shown_again_is_the_one_of_its_page(book):
    book.write("book/preface.md", "# Preface\n\n" + DRAWN)
    book.write_page(FIGURE)
    succeeded, said = book.build()
    assert not succeeded
    assert "notebooks/01_page has to draw one figure in a cell with the tag picture-sine" in said
    for periods, changed in (("Sixteen", FIGURE), ("Twenty", FIGURE.replace("Sixteen", "Twenty"))):
        book.write_page(TRUE, changed, tags=("picture-sine",))
        succeeded, said = book.build()
        assert succeeded, said
        figures = [
            re.findall(r"<figure.*?</figure>", book.read(page), re.DOTALL)
            for page in ("book/preface.html", "notebooks/01_page.html")
        ]
        assert figures[0] == figures[1]
        assert f'aria-label="{periods} periods' in figures[0][0]
        assert 'href="../notebooks/01_page.html"' in book.read("book/preface.html")


REFERENCE = """# Reference

```{eval-rst}
.. automodule:: rnnpedagogy.growth
   :members:
```
"""
USING = """
from rnnpedagogy.growth import growth_rate
def attribute():
    return dict(growth_rate=growth_rate)
attribute.growth_rate = 1
"""


@pytest.mark.slow
def test_names_in_code_and_text_lead_to_the_reference(book):
    text = "# Preface\n\n`growth_rate` measures, `rate` and `numpy` do not lead anywhere.\n"
    book.write("book/preface.md", text)
    book.write("book/claims.md", REFERENCE)
    book.write("book/claims.toml", "")
    book.write_page(USING)
    succeeded, said = book.build()
    assert succeeded, said
    leads = re.compile(r'<a class="rnn-name" href="([^"]*)"')
    anchor = "claims.html#rnnpedagogy.growth.growth_rate"
    assert leads.findall(book.read("book/preface.html")) == [anchor]
    # Where it is imported and used; not as a keyword or an attribute.
    assert leads.findall(book.read("notebooks/01_page.html")) == [f"../book/{anchor}"] * 2


MEET = """
import time
from pathlib import Path
Path("{mine}").touch()
deadline = time.monotonic() + 60
while not Path("{other}").exists():
    assert time.monotonic() < deadline, "alone"
    time.sleep(0.1)
Path("{mine}-ended").touch()
"""
OTHERS_HAVE_ENDED = """
from pathlib import Path
assert Path("one-ended").exists() and Path("two-ended").exists()
"""


@pytest.mark.slow
@pytest.mark.skipif(cores() < 2, reason="needs two cores")
def test_notebooks_run_together_and_what_runs_alone_runs_after_them(book):
    book.list_pages("01_page", "02_page", "03_page")
    book.write_page(TRUE, OTHERS_HAVE_ENDED, name="01_page", tags=("runs-alone",))
    book.write_page(MEET.format(mine="one", other="two"), name="02_page")
    book.write_page(MEET.format(mine="two", other="one"), name="03_page")
    succeeded, said = book.build()
    assert succeeded, said
    assert ran(said)[2] == "01_page"
    seconds = json.loads((book.root / "_build" / "executions" / "seconds.json").read_text())
    assert seconds.keys() == {f"notebooks/{name}" for name in ran(said)}


def test_the_longest_notebook_runs_first():
    def run(page, size):
        path = SimpleNamespace(stat=lambda: SimpleNamespace(st_size=size))
        return SimpleNamespace(page=page, path=path)

    runs = [run("short", 3), run("small", 1), run("long", 2), run("large", 4)]
    ordered = longest_first(runs, {"short": 1.5, "long": 20.0, "of another book": 60.0})
    assert [one.page for one in ordered] == ["large", "small", "long", "short"]


COUNT = """
with open("runs-of-{name}", "a") as file:
    file.write("once\\n")
print("ran as far as this")
"""
FAILURES = {
    "02_page": ("1 / 0", "ZeroDivisionError"),
    "03_page": ("import time\ntime.sleep(60)", "CellTimeoutError"),
    "04_page": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "DeadKernelError"),
}


@pytest.mark.slow
def test_a_notebook_that_fails_runs_once_and_the_others_run(book):
    config = (book.root / "_config.yml").read_text(encoding="utf-8")
    book.write("_config.yml", config.replace("timeout: 120", "timeout: 5"))
    book.list_pages("01_page", *FAILURES)
    book.write_page(TRUE, COUNT.format(name="01_page"))
    for name, (cell, _) in FAILURES.items():
        book.write_page(COUNT.format(name=name), cell, name=name)

    def times(name):
        return len((book.root / "notebooks" / f"runs-of-{name}").read_text().splitlines())

    for build in (1, 2):
        succeeded, said = book.build()
        assert not succeeded
        assert said.count("Executing notebook failed") == 3
        for name, (_, error) in FAILURES.items():
            assert error in said
            assert re.search(rf"notebooks/{name} failed after \d+ s", said)
            assert times(name) == build
        assert times("01_page") == 1
    page = book.read("notebooks/02_page.html")
    assert "ran as far as this" in page
    assert "ZeroDivisionError" in page
    for name in FAILURES:
        book.write_page("1 + 1", name=name)
    succeeded, said = book.build()
    assert succeeded, said
    assert sorted(ran(said)) == sorted(FAILURES)


@pytest.mark.slow
def test_only_the_page_that_was_edited_runs_again(book):
    book.list_pages("01_page", "02_page")
    book.write_page(TRUE, name="01_page")
    book.write_page("1 + 1", name="02_page")
    assert sorted(ran(book.build()[1])) == ["01_page", "02_page"]
    book.write_page("1 + 2", name="02_page")
    assert ran(book.build()[1]) == ["02_page"]
    assert ran(book.build()[1]) == []
    book.write("requirements.txt", "")
    assert sorted(ran(book.build()[1])) == ["01_page", "02_page"]


WAIT = """
import os, time
from pathlib import Path
Path("{name}.part").write_text(str(os.getpid()))
Path("{name}.part").rename("{name}.pid")
time.sleep(100)
"""


@pytest.mark.slow
def test_an_interrupt_ends_the_build_and_its_kernels(book):
    names = [f"{number:02}_page" for number in range(1, cores() + 2)]
    book.list_pages(*names)
    for name in names:
        book.write_page(WAIT.format(name=name), name=name)
    folder = book.root / "notebooks"
    deadline = time.monotonic() + 60
    with book.start() as making:
        while len(list(folder.glob("*.pid"))) < cores():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        begun = time.monotonic()
        os.killpg(making.pid, signal.SIGINT)
        said = making.communicate(timeout=60)[0]
    assert time.monotonic() - begun < 20
    assert making.returncode != 0
    assert "Traceback" not in said
    kernels = list(folder.glob("*.pid"))
    assert len(kernels) == cores()
    for kernel in kernels:
        with pytest.raises(ProcessLookupError):
            os.kill(int(kernel.read_text()), 0)
