"""Notebooks run on all cores, before they are read.

myst-nb runs a notebook when it reads it, one after the other. Here those that the execution cache
does not have run beforehand, one on each core, the longest first; it then finds them in the cache.
A notebook that compares times has a cell with the tag ``runs-alone``: it waits until all others are
done. One that fails is no part of the cache: it is read with the outputs that it has, and a warning
fails the build.
"""

import asyncio
import functools
import glob
import itertools
import json
import os
import signal
import time
import traceback
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from nbclient import NotebookClient
from sphinx.util import logging

__all__ = ["setup"]

ALONE = "runs-alone"
SECONDS = "seconds.json"  # beside the caches, since it outlives them
SETTINGS = {"execution", "mystnb"}  # what a notebook may set for itself, in its metadata
log = logging.getLogger(__name__)


class Run:
    """One notebook: waiting, running or done."""

    def __init__(self, page, path, notebook, config):
        self.page, self.path, self.notebook = page, path, notebook
        self.seconds, self.error, self.traceback = 0.0, None, None
        self.client = NotebookClient(
            notebook,
            timeout=config.execution_timeout,
            allow_errors=config.execution_allow_errors,
            resources={"metadata": {"path": str(path.parent)}},
            coalesce_streams=True,  # printed text arrives in pieces, cut anywhere
            record_timing=False,  # in the cells' metadata, which the cache compares
            extra_arguments=["--log-level=ERROR"],  # no word about a connection that is local
        )

    @property
    def alone(self):
        """Whether no other notebook may run at the same time."""
        return any(ALONE in cell.metadata.get("tags", ()) for cell in self.notebook.cells)

    def execute(self):
        """Fill in the outputs, as far as it gets."""
        begun = time.perf_counter()
        try:
            self.client.execute()
        except Exception as error:  # whatever it is, the other notebooks run
            self.error, self.traceback = error, traceback.format_exc()
        self.seconds = time.perf_counter() - begun
        return self

    def end(self):
        """End its kernel, if it has one; what executes it, in another thread, notices."""
        kernel = self.client.km
        if kernel is not None:
            with suppress(RuntimeError):  # it has just ended
                asyncio.run(kernel.signal_kernel(signal.SIGTERM))


def cores():
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def waiting(env, pages, cache):
    """List the notebooks to run: what is read, is not in the cache, and has no settings of its own.

    Those with settings are left to myst-nb.
    """
    found = []
    for page in pages:
        path = Path(env.doc2path(page))
        excluded = any(path.match(one) for one in env.mystnb_config.execution_excludepatterns)
        if path.suffix != ".ipynb" or excluded:
            continue
        notebook = nbformat.read(path, as_version=4)
        try:
            cache.match_cache_notebook(notebook)
        except KeyError:
            if not SETTINGS & notebook.metadata.keys():
                found.append(Run(page, path, notebook, env.mystnb_config))
    return found


def longest_first(runs, seconds):
    """Order by the time of the last run; before them what never ran, by the size of the file."""

    def length(run):
        if run.page in seconds:
            return 0, seconds[run.page]
        return 1, run.path.stat().st_size

    return sorted(runs, key=length, reverse=True)


def execute(runs, workers, finish):
    """Run notebooks, ``workers`` at a time; call ``finish`` with each when it has ended."""
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(run.execute) for run in runs]
        try:
            for future in as_completed(futures):
                finish(future.result())
        except BaseException:  # Ctrl-C, or a warning that stops the build
            pool.shutdown(wait=False, cancel_futures=True)
            while not all(future.done() for future in futures):  # a kernel may just be starting
                for run in runs:
                    run.end()
                time.sleep(0.2)
            raise


def run_notebooks(app, env, pages):
    """Run what is going to be read and is not in the cache; say how far it is."""
    config = env.mystnb_config
    if config.execution_mode != "cache" or config.execution_in_temp:
        return
    cache = get_cache(config.execution_cache_path)
    record = Path(config.execution_cache_path).parent / SECONDS
    seconds = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    runs = longest_first(waiting(env, pages, cache), seconds)
    count = itertools.count(1)

    def finish(run):
        how = "failed after " if run.error else ""
        log.info("[%d/%d] %s %s%.0f s", next(count), len(runs), run.page, how, run.seconds)
        if run.error:
            warn(run, config)
            return
        result = CacheBundleIn(run.notebook, str(run.path), data={"execution_seconds": run.seconds})
        cache.cache_notebook_bundle(result, check_validity=False, overwrite=True)
        seconds[run.page] = run.seconds
        record.write_text(json.dumps(seconds), encoding="utf-8")

    if runs:
        log.info("running %d notebooks, at most %d at a time", len(runs), cores())
    execute([run for run in runs if not run.alone], cores(), finish)
    execute([run for run in runs if run.alone], 1, finish)
    hand_over(app, env, runs)


def warn(run, config):
    """Warn of a failed notebook, in the words of myst-nb."""
    message = f"Executing notebook failed: {type(run.error).__name__}"
    if config.execution_show_tb:
        message += f"\n{run.traceback}"
    log.warning("%s", message, location=run.page, type="mystnb", subtype="exec")


def hand_over(app, env, runs):
    """Let myst-nb read notebooks with their outputs, and not run again those that failed."""
    config = env.mystnb_config
    failed = [glob.escape(str(run.path)) for run in runs if run.error]
    env.mystnb_config = config.copy(
        execution_excludepatterns=[*config.execution_excludepatterns, *failed]
    )
    app.connect("source-read", functools.partial(give_outputs, {run.page: run for run in runs}))


def give_outputs(runs, app, page, source):
    """Replace the text of a notebook by that with its outputs."""
    if page in runs:
        source[0] = nbformat.writes(runs[page].notebook)


def setup(app):
    """Register with Sphinx."""
    app.connect("env-before-read-docs", run_notebooks)
