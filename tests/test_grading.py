"""Coursework: data of one's own, sentences, what crosses the sandbox, submissions, commands."""

import json
import os
import stat
import zipfile

import nbformat
import numpy as np
import pytest
from coursework import TINY, answered, hand_in
from nbclient import NotebookClient
from rnnbook.grading import Report, Wrong, check_notebook, expect, own_generator
from rnnbook.grading.__main__ import main
from rnnbook.grading.course import outdated
from rnnbook.grading.exchange import pack, unpack
from rnnbook.grading.grader import Assignment, grade_submission
from rnnbook.grading.submission import (
    Unreadable,
    find_submissions,
    load_notebook,
    read_cells,
    rebuild,
    stated_name,
)

# Data of one's own


def draw(name, task="mean"):
    return own_generator(name, task).integers(2**60)


@pytest.mark.parametrize("same", ["ada  lovelace", "ADA-LOVELACE", "Áda Lovelace"])
def test_one_student_has_the_same_data_however_the_name_is_written(same):
    assert draw(same) == draw("Ada Lovelace")


def test_neighbours_and_tasks_have_different_data():
    drawn = [draw("Ada"), draw("Adam"), draw("Ada", "other"), draw("Да")]
    assert len(set(drawn)) == 4


@pytest.mark.parametrize("name", ["", " - ", None, 3])
def test_a_name_has_letters(name):
    with pytest.raises(ValueError, match="name must be"):
        own_generator(name, "mean")


# Sentences


def sentence(*args, **options):
    with pytest.raises(Wrong) as raised:
        expect(*args, **options)
    return str(raised.value)


RIGHT = np.array([1.0, -2.0, 0.0])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "is there a `return`"),
        ("text", "no number"),
        ([[1.0], [1.0, 2.0]], "no number"),
        ({"a": 1}, "no number"),
        (10**400, "no number"),
        (RIGHT[:2], r"has shape \(2,\), it should have \(3,\)"),
        ([1.0, np.nan, 0.0], "not finite"),
        (-RIGHT, "wrong: its sign is"),
        (3 * RIGHT, "3 times what it should be"),
        (RIGHT + 1, "wrong$"),
        ((1 + 1e-5) * RIGHT, "less than one part in a thousand"),
    ],
)
def test_what_is_wrong_is_said(value, said):
    with pytest.raises(Wrong, match=said):
        expect(value, RIGHT, "your answer")


def test_a_number_is_said_to_be_too_large_and_no_more():
    assert sentence(6.0, 2.0, "your answer").endswith("too large")
    assert sentence(1.0, 2.0, "your answer").endswith("too small")


def test_a_known_mistake_has_its_own_sentence():
    assert sentence(5.0, 2.5, "your mean", mistakes={"divide": 5.0}) == "divide"


def test_bounds_are_relative_and_absolute():
    expect(1.0 + 1e-9, 1.0, "it")
    expect(1.09, 1.0, "it", atol=0.1)
    expect(1.09, 1.0, "it", rtol=0.1)
    assert sentence(1.2, 1.0, "it", rtol=0.1)


def test_truth_values_and_small_integers_are_numbers():
    expect([True, False], [True, False], "it")
    assert sentence([True, False], [False, False], "it") == "it is wrong"
    assert sentence(np.uint8([0]), np.uint8([255]), "it", rtol=0.01)


def test_a_report_counts_properties_and_goes_on_after_each():
    report = Report()
    with report("first", 2):
        raise Wrong("a reason")
    with report("second", 3):
        pass
    with report("third", 1):
        raise KeyError("a form that the test did not expect")
    assert (report.earned, report.points) == (3, 6)
    assert [one.wrong for one in report] == ["a reason", None, "the test cannot use this answer"]
    assert report.problems == ["third: KeyError: 'a form that the test did not expect'"]


# What crosses the wall

