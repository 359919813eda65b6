"""The tables of ``python -m benchmarks``: ratios, since milliseconds belong to one machine."""

import argparse
import json
import platform
import tracemalloc
from importlib.metadata import version
from pathlib import Path

import autograd
import numpy as np
from rnnbook.language import LanguageModel, load_corpus

from benchmarks.rivals import (
    autograd_gradient,
    installed,
    jax_gradient,
    torch_epoch,
    torch_gradient,
    torch_language,
    torch_network,
    torch_orthogonal,
)
from benchmarks.timing import geometric_mean, interleave, ratio
from rnnpedagogy.cells import LSTM, Elman
from rnnpedagogy.costs import Cost
from rnnpedagogy.dynamics import CellMap, lyapunov_spectrum, orbit_diagram
from rnnpedagogy.gradients import bptt, hessian_vector_product
from rnnpedagogy.orthogonal import OrthogonalRNN
from rnnpedagogy.rollout import rollout
from rnnpedagogy.training import Sequences, train

SIZES = ((200, 10, 400), (50, 100, 200), (32, 32, 100), (8, 64, 100))  # hidden, batch, length
CELLS = {"LSTM": LSTM, "tanh": Elman}
RIVALS = {"torch": torch_gradient, "jax": jax_gradient, "autograd": autograd_gradient}


def random_cost(cell, batch, length, dtype):
    """A squared error on random data, and parameters to evaluate it at."""
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=(2, length, batch, cell.input_size)).astype(dtype)
    return Cost(cell, inputs, targets), cell.init_params(rng, output_size=1, dtype=dtype)


def agree(ours, theirs, dtype):
    """Whether two pairs of value and gradient are the same up to rounding."""
    pairs = [(ours[0], theirs[0])] + [(ours[1][name], theirs[1][name]) for name in theirs[1]]
    rounding = 5000 * np.finfo(dtype).eps
    return all(np.abs(a - b).max() <= rounding * np.abs(b).max() for a, b in pairs)


def gradients(rounds):
    """One value and gradient, against every library at hand."""
    print("\nOne gradient: time of this package / time of the other (below 1: this one is faster)")
    head = f"{'':6}{'':9}{'hidden/batch/length':>20}"
    print(head + "".join(f"{'/ ' + name:>12}" for name in RIVALS) + f"{'ms':>10}")
    means = {}
    for kind, make in CELLS.items():
        for dtype in (np.float64, np.float32):
            table = {name: [] for name in RIVALS}
            for size in SIZES:
                hidden, batch, length = size
                cost, params = random_cost(make(1, hidden), batch, length, dtype)

                def ours(cost=cost, params=params):
                    gradient = bptt(cost, params)
                    return gradient.value, gradient.params

                runs = {"ours": ours}
                for name, rival in RIVALS.items():
                    if name == "autograd" and dtype is np.float32:
                        continue
                    run = rival(cost, params)
                    if run is not None:
                        if not agree(ours(), run(), dtype):
                            raise AssertionError(f"{name} computes another gradient")
                        runs[name] = run
                seconds = interleave(runs, rounds=rounds, few=("autograd",))
                cells = ""
                for name in RIVALS:
                    if name in seconds:
                        table[name].append(ratio(seconds["ours"], seconds[name]))
                    cells += f"{table[name][-1]:12.2f}" if name in seconds else f"{'–':>12}"
                print(
                    f"{kind:6}{np.dtype(dtype).name:9}{f'{hidden}/{batch}/{length}':>20}{cells}"
                    f"{1e3 * np.median(seconds['ours']):10.1f}",
                    flush=True,
                )
            cells = ""
            for name, ratios in table.items():
                if ratios:
                    means[kind, np.dtype(dtype).name, name] = geometric_mean(ratios), max(ratios)
                cells += f"{geometric_mean(ratios):12.2f}" if ratios else f"{'–':>12}"
            print(f"{'':15}{'geometric mean':>20}{cells}\n")
    return means


def targets(means):
    """The project's targets next to what was measured."""
    print("Targets (geometric mean; worst size)")
    for (kind, dtype, rival), (mean, worst) in means.items():
        if (dtype, rival) == ("float64", "autograd"):
            wanted, met = "at least 4 times as fast", mean <= 1 / 4
        elif (dtype, rival) == ("float64", "torch"):
            wanted, met = "no slower", mean <= 1
        elif (dtype, rival) == ("float32", "torch"):
            wanted, met = "mean at most 1.3, worst at most 2.2", mean <= 1.3 and worst <= 2.2
        else:
            continue
        print(
            f"  {kind:6}{dtype:9}{rival:10}{wanted:38}{mean:6.2f};{worst:6.2f}   "
            f"{'met' if met else 'MISSED'}"
        )


