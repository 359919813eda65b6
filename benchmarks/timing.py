"""Interleaved measurements: on a shared machine only ratios within one run mean anything.

Time is that of the processor: with one thread each it is the time on the clock, less the turns that
other programs had.
"""

import time

import numpy as np


def interleave(runs, *, rounds, few=(), few_rounds=3):
    """Seconds of each run in each round: A B C, A B C, …; after one round for warming up.

    Parameters
    ----------
    runs : dict of callable
        What is compared, by name.
    rounds : int
        How often everything is measured.
    few : collection of str
        Names of slow runs, which take part in the first ``few_rounds`` rounds only.

    Returns
    -------
    dict of numpy.ndarray
    """
    repeats = {}
    for name, run in runs.items():
        run()
        started = time.process_time()
        run()
        # A sample of at least ten milliseconds: a shorter one measures the scheduler.
        repeats[name] = int(np.ceil(0.01 / (time.process_time() - started)))
    seconds = {name: [] for name in runs}
    for k in range(max(rounds, few_rounds)):
        for name, run in runs.items():
            if k >= (few_rounds if name in few else rounds):
                continue
            started = time.process_time()
            for _ in range(repeats[name]):
                run()
            seconds[name].append((time.process_time() - started) / repeats[name])
    return {name: np.array(samples) for name, samples in seconds.items()}


def ratio(ours, theirs):
    """Median of the ratios of neighbouring measurements."""
    pairs = min(len(ours), len(theirs))
    return float(np.median(ours[:pairs] / theirs[:pairs]))


def geometric_mean(values):
    return float(np.exp(np.mean(np.log(values))))
