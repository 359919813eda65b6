import dataclasses
import functools
import inspect
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from rnnbook.experiments import (
    EXPERIMENTS,
    CorruptError,
    Experiment,
    StaleError,
    SweepError,
    delays,
    load,
    results_folder,
    store,
    sweep,
    sweeps,
)
from rnnbook.experiments import __main__ as command_line

from rnnpedagogy._storage import read_arrays, write_arrays
from rnnpedagogy.cells import LSTM
from rnnpedagogy.training import Sequences

# What the pages of Part V add: bytes of results, seconds of the processor.
PART_V_BYTES = {
    "certificates": 500_000,
    "orthogonal": 1_300_000,
    "memory": 400_000,
    "what came after": 500_000,
}
PART_V_SECONDS = {"certificates": 800, "orthogonal": 3600, "memory": 900, "what came after": 1600}
LARGEST_TOTAL = 5_000_000 + sum(PART_V_BYTES.values())  # bytes, of all stored results
LONGEST_TOTAL = 7200 + sum(PART_V_SECONDS.values())  # seconds of the processor


def toy(tasks=6, seconds=0.0):
    def train(config, checkpoint=None):
        time.sleep(config["seconds"])
        rng = np.random.default_rng(config["seed"])
        A = rng.normal(size=(30, 30)).astype(np.float32)
        for _ in range(20):
            A = np.tanh(A @ A)
        return {"params/A": A, "data": "none"}, {"A": A}

    def analyse(config, params):
        return {"mean": params["A"].mean()}

    configs = {
        f"task-{k}": {"seed": k, "seconds": seconds, "dtype": "float32"} for k in range(tasks)
    }
    return Experiment("toy", "a toy", configs, train, analyse)


def stored(experiment, folder):
    return {task: store.read(experiment, task, folder) for task in experiment.tasks}


def assert_same_results(first, second):
    assert first.keys() == second.keys()
    for task in first:
        assert first[task].arrays.keys() == second[task].arrays.keys()
        for name, value in first[task].arrays.items():
            np.testing.assert_array_equal(value, second[task][name], strict=True)


# ------------------------------------------------------------------------------ one file


def test_what_is_saved_is_read(tmp_path):
    experiment = toy(1)
    arrays = {
        "x": np.float32([1, np.nan]),
        "params/w": np.eye(2),
        "text": np.array("ω"),
        "data": "checksum of the data",
    }
    store.save(experiment, "task-0", arrays, 1.234, tmp_path)
    result = store.read(experiment, "task-0", tmp_path)
    assert result.config == experiment.tasks["task-0"] == result.record["config"]
    assert result.arrays.keys() == {"x", "params/w", "text"}
    np.testing.assert_array_equal(result["x"], arrays["x"], strict=True)
    assert str(result["text"]) == "ω"
    assert result.part("params").keys() == {"w"}
    assert result.record["data"] == "checksum of the data"
    assert result.record["seconds"] == 1.23
    assert result.record["versions"].keys() == {"python", "numpy", "rnnpedagogy"}
    assert [path.name for path in (tmp_path / "toy").iterdir()] == ["task-0.npz"]


def test_a_file_that_is_not_there():
    with pytest.raises(FileNotFoundError, match=r"toy/task-0 has not been computed: python -m"):
        store.read(toy(1), "task-0", "nowhere")


# Not further: after the arrays a zip file has fields that nobody reads.
@pytest.mark.parametrize("place", [0.0, 0.1, 0.3, 0.5, 0.7])
def test_a_damaged_byte_is_noticed(tmp_path, place):
    experiment = toy(1)
    list(sweep(experiment, folder=tmp_path))
    path = tmp_path / "toy" / "task-0.npz"
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 0xFF
    path.write_bytes(content)
    assert store.status(experiment, "task-0", tmp_path)[0] == "damaged"