PLAIN = [
    None,
    True,
    "text",
    [1, 2.5, (3, "x")],
    {"a": [1], 2: None},
    1j,
    float("inf"),
    np.arange(6, dtype=np.int8).reshape(2, 3),
    np.zeros((0, 3), np.float32),
    np.float32(0.1),
    np.array([1j, 2]),
    np.asfortranarray(np.ones((2, 3))),
]


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_plain_data_come_back_as_they_were(value):
    back = unpack(json.loads(json.dumps(pack(value))))
    assert type(back) is type(value) or isinstance(value, complex)
    np.testing.assert_equal(back, value)
    assert getattr(back, "dtype", None) == getattr(value, "dtype", getattr(back, "dtype", None))


class Everything:
    def __array__(self, *args, **options):
        return np.ones(3)

    def __eq__(self, other):
        return True

    __hash__ = None


@pytest.mark.parametrize("value", [Everything(), {1, 2}, print, np.array(["a"]), np.array([None])])
def test_objects_are_no_answers(value):
    with pytest.raises(TypeError, match="is not an answer"):
        pack([value])


ZEROS = "AAAAAAAAAAA="


@pytest.mark.parametrize(
    "data",
    [
        {"unknown": 1},
        {"dict": [[[1], 2]]},
        {"dict": [1]},
        {"array": ZEROS, "dtype": "O", "shape": [1]},
        {"array": ZEROS, "dtype": "nonsense", "shape": [1]},
        {"array": ZEROS, "dtype": "<f8", "shape": [2]},
        {"array": ZEROS, "dtype": "<f8", "shape": [-1]},
        {"array": ZEROS, "dtype": "<f8", "shape": "x"},
        {"array": "é", "dtype": "<f8", "shape": [1]},
    ],
    ids=repr,
)
def test_what_is_no_plain_data_is_refused(data):
    with pytest.raises(ValueError, match="no plain data"):
        unpack(data)


def test_what_is_nested_too_deep_is_refused():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="no plain data"):
        unpack(deep)


# Submissions


def release():
    return load_notebook(TINY / "tiny.ipynb")


def cells_of(source, tmp_path):
    return read_cells(hand_in(tmp_path, "Ada", source))[0]


def sources(source):
    return {
        cell["metadata"]["nbgrader"]["grade_id"]: cell["source"]
        for cell in source["cells"]
        if "nbgrader" in cell["metadata"]
    }


def test_answers_are_put_into_the_release(tmp_path):
    changed = answered(release(), {"mean": "x = 1", "test_mean": "pass", "words": "<b>`a`</b>"})
    rebuilt, remarks = rebuild(release(), cells_of(changed, tmp_path))
    assert remarks == ["cell test_mean was changed"]
    expected = sources(release()) | {"mean": "x = 1", "words": "```text\n<b>`a`</b>\n```"}
    assert sources(rebuilt) == expected


def test_removed_renamed_and_duplicated_cells(tmp_path):
    changed = release()
    cells = {cell["id"]: cell for cell in changed["cells"]}
    cells["mean"]["metadata"]["nbgrader"]["grade_id"] = "other"
    changed["cells"].remove(cells["setup"])
    second = json.loads(json.dumps(cells["own"])) | {"source": "largest = 2"}
    changed["cells"].append(second)
    rebuilt, remarks = rebuild(release(), cells_of(changed, tmp_path))
    assert set(remarks) == {
        "cell mean is missing",
        "cell setup is missing",
        "there are several cells own: the last one counts",
    }
    assert sources(rebuilt) == sources(release()) | {"own": "largest = 2"}


def test_cells_that_the_student_added_stay_where_they_were(tmp_path):
    changed = release()
    place = [cell["id"] for cell in changed["cells"]].index("mean")
    helper = {"cell_type": "code", "metadata": {}, "source": "helper = 1", "outputs": []}
    changed["cells"].insert(place, helper)
    rebuilt, remarks = rebuild(release(), cells_of(changed, tmp_path))
    assert not remarks
    assert [cell["source"] for cell in rebuilt["cells"]].index("helper = 1") == place


@pytest.mark.parametrize("text", ["a", "```\n<script>", "````` x ``"])
def test_text_is_fenced_by_more_than_what_is_in_it(text, tmp_path):
    rebuilt, _ = rebuild(release(), cells_of(answered(release(), {"words": text}), tmp_path))
    first, *inside, last = sources(rebuilt)["words"].split("\n")
    assert "\n".join(inside) == text
    assert last not in text
    assert first == last + "text"


