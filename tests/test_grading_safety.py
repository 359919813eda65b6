"""Submissions that attack: each is graded, loses what it should, and harms nobody."""

import csv
import json
import os
import re
import socket
from pathlib import Path

import pytest
from coursework import TINY, answered, hand_in
from rnnbook.grading.__main__ import main
from rnnbook.grading.sandbox import problem
from rnnbook.grading.submission import load_notebook

pytestmark = pytest.mark.slow
SECRET = "a secret of the tests"
RIGHT = "\ndef mean_square(x):\n    return np.mean(np.square(np.asarray(x, float)))\n"
MARK = "98765"  # seconds that a daemon sleeps, by which it is found

# What is done instead of the cell `mean` (6 points); `own` (4 points) is answered.
ATTACKS = {
    "right": (RIGHT, 6, ""),
    "empty": ("...  # your answer here", 0, ""),
    "loop": ("def mean_square(x):\n    while True:\n        pass", 0, "took too long"),
    "loop outside": ("while True:\n    pass", 0, "took too long"),
    "memory": ("def mean_square(x):\n    return [bytearray(10**8) for _ in range(100)]", 0, ""),
    "memory of many": (
        "import os, time\n"
        "for _ in range(8):\n"
        "    if not os.fork():\n"
        "        full = b'x' * (5 * 10**8)\n"
        "        time.sleep(60)\n"
        "time.sleep(60)",
        0,
        "too much memory",
    ),
    "fork bomb": ("import os\nwhile True:\n    os.fork()", 0, ""),
    "delete": (
        "import os, shutil\n"
        "os.system('rm -rf /tmp /root /opt 2>/dev/null')\n"
        "for place in {places!r}:\n"
        "    shutil.rmtree(place, ignore_errors=True)" + RIGHT,
        6,
        "",
    ),
    "read": (
        "for place in {places!r}:\n"
        "    !ls -R $place; cat $place/*\n"
        "!find / -name 'tiny*' -not -path '/proc/*' 2>/dev/null",
        0,
        "",
    ),
    "hooks": (
        "import builtins, sys\n"
        "class Any(float):\n"
        "    __eq__ = __le__ = __ge__ = lambda *_: True\n"
        "    __array__ = lambda self, *_, **__: np.ones(3)\n"
        "def look(frame, event, argument):\n"
        "    print(frame.f_code.co_filename, frame.f_locals)\n"
        "    return look\n"
        "builtins.abs = builtins.all = lambda *_: True\n"
        "np.all = np.allclose = np.array_equal = lambda *_, **__: True\n"
        "import rnnbook.grading.testing as testing\n"
        "testing.expect = testing.Report.__call__ = lambda *_, **__: None\n"
        "sys.settrace(look)\n"
        "def mean_square(x):\n"
        "    frame = sys._getframe()\n"
        "    while frame:\n"
        "        print(frame.f_globals)\n"
        "        frame = frame.f_back\n"
        "    return Any(1)",
        0,
        "",
    ),
    "fake answers": (
        "import os\n"
        "for place in range(3, 20):\n"
        "    try:\n"
        "        for number in range(20):\n"
        '            os.write(place, b\'{{"id": %d, "value": 1.0}}\\n\' % number)\n'
        "    except OSError:\n"
        "        pass",
        0,
        "no answer that can be read|not there",
    ),
    "socket": (
        "import socket\nsocket.create_connection(('127.0.0.1', {port}), timeout=2)" + RIGHT,
        0,
        "",
    ),
    "gigabyte": (
        "for _ in range(10_000):\n    print('x' * 100_000)" + RIGHT,
        6,
        "",
    ),
    "gigabyte written": (
        "with open('/tmp/full', 'w') as file:\n"
        "    for _ in range(10_000):\n        file.write('x' * 100_000)" + RIGHT,
        0,
        "",
    ),
    "daemon": (
        f"import subprocess\nsubprocess.Popen(['sleep', '{MARK}'], start_new_session=True)" + RIGHT,
        6,
        "",
    ),
    "exit": ("import os\nos._exit(0)", 0, "ended the program"),
    "kill": ("import os\nos.kill(os.getpid(), 9)", 0, "ended the program"),
    "large answer": ("def mean_square(x):\n    return np.zeros(10**7)", 0, ""),
    "markup": (
        "from IPython.display import HTML, display\n"
        "display(HTML('<script>own()</script>'))\nprint('<script>own()</script>')\n"
        "def mean_square(x):\n    raise ValueError('<script>own()</script>')",
        0,
        "",
    ),
    "no text": (
        "print('\\ud800')\ndef mean_square(x):\n    return {{'\\ud800': '\\ud800'}}['\\udfff']",
        0,
        "",
    ),
    "not a number": ("def mean_square(x):\n    return float('nan')", 0, ""),
    "odd": ("def mean_square(x):\n    return {{'a': [10**5000, {{1}}]}}", 0, ""),
    "package": ("import autograd.numpy" + RIGHT, 0, ""),
}
OTHER_FILES = {
    "no JSON": b"not a notebook",
    "deep": b'{"cells": ' + b"[" * 10**6,
    "no cells": b"{}",
}


