"""What is installed: both packages in one distribution, and that the library needs no more."""

import json
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def build(source, target, kind):
    """Build a wheel or a source distribution, as pip does, without a network."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(target)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (built,) = target.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build(ROOT, tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The folder of an unpacked source distribution."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build(ROOT, folder / "built", "sdist")) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (source,) = (folder / "unpacked").iterdir()
    return source


def contents(wheel):
    """Name → bytes of what a wheel puts into the packages."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name
        }


def on_disk(package, at):
    return {
        f"{at}/{path.relative_to(package).as_posix()}": path.read_bytes()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.slow
def test_the_wheel_holds_both_packages_and_the_results(wheel):
    found = contents(wheel)
    expected = on_disk(ROOT / "rnnpedagogy", "rnnpedagogy")
    expected |= on_disk(ROOT / "book" / "rnnbook", "rnnbook")
    assert found == expected
    assert any(name.endswith(".npz") for name in found)


@pytest.mark.slow
def test_the_source_distribution_gives_the_same_wheel_and_has_no_notebooks(
    unpacked, wheel, tmp_path
):
    assert contents(build(unpacked, tmp_path, "wheel")) == contents(wheel)
    assert not list(unpacked.rglob("*.ipynb"))
    for name in ("LICENSE", "README.md", "CITATION.cff", "CHANGELOG.md"):
        assert (unpacked / name).exists()


class Environment:
    """A virtual environment with the wheel, NumPy and autograd, and nothing else."""

    def __init__(self, root, wheel):
        venv.create(root, with_pip=False, symlinks=os.name != "nt")
        self.python = root / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        pip = [sys.executable, "-m", "pip", "--python", str(self.python), "install"]
        self.call(*pip, "--quiet", "--no-deps", "--no-index", str(wheel))
        packages = Path(self.run("import sysconfig; print(sysconfig.get_path('purelib'))").strip())
        for name in ("numpy", "autograd"):
            self.lend(name, packages)

    def lend(self, name, packages):
        """Link what the running environment has of a distribution."""
        files = distribution(name).files
        tops = {file.parts[0] for file in files if file.parts[0] not in ("..", "__pycache__")}
        for top in tops:
            os.symlink(distribution(name).locate_file(top), packages / top)

    def run(self, code):
        """What some code prints, in this environment and nowhere near the repository."""
        return self.call(str(self.python), "-I", "-W", "error", "-c", code)

    def call(self, *command):
        done = subprocess.run(
            command, cwd=Path(sys.executable).anchor, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory, wheel):
    return Environment(tmp_path_factory.mktemp("environment"), wheel)


@pytest.mark.slow
def test_nothing_but_numpy_and_autograd_is_there(environment):
    code = """
from importlib.metadata import distributions
from importlib.util import find_spec
print(*sorted(one.metadata["Name"] for one in distributions()))
print(*filter(find_spec, ("matplotlib", "distributed", "tqdm", "IPython", "ipywidgets")))
"""
    assert environment.run(code).splitlines() == ["autograd numpy rnnpedagogy", ""]


USE = """
import json
import numpy as np
from rnnpedagogy.cells import Elman
from rnnpedagogy.costs import Cost
from rnnpedagogy.dynamics import CellMap, find_fixed_points, lyapunov_spectrum
from rnnpedagogy.gradients import bptt, hessian_vector_product
from rnnpedagogy.rollout import rollout
from rnnpedagogy.training import Sequences, train

rng = np.random.default_rng(0)
cell = Elman(input_size=1, hidden_size=4)
params = cell.init_params(rng, output_size=1)
inputs = rng.normal(size=(20, 8, 1))
targets = np.roll(inputs, 1, axis=0)

states = rollout(cell, params, cell.zero_state(), inputs)

cost = Cost(cell, inputs, targets)
gradient = bptt(cost, params).params
product = hessian_vector_product(cost, params, gradient)

alone = CellMap(cell, params, np.zeros(1))
exponents = lyapunov_spectrum(alone, np.full(4, 0.5), steps=200, transient=100).exponents
points = find_fixed_points(alone, np.zeros((1, 4))).points

run = train(Sequences(cost), params, epochs=3, rng=rng)

print(json.dumps({
    "states": states.shape,
    "gradient": {name: np.shape(value) for name, value in gradient.items()},
    "product": {name: np.shape(value) for name, value in product.items()},
    "largest exponent": exponents[0],
    "points": len(points),
    "epochs": len(run.history["cost"]),
}))
"""


@pytest.mark.slow
def test_a_network_is_run_differentiated_analysed_and_trained_silently(environment):
    found = json.loads(environment.run(USE))
    shapes = {
        "weight_ih": [4, 1],
        "weight_hh": [4, 4],
        "bias": [4],
        "weight_ho": [1, 4],
        "bias_o": [1],
    }
    assert found["states"] == [20, 8, 4]
    assert found["gradient"] == found["product"] == shapes
    assert found["largest exponent"] < 0
    assert found["points"] == 1
    assert found["epochs"] == 3


@pytest.mark.slow
def test_the_tools_of_the_book_are_there_and_need_their_extras(environment):
    code = """
from rnnbook.claims import check
from rnnbook.experiments import load
print(load("sine", network="LSTM", clip=0.25)[0]["cost"] < 0.01)
try:
    import rnnbook.figures
except ModuleNotFoundError as error:
    print(error.name)
"""
    assert environment.run(code).split() == ["True", "matplotlib"]
