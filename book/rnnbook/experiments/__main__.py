"""The command line: ``python -m rnnbook.experiments list | run | verify | summary``."""

import argparse
import os
import sys
from collections import Counter, defaultdict
from itertools import chain
from statistics import median

from rnnbook._environment import ENVIRONMENT
from rnnbook.experiments import EXPERIMENTS, store, verification
from rnnbook.experiments.sweeps import SweepError, sweep


def main(arguments=None):
    """Run one command; the exit status is 1 if a check failed."""
    parser = argparse.ArgumentParser(
        prog="python -m rnnbook.experiments", description="Recompute and check stored results."
    )
    parser.add_argument("--folder", help="where results are, instead of the package")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="which experiments there are, and what is stored")
    running = commands.add_parser("run", help="compute what is missing, stale or damaged")
    running.add_argument("names", nargs="+", choices=["all", *EXPERIMENTS], metavar="NAME")
    running.add_argument("--jobs", type=int, default=1, help="processes, one BLAS thread each")
    running.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="run on this Dask scheduler; given up after a minute without workers",
    )
    running.add_argument("--wikitext", metavar="DIR", help="folder with the parts of WikiText-2")
    running.add_argument("--force", action="store_true", help="compute what is stored as well")
    checking = commands.add_parser(
        "verify", help="check all files, repeat a few updates and analyses of stored parameters"
    )
    checking.add_argument("--every-seed", action="store_true", help="analyse all, not the first")
    commands.add_parser("summary", help="a table of what came out")
    options = vars(parser.parse_args(arguments))
    try:
        store.check_folder(options["folder"], to_write=False)
        return COMMANDS[options.pop("command")](**options) or 0
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; what was finished is stored, the rest can be continued")
        return 130


def show_list(folder):
    """Print experiments with the state of their results."""
    print(f"results in {store.results_folder(folder)}")
    for experiment in EXPERIMENTS.values():
        found = Counter(store.status(experiment, task, folder)[0] for task in experiment.tasks)
        state = ", ".join(f"{count} {word}" for word, count in found.items())
        needs = f" (needs --{experiment.needs})" if experiment.needs else ""
        print(f"{experiment.name:20} {experiment.description}{needs}: {state}")


def run(folder, names, **options):
    """Compute what is not stored."""
    given, failed = {"wikitext": options.pop("wikitext")}, False
    for name in EXPERIMENTS if "all" in names else names:
        experiment = EXPERIMENTS[name]
        needs = experiment.needs
        if needs and not given[needs]:
            print(f"{name}: skipped, needs --{needs}", flush=True)
            continue
        own = {needs: given[needs]} if needs else {}
        try:
            for task, seconds in sweep(experiment, folder=folder, **options, **own):
                print(f"{name}/{task}: {seconds:.1f} s", flush=True)
        except SweepError as error:
            print(error, flush=True)
            failed = True
    return failed


def verify(folder, every_seed=False):
    """Check every file, compute ``check`` again, and repeat analyses of stored parameters."""
    problems = list(verification.damaged_files(EXPERIMENTS.values(), folder))
    repetitions = [verification.repeat_check(EXPERIMENTS["check"], folder)]
    for name in [name for name in EXPERIMENTS if name != "check"]:
        repetitions.append(verification.repeat_analyses(EXPERIMENTS[name], folder, every_seed))
    for report, fits in chain.from_iterable(repetitions):
        print(report, flush=True)
        if not fits:
            problems.append(f"differs by too much: {report}")
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problems")
    return bool(problems)


def summary(folder):
    """Print lowest, median and highest value over the seeds of every number that is stored."""
    for experiment in EXPERIMENTS.values():
        groups = defaultdict(list)
        for task in experiment.tasks:
            if store.status(experiment, task, folder)[0] == "stored":
                result = store.read(experiment, task, folder)
                groups[task.rpartition("-")[0]].append(result)
        for group, results in groups.items():
            seconds = median(result.record["seconds"] for result in results)
            print(f"\n{experiment.name}/{group}: {len(results)} seeds, {seconds:.0f} s each")
            for name, value in results[0].arrays.items():
                if value.ndim == 0 and value.dtype.kind in "bif":
                    values = sorted(float(result[name]) for result in results)
                    low, middle, high = values[0], median(values), values[-1]
                    print(f"    {name:32} {low:10.4g} {middle:10.4g} {high:10.4g}")


COMMANDS = {"list": show_list, "run": run, "verify": verify, "summary": summary}

if __name__ == "__main__":
    if not ENVIRONMENT.items() <= os.environ.items():
        # It was read when this process started, and when NumPy was imported: start again.
        os.execve(sys.executable, sys.orig_argv, os.environ | ENVIRONMENT)
    sys.exit(main())