class Course:
    """A course folder, in which all submissions were graded in one run."""

    def __init__(self, root):
        self.root, self.submissions = root, root / "submissions"
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(0.1)
        (root / "private").mkdir()
        (root / "private" / "secret").write_text(SECRET)
        places = [str(root), str(TINY), str(Path.home()), str(Path(__file__).parents[1] / "tests")]
        known = {"port": self.server.getsockname()[1], "places": places}
        for student, (source, *_) in ATTACKS.items():
            source = source.format(**known) if "{" in source else source
            self.hand_in(student, {"mean": source})
        for student, content in OTHER_FILES.items():
            self.hand_in(student, {}).write_bytes(content)
        other = answered(load_notebook(TINY / "tiny.ipynb"), {"name": 'NAME = "Somebody"'})
        other["metadata"]["kernelspec"] = {"name": "ir", "language": "R"}
        other["cells"] = [
            one for one in other["cells"] if one["id"] not in ("test-mean", "about-own")
        ]
        hand_in(self.submissions, "other kernel", other)
        linked = self.submissions / "link.ipynb"
        linked.symlink_to(TINY / "tiny.ipynb")
        self.before = self.files()
        main(self.command())
        table = root / "course" / "grades" / "tiny.csv"
        with open(table, newline="", encoding="utf-8") as file:
            self.rows = {row["student"]: row for row in csv.DictReader(file)}

    def command(self, *more):
        secret = str(self.root / "private" / "secret")
        where = ["--source", str(TINY), "--course", str(self.root / "course"), "--secret", secret]
        return ["grade", "tiny", str(self.submissions), *where, "--limit", "40", *more]

    def hand_in(self, student, answers):
        answers = {"name": f"NAME = {student!r}", "words": "<script>own()</script>"} | answers
        return hand_in(
            self.submissions, student, answered(load_notebook(TINY / "tiny.ipynb"), answers)
        )

    def files(self):
        folders = (self.submissions, self.root / "private", TINY)
        return {path: path.lstat().st_mtime for one in folders for path in one.rglob("*.*")}

    def feedback(self, student):
        page = self.root / "course" / "feedback" / student / "tiny" / "tiny.html"
        return page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    if what_to_do := problem():
        pytest.skip(what_to_do)
    graded = Course(tmp_path_factory.mktemp("hostile"))
    yield graded
    graded.server.close()


@pytest.mark.parametrize("student", ATTACKS)
def test_an_attack_is_graded_and_the_rest_of_the_answers_counts(course, student):
    _, points, remark = ATTACKS[student]
    row = course.rows[student]
    assert float(row["mean"]) == points
    assert re.search(remark, row["remarks"])
    if student not in ("fork bomb", "fake answers", "hooks"):  # these reach the next cell
        assert float(row["own"]) == 4


@pytest.mark.parametrize("student", OTHER_FILES)
def test_what_is_no_notebook_is_a_line(course, student):
    assert "is no notebook" in course.rows[student]["remarks"]
    assert float(course.rows[student]["total"]) == 0


def test_another_kernel_another_name_and_missing_cells_are_remarks(course):
    row = course.rows["other kernel"]
    assert float(row["total"]) == 10
    for remark in ("kernel for R", "NAME is 'Somebody'", "test_mean is missing"):
        assert remark in row["remarks"]


def test_a_link_is_not_followed(course):
    assert "link" in course.rows["link"]["remarks"]
    assert float(course.rows["link"]["total"]) == 0


def test_no_file_was_touched_and_nothing_was_reached(course):
    assert course.files() == course.before
    with pytest.raises(TimeoutError):
        course.server.accept()


def test_nothing_goes_on_running(course):
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert MARK not in path.read_text()
        except OSError:
            continue


@pytest.mark.parametrize("student", [*ATTACKS, "other kernel"])
def test_the_feedback_shows_no_hidden_test_no_secret_and_no_markup(course, student):
    page = course.feedback(student)
    assert len(page) < 2_000_000
    assert "<script>own" not in page
    for hidden in ("Hidden tests of", "astype(np.int8)", SECRET):
        assert hidden not in page


def test_feedback_says_what_was_wrong(course):
    page = course.feedback("loop")
    assert "✗ vectors (0 of 3)" in page
    assert "`mean_square` was stopped: it took too long" in page
    assert "data:image/png" not in course.feedback("no JSON")


def test_manual_points_come_from_a_table(course):
    table = course.root / "manual.csv"
    table.write_text("student,task,points,comment\nright,words,3,well said\n")
    (course.root / "few").mkdir()
    os.rename(course.submissions / "right", course.root / "few" / "right")
    command = course.command("--manual", str(table))
    command[2] = str(course.root / "few")
    main(command)
    grades = course.root / "course" / "grades" / "tiny.csv"
    with open(grades, newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["words"], row["total"], row["total (of)"]) == ("3.0", "13.0", "15.0")
    assert "by hand" not in row["remarks"]
    assert "well said" in course.feedback("right")
    table.write_text("student,task,points,comment\nright,words,9,\n")
    with pytest.raises(SystemExit, match=r"line 2: points are from 0 to 5, got 9"):
        main(command)
    table.write_text("student;task;points;comment\nright;words;3;\n")
    with pytest.raises(SystemExit, match="no column 'task'"):
        main(command)


def test_the_release_has_no_solutions_and_says_what_it_holds(course):
    released = course.root / "course" / "release" / "tiny" / "tiny.ipynb"
    text = released.read_text(encoding="utf-8")
    assert "SOLUTION" not in text
    assert "Rubric" not in text
    assert json.loads(text)["metadata"]["rnnbook"]["cells"][0] == "intro"
    assert released.with_suffix(".zip").exists()