@pytest.mark.parametrize("share", [0, 0.5])
def test_a_file_cut_short_is_noticed(tmp_path, share):
    experiment = toy(1)
    list(sweep(experiment, folder=tmp_path))
    path = tmp_path / "toy" / "task-0.npz"
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CorruptError, match="toy/task-0 is damaged"):
        store.read(experiment, "task-0", tmp_path)


@pytest.mark.parametrize("change", ["value", "type", "name", "record", "added", "checksum"])
def test_a_well_formed_file_with_another_content_is_noticed(tmp_path, change):
    experiment = toy(1)
    list(sweep(experiment, folder=tmp_path))
    path = tmp_path / "toy" / "task-0.npz"
    with np.load(path) as file:
        arrays = dict(file)
    if change == "value":
        arrays["mean"] = arrays["mean"] + 1
    elif change == "type":
        arrays["params/A"] = arrays["params/A"].view(np.int32)
    elif change == "name":
        arrays["params/B"] = arrays.pop("params/A")
    elif change == "record":
        arrays["record"] = np.array(str(arrays["record"]).replace("numpy", "numpi"))
    elif change == "added":
        arrays["more"] = np.zeros(1)
    else:
        del arrays["checksum"]
    np.savez(path, **arrays)
    with pytest.raises(CorruptError, match="toy/task-0 is damaged"):
        store.read(experiment, "task-0", tmp_path)


def test_no_pickle_is_read(tmp_path):
    path = tmp_path / "toy" / "task-0.npz"
    path.parent.mkdir()
    np.savez(path, checksum=np.array([{}], dtype=object))
    with pytest.raises(CorruptError, match="toy/task-0 is damaged"):
        store.read(toy(1), "task-0", tmp_path)


def test_another_configuration_is_told_by_name(tmp_path):
    list(sweep(toy(1), folder=tmp_path))
    changed = toy(1)
    changed.tasks["task-0"].update(seconds=0.5, rate=0.1)
    message = r"toy/task-0 is stale, .* seconds = 0.0, now 0.5; rate = None, now 0.1"
    with pytest.raises(StaleError, match=message):
        store.read(changed, "task-0", tmp_path)
    assert store.status(changed, "task-0", tmp_path)[0] == "stale"


def test_a_result_of_another_analysis_is_stale(tmp_path):
    list(sweep(toy(1), folder=tmp_path))
    assert store.read(toy(1), "task-0", tmp_path).record["analysis"] == 1
    changed = dataclasses.replace(toy(1), analysis_version=lambda config: 2)
    with pytest.raises(StaleError, match="version of the analysis = 1, now 2"):
        store.read(changed, "task-0", tmp_path)
    assert [task for task, _ in sweep(changed, folder=tmp_path)] == ["task-0"]
    assert store.read(changed, "task-0", tmp_path).record["analysis"] == 2


# -------------------------------------------------------------------------------- sweeps


def test_only_what_is_not_stored_is_computed(tmp_path):
    experiment = toy(4)
    assert len(list(sweep(experiment, folder=tmp_path))) == 4
    assert list(sweep(experiment, folder=tmp_path)) == []
    (tmp_path / "toy" / "task-1.npz").unlink()
    (tmp_path / "toy" / "task-2.npz").write_bytes(b"")
    experiment.tasks["task-3"]["seed"] = 17
    again = [task for task, _ in sweep(experiment, folder=tmp_path)]
    assert again == ["task-1", "task-2", "task-3"]
    assert len(list(sweep(experiment, folder=tmp_path, force=True))) == 4


def test_a_sweep_that_is_killed_continues(tmp_path):
    script = f"""
import time
import numpy as np
from rnnbook.experiments import Experiment, sweep
{inspect.getsource(toy)}
list(sweep(toy(6, 0.2), folder={str(tmp_path / "killed")!r}))
"""
    process = subprocess.Popen([sys.executable, "-c", script])
    folder = tmp_path / "killed" / "toy"
    while process.poll() is None and len(list(folder.glob("*.npz"))) < 2:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = len(list(folder.glob("*.npz")))
    assert 2 <= done < 6
    experiment = toy(6, 0.2)
    rest = [task for task, _ in sweep(experiment, folder=tmp_path / "killed")]
    assert len(rest) == 6 - done
    list(sweep(experiment, folder=tmp_path / "whole"))
    assert_same_results(
        stored(experiment, tmp_path / "killed"), stored(experiment, tmp_path / "whole")
    )


