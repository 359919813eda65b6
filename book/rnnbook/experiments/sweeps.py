"""One map over tasks, on one core, on several, or on a Dask cluster."""

import time

from rnnbook.experiments import store


def _perform(experiment, task, checkpoint, options):
    """Train and analyse one task, in whatever process."""
    begun, config = time.process_time(), experiment.tasks[task]
    arrays, params = experiment.train(config, checkpoint, **options)
    arrays = arrays | experiment.analyse(config, params, **options)
    return task, arrays, time.process_time() - begun


def sweep(experiment, *, jobs=1, dask=None, force=False, folder=None, **options):
    """Compute the tasks of an experiment that are not stored yet, and store each as it comes.

    A sweep that is interrupted continues where it stopped, also inside a task: a checkpoint beside
    its result, which the finished task removes, keeps a training in progress.

    Parameters
    ----------
    experiment : Experiment
    jobs : int
        Processes, one BLAS thread each; 1 for this process.
    dask : str, optional
        Address of a Dask scheduler, whose workers then do the work, through joblib's own backend.
        A task whose worker is lost is given to another one, up to the scheduler's
        ``allowed-failures``: beyond that, with a task that kills every worker, the backend waits
        for ever. There are no checkpoints: workers may have disks of their own.
    force : bool
        Compute what is stored as well, from the beginning.
    folder : path, optional
        Where results are, see `results_folder`.
    **options
        What the experiment ``needs``.

    Yields
    ------
    task : str
    seconds : float
        Time of the processor that it took.
    """
    tasks = [
        task
        for task in experiment.tasks
        if force or store.status(experiment, task, folder)[0] != "stored"
    ]
    work = []
    for task in tasks:
        if force:
            store.remove_checkpoints(experiment, task, folder)
        path = None if dask else store.checkpoint_path(experiment, task, folder)
        work.append((experiment, task, path, options))
    for task, arrays, seconds in _map(work, jobs, dask):
        store.save(experiment, task, arrays, seconds, folder)
        store.remove_checkpoints(experiment, task, folder)
        yield task, seconds


def _map(work, jobs, dask):
    """`_perform` of all arguments, as they come in."""
    if jobs == 1 and dask is None:
        yield from (_perform(*arguments) for arguments in work)
        return
    from joblib import Parallel, delayed, parallel_config

    if dask is None:
        backend = {"backend": "loky", "n_jobs": jobs, "inner_max_num_threads": 1}
    else:
        backend = {"backend": "dask", "scheduler_host": dask}
    with parallel_config(**backend):
        calls = (delayed(_perform)(*arguments) for arguments in work)
        # Tasks are long: one at a time, so that little is lost with a process.
        yield from Parallel(return_as="generator_unordered", batch_size=1)(calls)
