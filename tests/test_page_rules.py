"""The rules of a page that can be counted: words, lines, claims, exercises, times."""

import ast
import json
import re
from functools import cache
from pathlib import Path

import pytest
from rnnbook.source import show_source
from sources import parsed

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "notebooks").glob("*.ipynb"))
MAIN, FOLDED = 3000, 1500  # words
SHOWN, HIDDEN, CELL = 200, 200, 25  # lines of code
OPEN_CLAIMS, MEASURED_ONCE = 5, 3
WORDS_A_MINUTE = (30, 55)
EXERCISE = re.compile(r"\((recall|derive|code|open)(, own (?:network|data))?, (\d+) minutes\)")
HIDE = {"hide-input", "hide-cell", "remove-input", "remove-cell"}
FENCE = re.compile(r"^(`{3,}|:{3,})(\{[\w:-]+\})?(.*)$")


@cache
def cells(path):
    """The cells of a page: kind, text, tags, and whether it belongs to a solution."""
    found, inside = [], False
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        tags = set(cell["metadata"].get("tags", []))
        found.append((cell["cell_type"], text, tags, inside))
        gates = re.findall(r"\{solution-(start|end)\}", text)
        inside = gates[-1] == "start" if gates else inside
    return found


def split(text, inside=False):
    """The words of a Markdown cell: in the main path, folded, and in solutions.

    `inside`: whether the cell begins within a solution.
    """
    words = {"main": 0, "folded": 0, "solution": 0}
    stack = []  # of fences and gates that are open: (fence, where their text belongs)
    place = "solution" if inside else "main"
    lines = text.split("\n")
    for number, line in enumerate(lines):
        fence = FENCE.match(line)
        if "{solution-start}" in line:
            inside, place = True, "solution"
        elif "{solution-end}" in line:
            inside, place = False, "main"
        elif fence and not inside:
            mark, directive, title = fence.groups()
            if not directive and stack and stack[-1][0] == mark and not title.strip():
                place = stack.pop()[1]
                continue
            stack.append((mark, place))
            options = "\n".join(lines[number + 1 : number + 5])
            if directive == "{dropdown}" or (directive and folded(options)):
                place = "folded"
            words[place] += count(title)
        elif not re.match(r"^:\w+:", line):
            words[place] += count(line)
    return words, inside


def folded(options):
    """Whether the first lines of a directive give it the class `dropdown`."""
    taken = re.match(r"(:\w+:.*\n)*", options + "\n")[0]
    return re.search(r"^:class:.*\bdropdown\b", taken, re.MULTILINE)


def count(line):
    return len(re.findall(r"\S*\w\S*", line))


def said(code):
    """Words in the texts that a cell prints or displays."""
    total = 0
    for node in ast.walk(parsed(code)):
        name = isinstance(node, ast.Call) and getattr(
            node.func, "id", getattr(node.func, "attr", "")
        )
        if name in ("print", "Markdown", "HTML"):
            texts = [leaf.value for leaf in ast.walk(node) if isinstance(leaf, ast.Constant)]
            total += sum(count(text) for text in texts if isinstance(text, str))
    return total


def lines(code):
    return sum(bool(line.strip()) for line in code.split("\n"))


def source_lines(code, page):
    """Lines that `show_source` prints, without docstrings and blanks; `page`: all its code."""
    total = 0
    for name in re.findall(r"\bshow_source\(([\w.]+)", code):
        first, *rest = name.split(".")
        obj = imported(page)[first]
        for part in rest:
            obj = getattr(obj, part)
        total += lines(show_source(obj).code)
    return total


def imported(page):
    """What a page imports from our packages, by name."""
    found = {}
    for node in ast.walk(parsed(page)):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("rnn"):
            names = [alias.name for alias in node.names]
            module = __import__(node.module, fromlist=names)
            found |= {name: getattr(module, name) for name in names}
    return found


@cache
def sizes(path):
    """What is counted on a page."""
    total = dict.fromkeys(("main", "folded", "solution", "shown", "hidden", "longest", "claims"), 0)
    code_of_page = "\n".join(text for kind, text, *_ in cells(path) if kind == "code")
    for kind, text, tags, inside in cells(path):
        if kind == "markdown":
            words, _ = split(text, inside)
            for place, number in words.items():
                total[place] += number
        elif kind == "code" and not inside:
            hidden = bool(tags & HIDE)
            total["hidden" if hidden else "shown"] += lines(text)
            total["shown"] += source_lines(text, code_of_page)
            total["main"] += said(text)
            if not hidden:
                total["longest"] = max(total["longest"], lines(text))
            total["claims"] += open_claims(text)
    return total