SMALL = {
    "hidden": 4,
    "lengths": [50],
    "sequences": [40, 20, 20],
    "batch": 20,
    "epochs": 30,
    "grid": [{"rate": 0.01}, {"rate": 0.001}],
}


def small_tuning():
    """Two trainings of thirty epochs, one after the other, in about a second."""
    tasks = {"task": EXPERIMENTS["symbols-tuning"].tasks["LSTM-60-10"] | SMALL}
    return dataclasses.replace(EXPERIMENTS["symbols-tuning"], name="small", tasks=tasks)


def slowly(seen, seconds=0.0):
    """Batches of `Sequences` that are counted, and take their time."""
    batches = Sequences.batches

    def slow(self, rng):
        time.sleep(seconds)
        seen.append(1)
        return batches(self, rng)

    return slow


KILLED = """
import sys
from pathlib import Path
import test_experiments as t
t.Sequences.batches = t.slowly([], 0.03)
list(t.sweep(t.small_tuning(), folder=Path(sys.argv[1])))
"""


def test_a_task_that_is_killed_continues_inside(tmp_path, monkeypatch):
    paths = [Path(__file__).parent, *map(Path, sys.path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    command = [sys.executable, "-c", KILLED, str(tmp_path / "killed")]
    process = subprocess.Popen(command, env=environment)
    folder = tmp_path / "killed" / "small"
    while not list(folder.glob("*.checkpoint-1")):  # the second training
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not list(folder.glob("*.npz"))

    experiment, epochs = small_tuning(), []
    monkeypatch.setattr(Sequences, "batches", slowly(epochs))
    assert len(list(sweep(experiment, folder=tmp_path / "killed"))) == 1
    assert 0 < len(epochs) < 30  # of 60: nothing of the first, not all of the second
    assert [path.name for path in folder.iterdir()] == ["task.npz"]
    epochs.clear()
    list(sweep(experiment, folder=tmp_path / "whole"))
    assert len(epochs) == 60
    assert_same_results(
        stored(experiment, tmp_path / "killed"), stored(experiment, tmp_path / "whole")
    )


def test_a_forced_run_and_another_configuration_begin_anew(tmp_path):
    experiment = small_tuning()
    path = store.checkpoint_path(experiment, "task", tmp_path)
    experiment.tasks["task"]["epochs"] = 10
    assert store.checkpoint_path(experiment, "task", tmp_path) != path
    path.with_name(f"{path.name}-0").write_text("no checkpoint")
    list(sweep(experiment, folder=tmp_path))  # not disturbed
    assert [path.name for path in (tmp_path / "small").iterdir()] == ["task.npz"]
    path = store.checkpoint_path(experiment, "task", tmp_path)
    path.with_name(f"{path.name}-0").write_text("no checkpoint")
    (tmp_path / "small" / "task.npz").unlink()
    with pytest.raises(SweepError, match="checkpoint must be a file that train wrote"):
        list(sweep(experiment, folder=tmp_path))
    assert len(list(sweep(experiment, folder=tmp_path, force=True))) == 1


def test_two_processes_store_the_same_bits_as_one(tmp_path):
    experiment = toy(3)
    list(sweep(experiment, folder=tmp_path / "one"))
    list(sweep(experiment, folder=tmp_path / "two", jobs=2))
    assert_same_results(stored(experiment, tmp_path / "one"), stored(experiment, tmp_path / "two"))


@pytest.mark.slow
def test_two_processes_train_to_the_same_bits_as_one(tmp_path):
    check = EXPERIMENTS["check"]
    tasks = {task: check.tasks[task] | {"epochs": 2} for task in check.tasks if "-sine" in task}
    small = dataclasses.replace(check, tasks=tasks)
    assert len(list(sweep(small, folder=tmp_path / "one"))) == 2
    assert len(list(sweep(small, folder=tmp_path / "two", jobs=2))) == 2
    assert_same_results(stored(small, tmp_path / "one"), stored(small, tmp_path / "two"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the cluster that loses a worker, not ours
def test_a_cluster_that_loses_a_worker_gives_the_same_result(tmp_path):
    from distributed import LocalCluster

    experiment = toy(12, 0.3)
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        killed = cluster.workers[0].pid
        finished = sweep(experiment, folder=tmp_path / "cluster", dask=cluster.scheduler_address)
        first = [next(finished)[0] for _ in range(4)]
        os.kill(killed, signal.SIGKILL)
        rest = [task for task, _ in finished]
        assert cluster.workers[0].pid != killed  # it was a worker, and it was replaced
    assert sorted(first + rest) == sorted(experiment.tasks)  # each once
    list(sweep(experiment, folder=tmp_path / "serial"))
    assert_same_results(
        stored(experiment, tmp_path / "cluster"), stored(experiment, tmp_path / "serial")
    )


FAILING = 1


def fragile(how, tasks=4):
    """An experiment, one of whose tasks raises or kills the process that it runs in."""
    experiment = toy(tasks)

    def train(config, checkpoint=None):
        if config["seed"] == FAILING:
            if how == "raises":
                raise ZeroDivisionError("as it is made")
            os.kill(os.getpid(), signal.SIGKILL)
        return experiment.train(config, checkpoint)

    return dataclasses.replace(experiment, train=train)


@pytest.mark.parametrize(
    ("how", "jobs", "why"),
    [
        ("raises", 1, "ZeroDivisionError: as it is made"),
        pytest.param("raises", 2, "ZeroDivisionError: as it is made", marks=pytest.mark.slow),
        pytest.param("kills", 2, "its process was killed", marks=pytest.mark.slow),
    ],
)
@pytest.mark.filterwarnings("ignore")  # of the processes that are lost, not ours
def test_a_task_that_fails_is_named_and_the_others_finish(tmp_path, how, jobs, why):
    with pytest.raises(SweepError, match=f"toy/task-{FAILING} failed: {why}") as raised:
        list(sweep(fragile(how), jobs=jobs, folder=tmp_path))
    assert str(raised.value).count("\n") == 0
    states = {task: store.status(fragile(how), task, tmp_path)[0] for task in toy(4).tasks}
    assert states.pop(f"task-{FAILING}") == "missing"
    assert set(states.values()) == {"stored"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_without_workers_and_a_scheduler_that_is_not_there_are_given_up(
    tmp_path, monkeypatch
):
    from distributed import LocalCluster

    monkeypatch.setattr(sweeps, "PATIENCE", 2)
    monkeypatch.setattr(sweeps, "ANSWER", 2)
    with pytest.raises(SweepError, match="dask must be the address of a scheduler, got 'tcp://127"):
        list(sweep(toy(1), folder=tmp_path, dask="tcp://127.0.0.1:9"))
    with pytest.raises(SweepError, match="dask must be the address of a scheduler, got 'nowhere"):
        list(sweep(toy(1), folder=tmp_path, dask="nowhere at all"))
    with socket.create_server(("127.0.0.1", 0)) as server:  # of something else
        threading.Thread(target=answer_like_the_web, args=(server,)).start()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(SweepError, match="dask must be the address of a scheduler, got 'tcp:"):
            list(sweep(toy(1), folder=tmp_path, dask=address))
    with (
        LocalCluster(n_workers=0, dashboard_address=None) as cluster,
        pytest.raises(SweepError, match="no worker left for task-0, task-1"),
    ):
        list(sweep(toy(2), folder=tmp_path, dask=cluster.scheduler_address))


def answer_like_the_web(server):
    with server.accept()[0] as connection:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_what_is_lost_with_the_last_worker_is_given_up(tmp_path, monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setattr(sweeps, "PATIENCE", 2)
    monkeypatch.setattr(sweeps, "ANSWER", 2)
    with LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster:
        finished = sweep(toy(4), folder=tmp_path, dask=cluster.scheduler_address)
        next(finished)
        time.sleep(1)  # the others are done by now, and nobody has fetched them
        cluster.sync(cluster.workers[0].close)
        with pytest.raises(SweepError, match="no worker left for task-"):
            list(finished)


@pytest.mark.parametrize("make", [lambda path: path.write_bytes(b"no file"), Path.mkdir, os.mkfifo])
def test_damaged_files_are_passed_over(tmp_path, make):
    experiment = toy(2)
    list(sweep(experiment, folder=tmp_path))
    path = tmp_path / "toy" / "task-0.npz"
    path.unlink()
    make(path)
    assert store.status(experiment, "task-0", tmp_path)[0] == "damaged"
    assert store.status(experiment, "task-1", tmp_path)[0] == "stored"


def test_a_result_that_cannot_be_written_does_not_stop_the_others(tmp_path):
    (tmp_path / "toy" / "task-0.npz").mkdir(parents=True)
    with pytest.raises(SweepError, match=r"toy/task-0 failed: .*cannot write .*task-0\.npz"):
        list(sweep(toy(2), folder=tmp_path))
    assert store.status(toy(2), "task-1", tmp_path)[0] == "stored"


@pytest.mark.parametrize("record", ["no JSON", "3", "{}", None])
def test_a_record_that_is_none_is_damage(tmp_path, record):
    experiment = toy(1)
    list(sweep(experiment, folder=tmp_path))
    path = tmp_path / "toy" / "task-0.npz"
    arrays = read_arrays(path)
    del arrays["record"]
    write_arrays(path, arrays | ({} if record is None else {"record": np.array(record)}))
    assert store.status(experiment, "task-0", tmp_path)[0] == "damaged"


# -------------------------------------------------------------------------- command line


@pytest.mark.parametrize("command", [["list"], ["run", "toy"], ["verify"], ["summary"]])
def test_a_folder_that_is_a_file_is_refused(with_toy, tmp_path, capsys, command):
    (tmp_path / "file").touch()
    assert command_line.main(["--folder", str(tmp_path / "file"), *command]) == 1
    assert "folder must be a folder, got the file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "toy", "--jobs", "0"], "jobs must be a positive integer, got 0"),
        (["run", "toy", "--jobs", "-2"], "jobs must be a positive integer, got -2"),
        (["--folder", "", "list"], "folder must be a path, got ''"),
    ],
)
def test_a_bad_option_is_named(with_toy, capsys, arguments, message):
    assert command_line.main(arguments) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"], ["run", "nothing"], ["run", "toy", "--jobs", "two"],
        ["run", "toy", "--jobs", "1.5"],
        ["run", "toy", "--dask"], ["run", "toy", "--wikitext"], ["verify", "--every-seed", "3"],
        ["list", "toy"], ["nothing"], [], ["--folder"], ["summary", "--force"],
    ],
)  # fmt: skip
def test_a_bad_command_line_says_what_is_allowed(with_toy, capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        command_line.main(arguments)
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_a_command_says_which_task_failed(with_toy, monkeypatch, capsys):
    monkeypatch.setitem(command_line.EXPERIMENTS, "toy", fragile("raises"))
    assert command_line.main(["run", "all"]) == 1
    assert f"toy/task-{FAILING} failed: ZeroDivisionError" in capsys.readouterr().out


@pytest.fixture
def with_toy(monkeypatch, tmp_path):
    """The experiment of this file in place of the others, and a folder of its own."""
    experiments = {"toy": toy(2), "needy": dataclasses.replace(toy(1), needs="wikitext")}
    experiments["needy"] = dataclasses.replace(experiments["needy"], name="needy")
    experiments["check"] = dataclasses.replace(toy(0), name="check")
    monkeypatch.setattr(command_line, "EXPERIMENTS", experiments)
    monkeypatch.setenv("RNNBOOK_RESULTS", str(tmp_path))
    return experiments


def test_the_commands(with_toy, capsys):
    assert command_line.main(["run", "all"]) == 0
    printed = capsys.readouterr().out
    assert "toy/task-0: 0.0 s" in printed
    assert "needy: skipped, needs --wikitext" in printed
    assert command_line.main(["list"]) == 0
    assert "a toy (needs --wikitext): 1 missing" in capsys.readouterr().out
    assert command_line.main(["verify"]) == 0
    assert capsys.readouterr().out == ("toy/task-0: analysed again, the same\n0 problems\n")
    command_line.main(["summary"])
    printed = capsys.readouterr().out
    assert "toy/task: 2 seeds" in printed
    values = sorted(
        float(store.read(with_toy["toy"], task)["mean"]) for task in with_toy["toy"].tasks
    )
    assert f"{values[0]:10.4g}" in printed
    assert f"{values[1]:10.4g}" in printed


def test_what_is_needed_is_passed_on(with_toy, capsys):
    seen = []

    def train(config, checkpoint, wikitext):
        seen.append(wikitext)
        return {"cost": np.array(1.0)}, {}

    def analyse(config, params, wikitext):
        seen.append(wikitext)
        return {"mean": np.array(1.0)}

    with_toy["needy"] = dataclasses.replace(with_toy["needy"], train=train, analyse=analyse)
    assert command_line.main(["run", "needy", "--wikitext", "some folder"]) == 0
    assert seen == 2 * ["some folder"]
    assert "some folder" not in str(store.read(with_toy["needy"], "task-0").record)


def test_verify_finds_what_is_wrong(with_toy, capsys, tmp_path):
    command_line.main(["run", "toy"])
    (tmp_path / "toy" / "task-1.npz").write_bytes(b"")
    capsys.readouterr()
    assert command_line.main(["verify"]) == 1
    assert "toy/task-1 is damaged" in capsys.readouterr().out


@pytest.mark.parametrize(("error", "status"), [(5e-7, 0), (2e-6, 1)])
def test_verify_trains_again(with_toy, capsys, error, status):
    def cost(config, checkpoint=None, change=0.0):
        return {"history/cost": np.array([2.0, 1.0 + change])}, {}

    check = Experiment("check", "", {"one": {"seed": 0}}, cost, lambda config, params: {})
    with_toy["check"] = check
    command_line.main(["run", "check", "toy"])
    with_toy["check"] = dataclasses.replace(check, train=functools.partial(cost, change=error))
    assert command_line.main(["verify"]) == status


@pytest.mark.parametrize(
    ("changes", "report"),
    [
        ({"mean": 1.0005}, "the same"),  # the tolerance is 1e-3, relative
        ({"mean": 1.002}, r"differs in mean \(100\.0%\)"),
        ({"ends": 1 + (np.arange(100) == 7)}, r"differs in ends \(1\.0%\)"),
        ({"ends": 1 + (np.arange(100) < 3)}, r"differs in ends \(3\.0%\)"),
        ({"more": 1.0}, r"differs in more \(100\.0%\)"),
    ],
)
def test_verify_analyses_stored_parameters_again(with_toy, capsys, changes, report):
    """At most 2 % of the entries of an array may differ."""

    def analyse(config, params, **factors):
        found = {"mean": params["A"].mean(), "ends": np.ones(100, int)}
        return found | {name: found.get(name, 1) * factor for name, factor in factors.items()}

    with_toy["toy"] = dataclasses.replace(with_toy["toy"], analyse=analyse)
    command_line.main(["run", "toy"])
    capsys.readouterr()
    changed = functools.partial(analyse, **changes)
    with_toy["toy"] = dataclasses.replace(with_toy["toy"], analyse=changed)
    status = command_line.main(["verify", "--every-seed"])
    printed = capsys.readouterr().out
    for task in ("task-0", "task-1"):
        assert re.search(f"^toy/{task}: analysed again, {report}$", printed, re.M)
    assert status == ("100.0%" in printed or "3.0%" in printed)


def test_rounded_parameters_are_not_analysed_again(with_toy, capsys):
    command_line.main(["run", "toy"])
    capsys.readouterr()
    for config in with_toy["toy"].tasks.values():
        config["dtype"] = "float64"
    command_line.main(["run", "toy"])
    capsys.readouterr()
    assert command_line.main(["verify"]) == 0
    assert "toy: not repeated, parameters not stored exactly: task" in capsys.readouterr().out


def test_an_unknown_name(with_toy, capsys):
    with pytest.raises(SystemExit):
        command_line.main(["run", "unknown"])
    assert "unknown" in capsys.readouterr().err


def test_one_thread_whatever_the_environment(tmp_path):
    environment = {name: value for name, value in os.environ.items() if "THREADS" not in name}
    command = [sys.executable, "-m", "rnnbook.experiments", "--folder", str(tmp_path), "list"]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "sine" in found.stdout


# ------------------------------------------------------------------------ what is stored


def test_configurations_are_plain_and_names_differ():
    for name, experiment in EXPERIMENTS.items():
        assert experiment.name == name
        for config in experiment.tasks.values():
            assert json.loads(json.dumps(config)) == config
        assert len({json.dumps(config) for config in experiment.tasks.values()}) == len(
            experiment.tasks
        )


def test_stored_results_are_whole_registered_and_small():
    total, files = 0, set(results_folder().glob("*/*.npz"))
    assert files
    for experiment in EXPERIMENTS.values():
        for task in experiment.tasks:
            path = results_folder() / experiment.name / f"{task}.npz"
            if path in files:
                assert store.status(experiment, task) == ("stored", "")
                total += path.stat().st_size
                files.remove(path)
    assert not files
    assert total <= LARGEST_TOTAL


def test_stored_results_took_little_time():
    """Four hours of one core in all, two without the single runs, and Part V; ten minutes a task.

    Half an hour at the paper's size.
    """
    seconds = {
        (name, task): store.read(experiment, task).record["seconds"]
        for name, experiment in EXPERIMENTS.items()
        for task in experiment.tasks
    }
    assert sum(seconds.values()) <= 2 * LONGEST_TOTAL
    single = ("sine-paper", "words-wikitext")
    assert sum(s for (name, _), s in seconds.items() if name not in single) <= LONGEST_TOTAL
    for (name, _), found in seconds.items():
        assert found <= (1800 if name == "sine-paper" else 600)


@pytest.mark.parametrize("name", ["sine", "symbols", "symbols-varied", "words"])
def test_five_seeds_have_the_configuration_of_the_lowest_validation(name):
    tuning = {
        json.dumps([config["network"], config.get("lengths"), config.get("corpus")]): result
        for experiment in ("sine-tuning", "symbols-tuning", "words-tuning")
        for result in load(experiment)
        for config in [result.config]
        if config["kind"] == name.split("-")[0]
    }
    tasks = EXPERIMENTS[name].tasks
    assert len(tasks) >= 5 * len(tuning) or name == "symbols-varied"
    for task, config in tasks.items():
        lengths = [60] if name == "symbols-varied" else config.get("lengths")
        chosen = tuning[json.dumps([config["network"], lengths, config.get("corpus")])]
        costs, points = chosen["validation"].tolist(), chosen.config["grid"]
        best = points[costs.index(min(costs))]
        if "-from-2-" in task:  # another first bias
            best = best | {"forget_bias": 2.0}
        assert config | best == config
        assert config["seed"] != chosen.config["seed"]


@pytest.mark.parametrize("task", ["copying", "adding"])
def test_networks_that_bridge_delays_have_the_setting_that_tuning_found(task):
    tuning, shared = load(f"{task}-tuning"), {"network", "kind", "hidden", "batch", "clip"}
    assert len({len(result.config["grid"]) for result in tuning}) == 1
    for config in EXPERIMENTS[task].tasks.values():
        long = task == "copying" and config["delay"] >= 200
        (chosen,) = (
            result
            for result in tuning
            if result.config["network"] == config["network"]
            and (result.config["delay"] == 200) == long
        )
        assert all(config[name] == chosen.config[name] for name in shared)
        best = chosen.config["grid"][int(chosen["validation"].argmin())]
        assert config | best == config
        assert config["seed"] != chosen.config["seed"]
    groups = Counter(name.rpartition("-")[0] for name in EXPERIMENTS[task].tasks)
    assert set(groups.values()) == {5}


@pytest.mark.parametrize("network", ["LRU", "oRNN", "LSTM"])
def test_long_tasks_have_the_setting_of_the_lowest_mean_over_three_seeds_of_tuning(network):
    tuning, found = load("long-tuning", network=network), load("long", network=network)
    grid = tuning[0].config["grid"]
    assert len(grid) == 4
    means = np.mean([result["validation"] for result in tuning], axis=0)
    assert means.shape == (4,)
    chosen = grid[means.argmin()] | {"updates": 2 * tuning[0].config["updates"]}
    for result in found:
        assert result.config | chosen == result.config
    begun = min(result["validation"].min() for result in tuning) < 1 / 12  # half of guessing
    assert 0 < means.argmin() < 3 or not begun  # not at the edge of the grid
    seeds = [result.config["seed"] for result in tuning + found]
    assert (len(tuning), len(found), len(set(seeds))) == (3, 5, 8)


def test_the_score_of_a_tuning_prefers_what_solves_the_task():
    config = delays.SETTINGS | {"kind": "adding", "delay": 50, "updates": 40}
    solved, low = (
        delays.score(config, {"history/cost": np.array(costs) / 6}, {})
        for costs in ([5.0, 1.0, 0.09], [0.3, 0.2, 0.15, 0.11])
    )
    assert solved["validation"] == pytest.approx(6.09 / 4)
    assert low["validation"] == pytest.approx(0.76 / 4 + 10)


def test_held_biases_stay_at_zero_and_starts_are_as_described():
    config = EXPERIMENTS["check"].tasks["oRNN-copying-0"] | {"updates": 20}
    _, params = delays.train(config | {"largest_bias": -0.2})
    assert params["bias"].max() == -0.2
    _, free = delays.train(config)
    assert free["bias"].max() > -0.2
    config |= {"network": "LSTM", "start": "long", "delay": 100, "hidden": 500}
    drawn = delays._begin(LSTM(10, 500), config, np.random.default_rng(0), 9)
    write, keep = drawn["bias"][:500], drawn["bias"][500:1000]
    np.testing.assert_array_equal(write, -keep)
    assert 0 <= keep.min() < 1 < 4 < keep.max() <= np.log(99)
    # exp of it is uniform on [1, 99]: a mean of 50, a standard deviation of 98/√12, four errors.
    assert abs(np.exp(keep).mean() - 50) < 4 * 98 / np.sqrt(12 * 500)


def test_every_network_is_tuned_alike():
    for name in ("sine-tuning", "symbols-tuning", "words-tuning"):
        budgets = {}
        for config in EXPERIMENTS[name].tasks.values():
            task = json.dumps([config.get("lengths"), config.get("corpus")])
            assert len(config["grid"]) == budgets.setdefault(task, len(config["grid"])) <= 12


def test_stored_results_name_no_machine():
    for path in results_folder().glob("*/*.npz"):
        with np.load(path) as file:
            record = str(file["record"])
        assert "/" not in record


def test_load_filters_and_refuses():
    assert {result.config["seed"] for result in load("sine", network="LSTM")} == set(range(5))
    assert all(result.config["clip"] is None for result in load("sine", clip=None))
    with pytest.raises(ValueError, match="name must be one of"):
        load("cosine")
    with pytest.raises(ValueError, match="no task with"):
        load("sine", network="GRU")


def test_a_wheel_has_the_results(tmp_path):
    pytest.importorskip("hatchling")
    root = Path(__file__).parent.parent
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    expected = {
        str(path.relative_to(root / "book"))
        for path in (root / "book/rnnbook/results").rglob("*.npz")
    }
    assert expected <= set(names)
