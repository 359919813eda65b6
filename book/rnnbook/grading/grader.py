"""One submission: its cells run in the sandbox, its tests outside."""

import importlib.util
import signal
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from rnnbook.grading.exchange import pack, unpack
from rnnbook.grading.own import own_generator, plain
from rnnbook.grading.sandbox import Death, Sandbox
from rnnbook.grading.submission import Unreadable, load_notebook, read_cells, rebuild, stated_name
from rnnbook.grading.testing import Report, Wrong

STEP = 1 / 4  # of the limit, for one cell or one call
TEST = 60  # seconds that the test of a task may take beside what the student's code takes
PNG = "iVBORw0KGgo"  # what an image begins with, in base64
LARGEST_PNG = 2 * 2**20


class Assignment(NamedTuple):
    """What grading has to know of an assignment."""

    name: str
    tests: Path  # …/NAME.py
    release: Path  # …/NAME.ipynb
    secret: str
    limit: float = 60.0
    unsafe: bool = False
    hidden: tuple = ()  # folders that no submission may see


class Graded(NamedTuple):
    """What became of a submission."""

    student: str
    reports: dict
    notebook: dict
    remarks: list


class _Overdue(BaseException):
    """A test takes too long; no `except Exception` of a test stops it."""


def load_tests(path):
    """The module of hidden tests of an assignment; one without a file is graded by hand alone."""
    if not path.exists():
        return SimpleNamespace(HIDDEN=(), TASKS={})
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Session:
    """The cells of a student in a sandbox, made again without what has killed it."""

    def __init__(self, cells, refused, assignment):
        self.cells, self.refused, self.assignment = cells, refused, assignment
        self.left, self.sandbox = assignment.limit, None
        self.results, self.stopped, self.deaths = {}, {}, []

    def run(self):
        """Run the cells, unless they have been."""
        while self.sandbox is None:
            place = None
            try:
                self._ask({"refuse": self.refused})
                for place, source in enumerate(self.cells):
                    if place not in self.stopped:
                        self.results[place] = self._ask({"run": source})
            except Death as death:
                if place is None or self.left <= 0:
                    raise Wrong(f"the submission was stopped: {death}") from None
                self.stop(place, f"a cell was stopped: {death}")
                self.results[place] = {"error": f"This cell was stopped: {death}."}

    def answer(self, request):
        """What a function returns, or a name stands for."""
        name = request["name"]
        self.run()
        if name in self.stopped:
            raise Wrong(self.stopped[name])
        try:
            answer = self._ask(request)
            if "wrong" in answer:
                raise Wrong(_text(answer["wrong"], 400))
            return unpack(answer["value"])
        except Death as death:
            raise Wrong(self.stop(name, f"`{name}` was stopped: {death}")) from None
        except (ValueError, KeyError):
            raise Wrong(f"what `{name}` is or returns cannot be read") from None

    def stop(self, what, sentence):
        self.stopped[what] = sentence
        self.deaths.append(sentence)
        return sentence

    def close(self):
        if self.sandbox:
            self.sandbox.close()

    def _ask(self, request):
        if self.left <= 0:
            raise Death("the time of the whole submission is over")
        started = time.monotonic()
        try:
            if self.sandbox is None:
                known = self.assignment
                self.sandbox = Sandbox(self.refused, known.hidden, unsafe=known.unsafe)
            return self.sandbox.ask(request, min(self.left, STEP * self.assignment.limit))
        except Death:
            self.sandbox = None
            raise
        finally:
            self.left -= time.monotonic() - started


class _Student:
    """The functions and values of a student, as a test sees them."""

    def __init__(self, session):
        self._session = session

    def __getattr__(self, name):
        return lambda *args: self._session.answer({"name": name, "args": pack(list(args))})

    def value(self, name):
        return self._session.answer({"name": name})


def grade_submission(assignment, student, path):
    """Grade one submission; whatever it is, there is a result."""
    release = load_notebook(assignment.release)
    try:
        return _graded(assignment, student, path, release)
    except Unreadable as reason:
        return Graded(student, {}, release, [str(reason)])
    except Exception as error:
        return Graded(student, {}, release, [f"grading failed: {type(error).__name__}: {error}"])


def _graded(assignment, student, path, release):
    cells, kernel = read_cells(path)
    notebook, remarks = rebuild(release, cells)
    remarks += [] if kernel == "python" else [f"it was saved with a kernel for {kernel}"]
    remarks += _other_name(cells, student)
    tests = load_tests(assignment.tests)
    runs = [cell for cell in notebook["cells"] if _is_run(cell)]
    named = f"NAME = {student!r}"
    sources = [named if _id(cell) == "name" else cell["source"] for cell in runs]
    session = _Session(sources, list(tests.HIDDEN), assignment)
    try:
        remarks += [] if tests.TASKS else _shown(session)
        reports = {
            task: _tested(session, task, test, assignment, student, remarks)
            for task, test in tests.TASKS.items()
        }
    finally:
        session.close()
    for place, cell in enumerate(runs):
        cell["outputs"] = _outputs(session.results.get(place, {}))
    remarks = [_text(one, 300) for one in remarks + session.deaths]
    return Graded(student, reports, notebook, remarks)


def _shown(session):
    """Run cells that no test runs, for what they print and draw: what is wrong with that."""
    try:
        session.run()
    except Wrong as wrong:
        return [str(wrong)]
    return []


def _id(cell):
    return cell["metadata"].get("nbgrader", {}).get("grade_id")


def _is_run(cell):
    """Code of the student's, and what it needs; not the visible tests."""
    graded = cell["metadata"].get("nbgrader", {}).get("grade")
    return cell["cell_type"] == "code" and not graded and _id(cell) != "hand_in"


def _other_name(cells, student):
    """A remark where the name in the notebook is not that of the submission."""
    stated = stated_name(cells)
    if plain(stated) == plain(student):
        return []
    return [f"NAME is {stated[:60]!r}, the submission is of {student!r}"]


def _tested(session, task, test, assignment, student, remarks):
    """The report of one task."""
    report = Report()
    rng = own_generator(assignment.secret, f"{assignment.name}/{task}")
    try:
        limit, calm = TEST + max(session.left, 0), warnings.catch_warnings(action="ignore")
        with _time_limit(limit), calm, np.errstate(all="ignore"):
            test(_Student(session), report, rng, lambda own: own_generator(student, own))
    except Wrong as wrong:
        report.unfinished = str(wrong)
    except (_Overdue, Exception) as error:
        report.unfinished = "the test could not use this answer"
        remarks.append(f"the test of {task} stopped: {type(error).__name__}: {error}")
    remarks += [f"the test of {task}, {problem}" for problem in report.problems]
    return report


@contextmanager
def _time_limit(seconds):
    def stop(*_):
        raise _Overdue("it takes too long")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _text(value, length):
    """Text of the student's: not long, and such that any file can hold it."""
    return str(value)[:length].encode(errors="replace").decode()


def _outputs(result):
    """What a cell printed, as text and images and nothing else."""
    parts = ((result.get("printed"), 10_000), (result.get("error"), 400))
    text = "".join(_text(part, length) for part, length in parts if part)
    outputs = [{"output_type": "stream", "name": "stdout", "text": text}] if text else []
    images = result.get("png")
    for image in images[:4] if isinstance(images, list) else ():
        if isinstance(image, str) and image.startswith(PNG) and len(image) < LARGEST_PNG:
            data = {"image/png": image}
            outputs.append({"output_type": "display_data", "data": data, "metadata": {}})
    return outputs