def length(rounds, longest):
    """The cost of a gradient is linear in the length of the sequence."""
    print("\nTime of a gradient per step / that of the shortest sequence (LSTM, 16 units, batch 8)")
    runs, lengths = {}, [50 * 2**k for k in range(8) if 50 * 2**k <= longest]
    for steps in lengths:
        cost, params = random_cost(LSTM(1, 16), 8, steps, np.float64)
        runs[steps] = lambda cost=cost, params=params: bptt(cost, params)
    seconds = interleave(runs, rounds=rounds)
    for steps in lengths:
        per_step = ratio(seconds[steps], seconds[lengths[0]]) * lengths[0] / steps
        print(f"  N = {steps:5}{per_step:8.2f}")


def checkpoints(rounds):
    """What checkpoints cost in time and save in memory."""
    print("\nCheckpointed backpropagation against plain (LSTM, 32 units, batch 32, float64)")
    for steps in (100, 400, 1600):
        cost, params = random_cost(LSTM(1, 32), 32, steps, np.float64)
        runs = {
            flag: lambda flag=flag, cost=cost, params=params: bptt(cost, params, checkpoint=flag)
            for flag in (True, False)
        }
        seconds = interleave(runs, rounds=rounds)
        peaks = {}
        for flag, run in runs.items():
            tracemalloc.start()
            run()
            peaks[flag] = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        print(
            f"  N = {steps:5}   time × {ratio(seconds[True], seconds[False]):4.2f}   "
            f"peak memory × {peaks[True] / peaks[False]:5.3f}"
        )


class SteppedLSTM(LSTM):
    """The LSTM without its fast code: any cell runs like this, from its step."""

    step = LSTM.step


