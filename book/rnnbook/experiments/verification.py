"""What is stored against what is computed again: a few updates, and analyses of parameters."""

from collections import defaultdict

import numpy as np

from rnnbook.experiments import store

TOLERANCE = 1e-6  # of a cost in float64 after at most 50 updates, which amplify rounding
ROUNDING = 1e-3  # relative, of an entry of an analysis: orbits of thousands of steps amplify more
MAY_DIFFER = 0.02  # of the entries of an array: single orbits that rounding sends elsewhere


def damaged_files(experiments, folder):
    """What is wrong with files, one line each; those that need something may be missing."""
    for experiment in experiments:
        for task in experiment.tasks:
            word, why = store.status(experiment, task, folder)
            if word != "stored" and not (word == "missing" and experiment.needs):
                yield why


def repeat_training(check, folder):
    """Compute the tasks of an experiment of a few updates again.

    Yields
    ------
    report : str
    fits : bool
    """
    for task, result in _stored(check, folder):
        arrays, _ = check.train(result.config)
        error = np.max(np.abs(arrays["history/cost"] / result["history/cost"] - 1))
        fits = bool(error <= TOLERANCE)
        yield f"{check.name}/{task}: trained again, largest difference of a cost {error:.1e}", fits


def repeat_analyses(experiment, folder, *, every_seed=False):
    """Analyse stored parameters again, of the first of all seeds if not otherwise asked for.

    Only parameters that are stored as they were trained give the same again, see
    `Result.has_exact_params`; one line says of which tasks there are none.

    Yields
    ------
    report : str
    fits : bool
        Whether at most a share `MAY_DIFFER` of each array differs.
    """
    groups, without = defaultdict(list), []
    for task, result in _stored(experiment, folder):
        group = task.rpartition("-")[0]
        if result.has_exact_params:
            groups[group].append(result)
        elif group not in without:
            without.append(group)
    for results in groups.values():
        for result in results if every_seed else results[:1]:
            arrays = experiment.analyse(result.config, result.part("params"))
            shares = {name: share_that_differs(result[name], arrays[name]) for name in arrays}
            worst = max(shares, key=shares.get)
            found = f"{worst} differs in {shares[worst]:.1%}" if shares[worst] else "the same"
            report = f"{experiment.name}/{result.task}: analysed again, {found}"
            yield report, shares[worst] <= MAY_DIFFER
    if without:
        names = ", ".join(without)
        yield f"{experiment.name}: not analysed again, parameters not stored exactly: {names}", True


def share_that_differs(stored, again):
    """The share of entries that differ: floats by more than rounding, others at all."""
    again = np.asarray(again)
    if stored.shape != again.shape or stored.dtype != again.dtype:
        return 1.0
    if stored.dtype.kind == "f":
        return float(1 - np.isclose(again, stored, rtol=ROUNDING, atol=0, equal_nan=True).mean())
    return float((again != stored).mean())


def _stored(experiment, folder):
    """Tasks with their results, as far as these are stored."""
    for task in experiment.tasks:
        if store.status(experiment, task, folder)[0] == "stored":
            yield task, store.read(experiment, task, folder)
