"""Which versions are promised, pinned and run: pyproject.toml, the requirements, the workflows."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
LISTS = ["requirements.txt", "requirements-lowest.txt"]
LOCKED_EXTRAS = ("notebooks", "experiments", "grading", "book", "test")


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def direct_dependencies():
    """What is asked for by name, in pyproject.toml and beside it."""
    project = tomllib.loads(read("pyproject.toml"))
    found = project["build-system"]["requires"] + project["project"]["dependencies"]
    for extra in LOCKED_EXTRAS:
        found += project["project"]["optional-dependencies"][extra]
    found += [line for line in read("requirements.in").splitlines() if not line.startswith("#")]
    return sorted(set(found))


def release(version):
    """A version without the zeros at its end: 2.0.0 is 2."""
    return re.sub(r"(\.0)+$", "", version)


def pins(name):
    """The versions of each package in a list; more than one if they depend on the platform."""
    found = {}
    for package, version in re.findall(r"^([\w.-]+)==([\w.]+)", read(name), re.MULTILINE):
        found.setdefault(package, []).append(version)
    return found


@pytest.mark.parametrize("requirement", direct_dependencies())
def test_a_lowest_version_is_stated_and_it_is_the_one_that_is_tested(requirement):
    stated = re.fullmatch(r"([\w.-]+)>=([\d.]+)(,<[\d.]+)?", requirement)
    assert stated, f"{requirement}: give it a lower bound"
    name, lowest, _ = stated.groups()
    tested = [release(version) for version in pins("requirements-lowest.txt")[name]]
    assert tested == [release(lowest)], "run make pins, or state the version that is tested"
    assert name in pins("requirements.txt")


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_versions_holds_hashes_and_no_address(name):
    text = read(name)
    assert "://" not in text
    assert set(re.findall(r"--[\w-]+", text)) == {"--hash"}
    for entry in re.split(r"\n(?=[\w.-]+==)", text):
        assert "--hash=sha256:" in entry


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_their_commit(path):
    used = re.findall(r"\buses:\s*(.*)", path.read_text(encoding="utf-8"))
    assert used
    for action in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_the_lowest_versions_run_on_the_oldest_python():
    oldest = re.search(r'requires-python = ">=([\d.]+)"', read("pyproject.toml"))[1]
    (job,) = re.findall(r"\n  lowest:\n((?:    .*\n|\n)+)", read(".github/workflows/test.yml"))
    assert f'python-version: "{oldest}"' in job
    assert "run: make test LOWEST=1" in job
