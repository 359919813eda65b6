"""What is stored against what is computed again: a few updates, and analyses of parameters."""

from collections import defaultdict

import numpy as np

from rnnbook.experiments import store

TOLERANCE = 1e-6  # of a cost in float64 after at most 50 updates, which amplify rounding
ROUNDING = 1e-3  # relative, of an entry of an analysis: orbits of thousands of steps amplify more
NOTHING = 1e-12  # of an entry, and not more than rounding around zero
MAY_DIFFER = 0.02  # of the entries of an array: single orbits that rounding sends elsewhere


def damaged_files(experiments, folder):
    """What is wrong with files, one line each; those that need something may be missing."""
    for experiment in experiments:
        for task in experiment.tasks:
            word, why = store.status(experiment, task, folder)
            if word != "stored" and not (word == "missing" and experiment.needs):
                yield why


def repeat_check(check, folder):
    """Compute the tasks of an experiment of a few updates again, training and analysis.

    Yields
    ------
    report : str
    fits : bool
    """
    for result in _stored(check, folder):
        arrays, params = check.train(result.config)
        error = np.max(np.abs(arrays["history/cost"] / result["history/cost"] - 1))
        differing = _differing(check, result, params)
        report = f"{check.name}/{result.task}: largest difference of a cost {error:.1e}, "
        yield report + _told(differing), bool(error <= TOLERANCE) and not _too_much(differing)


def repeat_analyses(experiment, folder, every_seed):
    """Analyse stored parameters again, of every seed or the first one alone.

    Only parameters that are stored as they were trained give the same again, see
    `Result.has_exact_params`; one line says of which tasks there are none.

    Yields
    ------
    report : str
    fits : bool
        Whether at most a share `MAY_DIFFER` of each array differs.
    """
    groups, without = defaultdict(list), {}
    for result in _stored(experiment, folder):
        group = result.task.rpartition("-")[0]
        if result.has_exact_params:
            groups[group].append(result)
        else:
            without[group] = None
    for results in groups.values():
        for result in results if every_seed else results[:1]:
            differing = _differing(experiment, result, result.part("params"))
            yield f"{experiment.name}/{result.task}: {_told(differing)}", not _too_much(differing)
    if without:
        names = ", ".join(without)
        yield f"{experiment.name}: not repeated, parameters not stored exactly: {names}", True


def _differing(experiment, result, params):
    """Arrays of a repeated analysis that differ from the stored ones, with the share of entries."""
    again = experiment.analyse(result.config, params)
    shares = {name: _share_that_differs(result.arrays.get(name), again[name]) for name in again}
    return {name: share for name, share in shares.items() if share}


def _share_that_differs(stored, again):
    """The share of entries that differ: floats by more than rounding, others at all.

    An amplitude of a network at rest is rounding itself.
    """
    again = np.asarray(again)
    if stored is None or stored.shape != again.shape or stored.dtype.kind != again.dtype.kind:
        return 1.0
    if again.dtype.kind == "f":
        return float(
            1 - np.isclose(again, stored, rtol=ROUNDING, atol=NOTHING, equal_nan=True).mean()
        )
    return float((again != stored).mean())


def _told(differing):
    """A text that names what differs."""
    names = ", ".join(f"{name} ({share:.1%})" for name, share in differing.items())
    return f"analysed again, differs in {names}" if names else "analysed again, the same"


def _too_much(differing):
    return max(differing.values(), default=0) > MAY_DIFFER


def _stored(experiment, folder):
    """The results of an experiment, as far as they are stored."""
    for task in experiment.tasks:
        if store.status(experiment, task, folder)[0] == "stored":
            yield store.read(experiment, task, folder)