def open_claims(code):
    """How many lines of claims a cell shows: `together` makes one of several checks."""
    nodes = list(ast.walk(parsed(code)))

    def name(node):
        return isinstance(node, ast.Call) and getattr(node.func, "id", "")

    joined = [node for node in nodes if name(node) == "together"]
    within = {id(node) for one in joined for node in ast.walk(one)}
    alone = [node for node in nodes if name(node) == "check" and id(node) not in within]
    return len(joined) + len(alone)


@cache
def exercises(path):
    """Title, kind, own network, minutes of each exercise."""
    text = "\n".join(text for kind, text, *_ in cells(path) if kind == "markdown")
    titles = re.findall(r"^`{3,}\{exercise\}(.*)$", text, re.MULTILINE)
    solved = set(re.findall(r"\{solution-start\} (\S+)", text))
    labels = re.findall(r"^`{3,}\{exercise\}.*\n:label: (\S+)", text, re.MULTILINE)
    return titles, labels, solved


def test_words_are_counted_where_a_reader_meets_them():
    text = (
        "# One two\n\n```{prf:proof}\n:class: dropdown\n\nfolded words here\n```\n\nthree\n\n"
        "````{dropdown} A title\n\n```{math}\nx\n```\nmore\n````\n"
        "```{exercise} Four\n:label: ex\n\nfive\n```\n"
        "````{solution-start} ex\n:class: dropdown\n````\nsolved it\n"
    )
    words, inside = split(text)
    assert words == {"main": 5, "folded": 7, "solution": 2}
    assert inside
    assert split("is so\n````{solution-end}\n````\nsix", inside)[0] == {
        "main": 1,
        "folded": 0,
        "solution": 2,
    }


PER_PAGE = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)


@PER_PAGE
def test_a_page_is_one_session(path):
    found = sizes(path)
    limits = {"main": MAIN, "folded": FOLDED, "shown": SHOWN, "hidden": HIDDEN, "longest": CELL}
    too_much = {name: found[name] for name, limit in limits.items() if found[name] > limit}
    assert not too_much, found


@PER_PAGE
def test_claims_are_quiet(path):
    assert sizes(path)["claims"] <= OPEN_CLAIMS


@PER_PAGE
def test_exercises_say_what_they_are(path):
    titles, labels, solved = exercises(path)
    assert 3 <= len(titles) <= 6
    assert set(labels) == solved, "every exercise has a solution"
    found = [EXERCISE.search(title) for title in titles]
    assert all(found), [title for title, kind in zip(titles, found, strict=True) if not kind]
    assert any(kind[2] for kind in found), "one exercise is on the reader's own network or data"
    assert sum(int(kind[3]) for kind in found) <= 90


@PER_PAGE
def test_a_page_states_honest_times(path):
    first = cells(path)[0][1]
    stated = re.search(r"Reading takes about (\d+) minutes, the exercises (\d+)\.", first)
    assert stated, "Reading takes about … minutes, the exercises …."
    reading, practice = map(int, stated.groups())
    slow, fast = WORDS_A_MINUTE
    assert sizes(path)["main"] / fast <= reading <= sizes(path)["main"] / slow
    titles, *_ = exercises(path)
    assert practice == sum(int(EXERCISE.search(title)[3]) for title in titles)


@PER_PAGE
def test_a_page_opens_with_its_question_and_a_picture(path):
    """Before any code is shown there is a figure whose code is folded."""
    shown = False
    for kind, text, tags, _ in cells(path):
        if kind != "code":
            continue
        assert tags & HIDE, "the first cells are folded"
        if re.search(r"\b(show|explore|panel|\w*picture\w*)\(", text):
            shown = True
            break
    assert shown


@PER_PAGE
def test_few_numbers_are_measured_once(path):
    text = "\n".join(text for kind, text, *_ in cells(path) if kind == "markdown")
    assert len(re.findall(r"[Mm]easured once", text)) <= MEASURED_ONCE


@PER_PAGE
def test_prose_cites_theorems_and_figures_not_codes(path):
    for kind, text, *_ in cells(path):
        if kind == "markdown":
            assert not re.search(r"\bC[1-6]\.\d\b", text), text


@PER_PAGE
def test_a_proof_is_folded_by_a_dropdown_around_it(path):
    """A class of its own would stop the script that folds, and open all solutions of the page."""
    for kind, text, *_ in cells(path):
        if kind == "markdown":
            assert not re.search(r"\{prf:\w+\}.*\n(:label:.*\n)?:class:.*dropdown", text)