def generic(rounds):
    """What the step alone costs: a gradient without the fast code against one with it."""
    print("\nOne gradient of an LSTM from its step alone / with its fast code, float64")
    for hidden, batch, length in SIZES:
        runs = {}
        for name, make in (("step", SteppedLSTM), ("fast", LSTM)):
            cost, params = random_cost(make(1, hidden), batch, length, np.float64)
            runs[name] = lambda cost=cost, params=params: bptt(cost, params)
        seconds = interleave(runs, rounds=max(3, rounds // 5))
        print(f"  {hidden}/{batch}/{length}: × {ratio(seconds['step'], seconds['fast']):.1f}")


def autograd_product(cost, params):
    product, _ = autograd.make_hvp(cost.step_by_step)(params)
    return product(params)


def hessian(rounds):
    """A Hessian-vector product by the complex step against two nested passes of autograd."""
    print(
        "\nHessian-vector product: time of this package / autograd's (16 units, batch 8, N = 100)"
    )
    for kind, make in CELLS.items():
        cost, params = random_cost(make(1, 16), 8, 100, np.float64)
        runs = {
            "ours": lambda cost=cost, params=params: hessian_vector_product(cost, params, params),
            "autograd": lambda cost=cost, params=params: autograd_product(cost, params),
            "gradient": lambda cost=cost, params=params: bptt(cost, params),
        }
        seconds = interleave(runs, rounds=rounds, few=("autograd",))
        print(
            f"  {kind:6}{ratio(seconds['ours'], seconds['autograd']):8.3f}"
            f"   ({ratio(seconds['ours'], seconds['gradient']):.1f} gradients)"
        )


def sweep(rounds, values=5000, steps=200, sample=100):
    """One batched rollout over parameter values against a loop over them."""
    print(f"\nSweep of {values} parameter values × {steps} steps, LSTM of two units")
    runs = {}
    for dtype in (np.float64, np.float32):
        rng = np.random.default_rng(0)
        cell = LSTM(1, 2)
        inputs = rng.normal(size=(steps, 1)).astype(dtype)
        scale = np.linspace(0, 4, values, dtype=dtype)
        params = cell.init_params(rng, output_size=1, dtype=dtype)
        swept = {name: params[name] for name in cell.param_shapes()}
        swept["weight_hh"] = scale[:, np.newaxis, np.newaxis] * params["weight_hh"]
        state = cell.zero_state(dtype=dtype)
        name = np.dtype(dtype).name
        runs[name] = lambda cell=cell, swept=swept, state=state, inputs=inputs: rollout(
            cell, swept, state, inputs
        )
        if installed("torch"):
            import torch

            network, _ = torch_network(cell, params)
            sequence = torch.from_numpy(inputs)
            weights = torch.from_numpy(swept["weight_hh"][:: values // sample])

            def loop(network=network, sequence=sequence, weights=weights):
                with torch.inference_mode():
                    for weight in weights:
                        network.weight_hh_l0.copy_(weight)
                        network(sequence)

            runs[f"torch {name}"] = loop
    seconds = interleave(runs, rounds=rounds)
    for name in ("float64", "float32"):
        line = f"  {name}: {1e3 * np.median(seconds[name]):.0f} ms"
        if f"torch {name}" in seconds:
            loop_seconds = seconds[f"torch {name}"] * (values / sample)
            line += f", {1 / ratio(seconds[name], loop_seconds):.0f} times as fast as a torch loop"
        print(line)
    if installed("torch"):
        print(f"  (the loop is timed on {sample} of the values and extrapolated)")


def orbits(rounds, values=2000, steps=2000):
    """An orbit diagram against the arithmetic it cannot do without: its calls of tanh."""
    cell, rng = Elman(0, 2), np.random.default_rng(0)
    params = cell.init_params(rng)
    state, kept = rng.normal(size=2), steps // 4

    def family(gain):
        weight = gain[..., np.newaxis, np.newaxis] * params["weight_hh"]
        return CellMap(cell, params | {"weight_hh": weight})

    gains, z = np.linspace(0, 4, values), rng.normal(size=(2, values))

    def tanh():
        for _ in range(steps):
            np.tanh(z)

    def diagram():
        orbit_diagram(family, gains, state, steps=kept, transient=steps - kept)

    seconds = interleave({"diagram": diagram, "tanh": tanh}, rounds=rounds)
    print(f"\nOrbit diagram of {values} values × {steps} steps, tanh network of two units")
    print(
        f"  {np.median(seconds['diagram']):.2f} s (target: below 1 s), "
        f"{ratio(seconds['diagram'], seconds['tanh']):.1f} times its calls of tanh"
    )


def orthogonal(rounds):
    """A rotation from its parameters and a derivative pulled back, in three ways, float64."""
    print("\nAn orthogonal matrix and one derivative pulled back: ms, and / torch's own")
    for size in (32, 128, 512):
        rng, runs = np.random.default_rng(0), {}
        G = {"weight_hh": np.ones((size, size)), "weight_ih": np.zeros((size, 1))}
        G |= {"bias_inside": np.zeros(size)}
        for kind in ("exp", "cayley", "householder"):
            cell = OrthogonalRNN(1, size, parametrisation=kind)
            params = cell.init_params(rng)

            def ours(cell=cell, params=params, G=G):
                weights, pull_back = cell.reparametrise(params)
                return weights["weight_hh"], pull_back(G)

            theirs = torch_orthogonal(size, kind)
            runs[kind] = ours
            if theirs is not None:
                for W in (ours()[0], theirs()):
                    if np.abs(W.T @ W - np.eye(size)).max() > 1e-10:
                        raise AssertionError(f"{kind} is not orthogonal")
                runs[f"torch {kind}"] = theirs
        seconds = interleave(runs, rounds=rounds)
        line = f"  {size:4}"
        for kind in ("exp", "cayley", "householder"):
            line += f"   {kind} {1e3 * np.median(seconds[kind]):.2f}"
            if f"torch {kind}" in seconds:
                line += f" (× {ratio(seconds[kind], seconds[f'torch {kind}']):.2f})"
        print(line, flush=True)


def lyapunov(units=64, steps=10_000, sample=1000):
    """A full Lyapunov spectrum against its QR factorisations."""
    cell, rng = LSTM(0, units), np.random.default_rng(0)
    params = cell.init_params(rng)
    params["weight_hh"] *= 3  # away from a fixed point
    state, matrix = rng.normal(size=cell.state_size), rng.normal(size=(cell.state_size,) * 2)

    def factorisations():
        for _ in range(sample):
            np.linalg.qr(matrix)

    def spectrum():
        lyapunov_spectrum(CellMap(cell, params), state, steps=sample)

    seconds = interleave({"spectrum": spectrum, "QR": factorisations}, rounds=3)
    print(f"\nLyapunov spectrum, {cell.state_size} exponents of an LSTM over {steps} steps")
    print(
        f"  {np.median(seconds['spectrum']) * steps / sample:.0f} s (target: below 30 s), "
        f"{ratio(seconds['spectrum'], seconds['QR']):.1f} times its QR factorisations"
    )
    print(f"  (timed over {sample} steps and extrapolated)")


def training(rounds):
    """An epoch of the sine task in the configuration of the paper."""
    hidden, count, batch_size, length, clip = 200, 100, 10, 400, 0.25
    rng = np.random.default_rng(0)
    frequencies = np.linspace(np.pi / 16, np.pi / 8, count)
    inputs = np.broadcast_to(frequencies[:, np.newaxis], (length, count, 1)).astype("f4")
    targets = np.sin(inputs * np.arange(1, length + 1, dtype="f4")[:, np.newaxis, np.newaxis])
    cell = LSTM(1, hidden)
    params = cell.init_params(rng, output_size=1, dtype=np.float32)
    objective = Sequences(Cost(cell, inputs, targets), batch_size=batch_size)

    def ours():
        settings = {"clip": clip, "progress": False, "rng": np.random.default_rng(0)}
        return train(objective, params, epochs=1, **settings).history["cost"][0]

    print(f"\nAn epoch of training, LSTM {hidden}, {count} sequences of {length} steps, float32")
    runs, settings = {"ours": ours}, {"batch_size": batch_size, "clip": clip}
    order = np.random.default_rng(0)
    theirs = torch_epoch(cell, params, inputs, targets, rng=order, **settings)
    if theirs is not None:
        runs["torch"] = theirs
        # Adam turns rounding in small gradients into steps of full size: costs, not parameters.
        if not np.isclose(ours(), theirs(), rtol=1e-3):
            raise AssertionError("torch trains differently")
    seconds = interleave(runs, rounds=rounds)
    line = f"  {np.median(seconds['ours']):.2f} s"
    if theirs is not None:
        line += f", {ratio(seconds['ours'], seconds['torch']):.2f} times that of torch"
    print(line)


def language(rounds):
    """An epoch of a language model on the help texts of Python."""
    corpus = load_corpus("pydoc", vocabulary=2000)
    model = LanguageModel(LSTM(64, 128), corpus, batch_size=32, length=35, dropout=0.3)
    params = model.init_params(np.random.default_rng(0))

    def ours():
        settings = {"clip": 0.25, "progress": False, "rng": np.random.default_rng(0)}
        return train(model, params, epochs=1, **settings).history["cost"][0]

    print(f"\nAn epoch of a language model, {len(corpus.vocabulary)} words, LSTM 128, float32")
    runs = {"ours": ours}
    theirs = torch_language(model, params, clip=0.25, rng=np.random.default_rng(0))
    if theirs is not None:
        # Each starts from the same parameters, and drops other entries.
        if not np.isclose(ours(), theirs(), rtol=0.02):
            raise AssertionError("torch trains differently")
        runs["torch"] = theirs
    seconds = interleave(runs, rounds=rounds)
    line = f"  {len(corpus.train) / np.median(seconds['ours']):,.0f} words a second"
    if theirs is not None:
        line += f", {ratio(seconds['ours'], seconds['torch']):.2f} times the time of torch"
    print(line)


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repetitions, shorter sequences")
    parser.add_argument("--json", type=Path, help="also write the ratios of the gradients here")
    options = parser.parse_args()
    if options.json and not options.json.parent.is_dir():
        parser.error(f"--json must be in a folder that exists, got {options.json}")
    rounds = 5 if options.quick else 25

    libraries = [name for name in ("numpy", "autograd", "torch", "jax") if installed(name)]
    print(f"Python {platform.python_version()},", ", ".join(f"{n} {version(n)}" for n in libraries))
    config = np.show_config(mode="dicts")
    blas = config["Build Dependencies"]["blas"]
    simd = config["SIMD Extensions"]
    print(
        f"{platform.machine()}, {blas['name']} {blas['version']}, NumPy uses "
        f"{', '.join(simd.get('found', [])) or 'its baseline'}; one thread each"
    )
    means = gradients(rounds)
    targets(means)
    length(rounds, 1600 if options.quick else 6400)
    checkpoints(rounds)
    generic(rounds)
    hessian(rounds)
    sweep(rounds)
    training(max(3, rounds // 5))
    language(max(3, rounds // 5))
    orbits(rounds)
    orthogonal(rounds)
    lyapunov()
    if options.json:
        record = {" ".join(key): {"mean": m, "worst": w} for key, (m, w) in means.items()}
        options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