def test_the_name_is_read_from_its_cell():
    assert stated_name([("name", "code", 'NAME = ""\nNAME = "Ada"  # me')]) == "Ada"
    assert stated_name([("name", "code", 'NAME = ""')]) == ""
    assert stated_name([]) == ""


UNREADABLE = {
    "text.ipynb": b"\x00 no JSON",
    "list.ipynb": b"[]",
    "deep.ipynb": b"[" * 10**6,
    "old.ipynb": b'{"worksheets": []}',
    "odd.ipynb": b'{"cells": [{"cell_type": "code", "source": 3}]}',
    "cut.zip": b"PK\x03\x04",
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_notebook_is_said(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(UNREADABLE[name])
    with pytest.raises(Unreadable, match=name):
        read_cells(path)


def test_metadata_of_any_kind_do_no_harm(tmp_path):
    odd = [{"nbgrader": 3}, {"nbgrader": {"grade_id": []}}, [], None, 7]
    cells = [{"cell_type": "code", "source": ["a\n", "b\ud800"], "metadata": one} for one in odd]
    path = tmp_path / "odd.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": 3}))
    assert read_cells(path) == ([(None, "code", "a\nb?")] * 5, "python")


def test_archives_are_read_and_never_unpacked(tmp_path):
    path = tmp_path / "Ada.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../evil.ipynb", json.dumps(release()))
        archive.writestr("__MACOSX/._evil.ipynb", "x")
    assert len(read_cells(path)[0]) == len(release()["cells"])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("second.ipynb", b" " * (21 * 2**20))
    with pytest.raises(Unreadable, match="2 notebooks"):
        read_cells(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.ipynb", b" " * (21 * 2**20))
    with pytest.raises(Unreadable, match="more than 20 MB"):
        read_cells(path)


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_are_not_followed(tmp_path):
    outside = hand_in(tmp_path / "outside", "x", release())
    folder = tmp_path / "submissions"
    (folder / "Ada").mkdir(parents=True)
    (folder / "Ada" / "a.ipynb").symlink_to(outside)
    (folder / "Bob").symlink_to(outside.parent)
    found = find_submissions(folder)
    assert found["Bob"] is None
    with pytest.raises(Unreadable, match="link"):
        read_cells(found["Ada"])


def test_students_are_found_by_file_by_folder_and_as_moodle_names_them(tmp_path):
    for student in ("Ada", "Jo <b>_12_assignsubmission_file_", "Al_7_assignsubmission_file_"):
        hand_in(tmp_path, student, release())
    hand_in(tmp_path, "Al_8_assignsubmission_file_", release())
    (tmp_path / "Bob.ipynb").write_text("{}")
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("")
    found = find_submissions(tmp_path)
    assert set(found) == {
        *("Ada", "Bob", "Jo _b_", "empty"),
        *("Al", "Al_8_assignsubmission_file_"),
    }
    assert found["empty"] is None


# What the commands refuse


def grade(folder, *more):
    return ["grade", "tiny", str(folder), "--source", str(TINY), "--unsafe", *more]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["grade", "nothing", "."], "there is no .*nothing.ipynb"),
        (["assignments", "nothing", "--source", str(TINY)], "not .*nothing"),
        (["assignments", "--source", "nowhere"], "nowhere has"),
        (grade("nowhere"), "nowhere is no folder"),
    ],
)
def test_commands_say_what_is_wrong(given, said):
    with pytest.raises(SystemExit, match=said):
        main(given)


def prepared(tmp_path):
    """A course whose release is there, so that nothing has to be made."""
    path = tmp_path / "course" / "release" / "tiny" / "tiny.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(release()))
    (tmp_path / "submissions").mkdir()
    return grade(tmp_path / "submissions", "--course", str(tmp_path / "course"), "--secret")


def test_a_secret_is_made_once_and_nobody_else_may_read_it(tmp_path, capsys):
    secret = tmp_path / "config" / "secret"
    for made in (True, False):
        with pytest.raises(SystemExit, match="holds no submission"):
            main([*prepared(tmp_path / str(made)), str(secret)])
        assert ("made a secret" in capsys.readouterr().out) == made
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert len(secret.read_text().strip()) == 64


