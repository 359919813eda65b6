"""One map over tasks, on one core, on several, or on a Dask cluster."""

import time
from concurrent.futures import CancelledError
from contextlib import contextmanager

from rnnbook._environment import ENVIRONMENT
from rnnbook.experiments import store
from rnnpedagogy._validation import positive_integer, takes

PATIENCE = 60  # seconds without a worker after which a cluster is given up
ANSWER = 10  # seconds in which a scheduler has to answer


class SweepError(RuntimeError):
    """Some tasks of a sweep failed; what the others found is stored."""


def _perform(experiment, task, checkpoint, options):
    """Train and analyse one task, in whatever process."""
    begun, config = time.process_time(), experiment.tasks[task]
    arrays, params = experiment.train(config, checkpoint, **options)
    arrays = arrays | experiment.analyse(config, params, **options)
    return arrays, time.process_time() - begun


@takes(jobs=positive_integer)
def sweep(experiment, *, jobs=1, dask=None, force=False, folder=None, **options):
    """Compute the tasks of an experiment that are not stored yet, and store each as it comes.

    A sweep that is interrupted continues where it stopped, also inside a task: a checkpoint beside
    its result, which the finished task removes, keeps a training in progress. A task that raises,
    or whose process is killed, does not stop the others.

    Parameters
    ----------
    experiment : Experiment
    jobs : int
        Processes, one BLAS thread each; 1 for this process.
    dask : str, optional
        Address of a Dask scheduler, whose workers then do the work. A task whose worker is lost is
        given to another one, up to the scheduler's ``allowed-failures``. There are no checkpoints:
        workers may have disks of their own.
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

    Raises
    ------
    SweepError
        At the end, with the names of the tasks that failed, and why; within a minute or so, if the
        scheduler does not answer, or no worker is left.
    """
    store.check_folder(folder)
    tasks = [
        task
        for task in experiment.tasks
        if force or store.status(experiment, task, folder)[0] != "stored"
    ]
    work, failed = {}, []
    for task in tasks:
        if force:
            store.remove_checkpoints(experiment, task, folder)
        path = None if dask else store.checkpoint_path(experiment, task, folder)
        work[task] = (experiment, task, path, options)
    for task, found, error in _map(work, jobs, dask):
        if error is None:
            try:
                store.save(experiment, task, *found, folder)
            except OSError as cannot:
                error = cannot
        if error is None:
            store.remove_checkpoints(experiment, task, folder)
            yield task, found[1]
        else:
            killed = type(error).__name__ == "KilledWorker"
            why = "its process was killed" if killed else f"{type(error).__name__}: {error}"
            failed.append(f"{experiment.name}/{task} failed: {why}")
    if failed:
        raise SweepError("\n".join(failed))


def _map(work, jobs, dask):
    """`_perform` of all arguments, as they come in: task, what it found, or else the error."""
    if jobs == 1 and dask is None:
        for task, arguments in work.items():
            try:
                yield task, _perform(*arguments), None
            except Exception as error:
                yield task, None, error
        return
    from distributed import wait

    with _client(jobs, dask) as client:
        waiting, left = list(work), {}
        while waiting or left:
            # On this machine nothing waits in a process, where a task that kills it would be
            # blamed on what comes next.
            while waiting and (dask or len(left) < jobs):
                task = waiting.pop(0)
                left[client.submit(_perform, *work[task], pure=False)] = task
            try:
                finished = wait(list(left), timeout=PATIENCE, return_when="FIRST_COMPLETED").done
                outcomes = {future: _outcome(future) for future in finished}
            except CancelledError:
                raise SweepError(
                    f"the scheduler is gone, before {', '.join(left.values())}"
                ) from None
            except TimeoutError:
                if client.status != "running" or not client.scheduler_info()["workers"]:
                    raise SweepError(f"no worker left for {', '.join(left.values())}") from None
                continue
            for future, outcome in outcomes.items():
                yield left.pop(future), *outcome


def _outcome(future):
    """What a task found, or else the error; both are waited for: its worker may be lost by now."""
    error = future.exception(timeout=ANSWER)
    return (None, error) if error else (future.result(timeout=ANSWER), None)


@contextmanager
def _client(jobs, dask):
    """A client of the scheduler at an address, or of processes of this machine."""
    import dask as configuration
    from distributed import Client, LocalCluster

    if dask is not None:
        try:
            client = Client(dask, timeout=ANSWER)
        except Exception as error:  # of all kinds, if it is another server that answers
            raise SweepError(f"dask must be the address of a scheduler, got {dask!r}") from error
        with client:
            yield client
        return
    settings = {
        "distributed.scheduler.allowed-failures": 0,
        "distributed.nanny.pre-spawn-environ": ENVIRONMENT,
    }
    with (
        configuration.config.set(settings),
        LocalCluster(n_workers=jobs, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client
