"""Every assignment: the reference has full marks, nothing none, and planted mistakes lose some."""

from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from itertools import zip_longest

import pytest
from coursework import HERE, answered, hand_in
from rnnbook.grading.course import release
from rnnbook.grading.grader import Assignment, grade_submission, load_tests
from rnnbook.grading.sandbox import problem
from rnnbook.grading.submission import load_notebook

pytestmark = pytest.mark.slow
SOURCES = HERE.parent / "notebooks" / "assignments"
NAMES = sorted(path.stem for path in SOURCES.glob("*.py"))
PLANTED = 5  # wrong answers to each task
STUDENT = "Ada Lovelace"


@cache
def hidden_in(name):
    return load_tests(SOURCES / f"{name}.py")


@cache
def planted_in(name):
    return load_tests(HERE / "assignments" / f"{name}.py")


def together(planted):
    """Submissions that have the k-th answer to each task: [{task: (label, source)}]."""
    columns = [[(task, *one) for one in answers.items()] for task, answers in planted.items()]
    return [
        {task: (label, source) for task, label, source in filter(None, row)}
        for row in zip_longest(*columns)
    ]


class Run:
    """All submissions of one assignment, graded: label → reports."""

    def __init__(self, name, root):
        source = SOURCES / f"{name}.ipynb"
        released = release(root / "course", source)
        answers = {"empty": {}, "reference": {}}
        figures = {  # the experiments of the written tasks take most of the time
            cell["metadata"]["nbgrader"]["grade_id"]: "..."
            for cell in load_notebook(source)["cells"]
            if cell["metadata"]["nbgrader"]["grade_id"].startswith("figure_")
        }
        for kind in ("WRONG", "RIGHT"):
            for number, row in enumerate(together(getattr(planted_in(name), kind))):
                planted = {task: text for task, (_, text) in row.items()}
                answers[f"{kind} {number}"] = figures | planted
        paths = {
            label: hand_in(
                root / label,
                STUDENT,
                answered(load_notebook(released if label == "empty" else source), changed),
            )
            for label, changed in answers.items()
        }
        unsafe = problem() is not None
        known = Assignment(name, SOURCES / f"{name}.py", released, "a secret", 240, unsafe)
        with ProcessPoolExecutor(2) as pool:
            graded = list(pool.map(partial(grade_submission, known, STUDENT), paths.values()))
        self.graded = dict(zip(paths, graded, strict=True))
        self.points = {
            cell["metadata"]["nbgrader"]["grade_id"]: cell["metadata"]["nbgrader"]["points"]
            for cell in load_notebook(released)["cells"]
            if cell["metadata"]["nbgrader"]["grade"]
        }

    def lost(self, label, task):
        """What a submission loses in a task: label of the property → sentence."""
        report = self.graded[label].reports[task]
        return {one.label: one.wrong for one in report if one.wrong}


@pytest.fixture(scope="module", params=NAMES)
def run(request, tmp_path_factory):
    return request.param, Run(request.param, tmp_path_factory.mktemp(request.param))


def test_cells_and_tests_have_the_same_points_and_all_are_a_hundred(run):
    _, found = run
    reports = found.graded["reference"].reports
    automatic = {f"test_{task}": report.points for task, report in reports.items()}
    assert automatic.items() <= found.points.items()
    assert {one for one in found.points if one.startswith("test_")} == set(automatic)
    assert sum(found.points.values()) == 100
    assert sum(automatic.values()) < 100, "a written task is missing"
    assert 5 <= len(found.points) <= 9


def test_the_reference_has_full_marks_and_an_empty_submission_none(run):
    _, found = run
    graded = found.graded["reference"]
    lost = {task: found.lost("reference", task) for task in graded.reports}
    assert not {task: why for task, why in lost.items() if why}
    assert not [one for one in graded.remarks if not one.startswith("cell")]
    assert {report.earned for report in found.graded["empty"].reports.values()} == {0}


def test_every_planted_mistake_loses_points(run):
    name, found = run
    planted = planted_in(name).WRONG
    assert set(planted) == set(hidden_in(name).TASKS)
    assert min(map(len, planted.values())) >= PLANTED
    missed = [
        (task, label)
        for number, row in enumerate(together(planted))
        for task, (label, _) in row.items()
        if not found.lost(f"WRONG {number}", task)
    ]
    assert not missed


def test_an_answer_that_is_written_differently_loses_nothing(run):
    name, found = run
    planted = planted_in(name).RIGHT
    assert set(planted) == set(hidden_in(name).TASKS)
    lost = {
        (task, label): found.lost(f"RIGHT {number}", task)
        for number, row in enumerate(together(planted))
        for task, (label, _) in row.items()
    }
    assert not {one: why for one, why in lost.items() if why}


def test_every_sentence_is_one(run):
    _, found = run
    for graded in found.graded.values():
        assert not [one for one in graded.remarks if "the test of" in one or "failed" in one]