def test_a_secret_in_a_repository_or_without_letters_is_refused(tmp_path):
    (tmp_path / "repository" / ".git").mkdir(parents=True)
    with pytest.raises(SystemExit, match="lies in a repository"):
        main([*prepared(tmp_path / "a"), str(tmp_path / "repository" / "secret")])
    (tmp_path / "short").write_text("a b c")
    with pytest.raises(SystemExit, match="at least eight"):
        main([*prepared(tmp_path / "b"), str(tmp_path / "short")])


# What the grading does where something is not as usual


def test_an_assignment_that_changed_after_its_release_is_noticed(tmp_path):
    made = tmp_path / "source" / "tiny" / "tiny.ipynb"
    assert not outdated(tmp_path, TINY / "tiny.ipynb")
    made.parent.mkdir(parents=True)
    made.write_text(json.dumps(release()))
    assert not outdated(tmp_path, TINY / "tiny.ipynb")
    made.write_text(json.dumps(answered(release(), {"own": "another question"})))
    assert outdated(tmp_path, TINY / "tiny.ipynb")


@pytest.mark.slow
def test_cells_that_no_test_runs_are_run_for_what_they_show(tmp_path):
    source = answered(release(), {"mean": "print(6 * 7)", "own": "1 / 0"})
    path = hand_in(tmp_path, "Ada", source)
    known = Assignment("tiny", tmp_path / "no.py", TINY / "tiny.ipynb", "a secret", unsafe=True)
    graded = grade_submission(known, "Ada", path)
    outputs = [one for cell in graded.notebook["cells"] for one in cell.get("outputs", ())]
    shown = [one.get("text", "") for one in outputs]
    assert "42\n" in shown
    assert any("ZeroDivisionError" in text for text in shown)
    assert graded.reports == {}


# A student's own check


def released(tmp_path, answers=None):
    source = answered(release(), {"name": 'NAME = "Ada"'} | (answers or {}))
    names = [cell["metadata"]["nbgrader"]["grade_id"] for cell in source["cells"]]
    about = {"assignment": "tiny", "cells": names, "refused": ["autograd", "rnnbook"]}
    source["metadata"]["rnnbook"] = about
    return hand_in(tmp_path, "Ada", source)


def said(path, capsys):
    check_notebook(path)
    return capsys.readouterr().out


def test_a_file_that_is_not_there_or_no_assignment_is_said(tmp_path, capsys):
    assert "save the notebook" in said(tmp_path / "no.ipynb", capsys)
    assert "not made from the release" in said(hand_in(tmp_path, "Ada", release()), capsys)
    (tmp_path / "text.ipynb").write_text("no")
    assert "It cannot be read" in said(tmp_path / "text.ipynb", capsys)


@pytest.mark.slow
def test_a_notebook_that_is_complete_is_ready(tmp_path, capsys):
    assert said(released(tmp_path), capsys).startswith("Ready: hand in answers.ipynb, saved at")


@pytest.mark.slow
def test_a_notebook_checks_itself_in_its_own_kernel(tmp_path):
    path = released(tmp_path).rename(tmp_path / "Ada" / "tiny.ipynb")
    opened = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(path.parent)}}
    NotebookClient(opened, kernel_name="python3", timeout=120, resources=where).execute()
    assert opened.cells[-1].outputs[0].text.startswith("Ready: hand in tiny.ipynb")


@pytest.mark.slow
def test_a_notebook_says_what_it_lacks(tmp_path, capsys):
    answers = {
        "name": 'NAME = ""',
        "mean": "import autograd.numpy\nmean_square = lambda x: (x**2).sum()",
        "own": "...  # your answer here",
    }
    path = released(tmp_path, answers)
    source = json.loads(path.read_text())
    source["cells"] = [cell for cell in source["cells"] if cell["id"] != "figure-words"]
    path.write_text(json.dumps(source))
    text = said(path, capsys)
    assert "Your name is missing" in text
    assert "The cell figure_words of the assignment is missing." in text
    assert "own still says “your answer here”." in text
    assert "autograd.numpy is imported, which this assignment does not allow." in text
    assert "test_mean: your mean is 2 times too large: did you divide?" in text
    assert "Ready" not in text
