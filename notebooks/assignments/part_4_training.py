"""Hidden tests of Part IV.

What is correct is computed in another way than in the solutions: roots of a
polynomial, all splits one by one, loops over places, sums over all updates,
counts of lists, bisection on the rate, forward sensitivities.
"""

from itertools import combinations, pairwise

import numpy as np
from rnnbook.grading import Wrong, expect

HIDDEN = ("rnnpedagogy", "rnnbook", "autograd")


def parts(answer, count, what):
    """The parts of an answer that is a tuple or a list."""
    if answer is None:
        raise Wrong(f"{what} returns None: is there a `return`?")
    if not isinstance(answer, tuple | list) or len(answer) != count:
        raise Wrong(f"{what} has to return {count} values")
    return answer


def entry(dictionary, key, what):
    """An entry of an answer that is a dictionary."""
    if not isinstance(dictionary, dict) or key not in dictionary:
        raise Wrong(f"{what} has to be a dictionary with all keys")
    return dictionary[key]


def within(array, low, high, what):
    """An array of finite numbers, none of them outside of a range."""
    try:
        fine = np.all((np.asarray(array) >= low) & (np.asarray(array) <= high))
    except (TypeError, ValueError):
        fine = False
    if not fine:
        raise Wrong(f"{what} has to lie between {low} and {high}")


def wilson(student, report, rng, own):
    """Wilson's interval, by its quadratic."""

    def ends(right, total, z):
        share, extra = right / total, z**2 / total
        return np.sort(
            np.roots([1 + extra, -(2 * share + extra), share**2]).real
        )

    with report("one number of right answers", 2):
        for total in rng.integers(5, 400, size=3):
            right = int(rng.integers(1, total))
            found = student.wilson(right, int(total), 1.96)
            expect(found, ends(right, total, 1.96), "your interval", rtol=1e-6)

    def arrays(*cases):
        for kind, shape in cases:
            right = rng.integers(150, 250, size=shape).astype(kind)
            correct = np.reshape(
                [ends(int(k), 260, 1.96) for k in right.flat], (*shape, 2)
            )
            found = student.wilson(right, 260, 1.96)
            expect(found, correct, "your array of intervals", rtol=1e-6)

    with report("arrays of any shape", 2):
        arrays((np.int64, (4,)), (np.int64, (2, 3)), (np.int64, (2, 1, 2)))
    with report("small integer types", 1):
        arrays((np.int16, (2, 3)), (np.uint8, (5,)))
    with report("another z", 1):
        z = float(rng.uniform(0.5, 3))
        expect(
            student.wilson(31, 45, z),
            ends(31, 45, z),
            "your interval",
            rtol=1e-6,
        )
    with report("none or all of the answers right", 2):
        total, z = int(rng.integers(8, 60)), float(rng.uniform(1, 2.5))
        edge = z**2 / (total + z**2)
        none = student.wilson(0, total, z)
        expect(
            none,
            [0, edge],
            "your interval where none is right",
            rtol=1e-6,
            atol=1e-9,
        )
        found = student.wilson(total, total, z)
        expect(
            found, [1 - edge, 1], "your interval where all are right", rtol=1e-6
        )


def _count(a, b):
    return float(sum((x > y) + (x == y) / 2 for x in a for y in b))


def _comparison(validation, test):
    """Settings, pairs and share of splits."""
    settings = []
    for costs in validation:
        finite = [k for k in range(len(costs)) if np.isfinite(costs[k])]
        settings.append(min(finite, key=lambda k, costs=costs: costs[k]))
    a, b = test[0][settings[0]].tolist(), test[1][settings[1]].tolist()
    pairs, pooled, counts = _count(a, b), a + b, []
    for chosen in combinations(range(len(pooled)), len(a)):
        rest = [pooled[k] for k in range(len(pooled)) if k not in chosen]
        counts.append(_count([pooled[k] for k in chosen], rest))
    return (
        settings,
        pairs,
        sum(count >= pairs for count in counts) / len(counts),
    )


def _tables(rng, seeds, ties, diverged):
    """Costs, some of them of runs that diverged, and accuracies."""
    validation, test = (
        rng.uniform(size=(2, 4)),
        rng.uniform(0.5, 0.9, size=(2, 4, seeds)),
    )
    if diverged:
        validation[[0, 1], rng.integers(4, size=2)] = np.nan
    test[0] += 0.1
    return validation, test.round(1 if ties else 6)


def compare(student, report, rng, own):
    """Choice on validation data, and the rank test."""
    cases = [
        _tables(rng, seeds, ties, False)
        for seeds in (3, 4, 5)
        for ties in (False, True)
    ]
    with report(
        "settings chosen on the validation costs, never one that diverged", 2
    ):
        broken = [_tables(rng, seeds, False, True) for seeds in (1, 3)]
        for case in cases + broken:
            found, *_ = parts(student.compare(*case), 3, "compare")
            expect(found, _comparison(*case)[0], "your choice of settings")
    with report("pairs, ties included", 2):
        for case in cases:
            _, found, _ = parts(student.compare(*case), 3, "compare")
            expect(found, _comparison(*case)[1], "your number of pairs")
    with report("p for other numbers of seeds", 2):
        for case in cases:
            *_, found = parts(student.compare(*case), 3, "compare")
            expect(found, _comparison(*case)[2], "your p", rtol=1e-6)
    generator = own("compare")
    validation = generator.uniform(0.2, 1.0, size=(2, 6)).round(3)
    validation[generator.integers(2), generator.integers(6)] = np.nan
    test = generator.uniform(0.6, 0.9, size=(2, 6, 5))
    test[0] += 0.08
    settings, _, p = _comparison(validation, test.round(2))
    with report("your own tables: the choice", 1):
        expect(student.value("own_settings"), settings, "own_settings")
    with report("your own tables: p", 1):
        expect(student.value("own_p"), p, "own_p", rtol=1e-6)


def _sequences(rng, steps, count, relevant):
    """Arguments of `batch`."""
    lengths = rng.integers(relevant + 1, steps + 1, size=count)
    lengths[0] = steps
    places = np.array([rng.permutation(n)[:relevant] for n in lengths])
    symbols = rng.integers(2, size=(count, relevant))
    return symbols, places, rng.integers(4, size=(steps, count)), lengths


def _batch(symbols, places, distractors, lengths):
    """Inputs, targets and mask, place by place."""
    steps, count = distractors.shape
    inputs, mask = np.zeros((steps, count, 6)), np.zeros((steps, count))
    for b in range(count):
        at = dict(zip(places[b].tolist(), symbols[b].tolist(), strict=True))
        for t in range(lengths[b]):
            inputs[t, b, at.get(t, 2 + distractors[t, b])] = 1
        mask[lengths[b] - 1, b] = 1
    return (
        inputs,
        [int("".join(map(str, row)), 2) for row in symbols.tolist()],
        mask,
    )


def _masked_cost(scores, targets, mask):
    """Cost and gradient, place by place."""
    value, gradient = 0.0, np.zeros(scores.shape)
    for t, b in np.argwhere(mask):
        log_total = np.logaddexp.reduce(scores[t, b])
        value += (log_total - scores[t, b, targets[b]]) / mask.sum()
        gradient[t, b] = np.exp(scores[t, b] - log_total)
        gradient[t, b, targets[b]] -= 1
    return value, gradient / mask.sum()


def batch(student, report, rng, own):
    """Sequences with a mask, and the masked cost."""
    sizes = [(9, 5, 2), (6, 7, 1), (12, 4, 3)]
    cases = [_sequences(rng, *size) for size in sizes]
    with report("the symbols of every sequence, other sizes", 2):
        for case in cases:
            found, correct = (
                parts(student.batch(*case), 3, "batch")[0],
                _batch(*case)[0],
            )
            expect(np.shape(found), correct.shape, "the shape of your inputs")
            until = correct.any(axis=-1)
            expect(
                np.asarray(found)[until],
                correct[until],
                "your array of inputs before the ends",
            )
    with report("classes of one, two or three symbols", 2):
        for case in cases:
            found = parts(student.batch(*case), 3, "batch")[1]
            expect(found, _batch(*case)[1], "your array of targets")
    with report("nothing after the end, and a mask at the last step", 2):
        for case in cases:
            found, _, mask = parts(student.batch(*case), 3, "batch")
            correct, _, where = _batch(*case)
            expect(mask, where, "your mask")
            expect(np.shape(found), correct.shape, "the shape of your inputs")
            after = ~correct.any(axis=-1)
            expect(
                np.asarray(found)[after],
                correct[after],
                "your array of inputs after the ends",
            )

    cases = []
    for steps, count, classes in ((4, 3, 2), (6, 2, 5)):
        mask = (rng.uniform(size=(steps, count)) < 0.4).astype(float)
        mask[-1] = [1] + [0] * (count - 1)
        mask[:2, 0] = 1
        scores = rng.normal(size=(steps, count, classes))
        cases.append((scores, rng.integers(classes, size=count), mask))
    what = "masked_cost"
    with report(
        "cost where some sequences are asked several times, some never", 2
    ):
        for case in cases:
            found, _ = parts(student.masked_cost(*case), 2, what)
            expect(found, _masked_cost(*case)[0], "your cost", rtol=1e-6)
    with report("its gradient", 2):
        for case in cases:
            _, found = parts(student.masked_cost(*case), 2, what)
            expect(
                found,
                _masked_cost(*case)[1],
                "your gradient",
                rtol=1e-6,
                atol=1e-12,
            )
    with report("large scores, asked or not", 2):
        for scores, targets, mask in cases:
            case = 5000 * scores, targets, mask
            value, gradient = parts(student.masked_cost(*case), 2, what)
            right = _masked_cost(*case)
            expect(
                value,
                right[0],
                "your cost of large scores",
                rtol=1e-6,
                atol=1e-9,
            )
            expect(
                gradient,
                right[1],
                "your gradient at large scores",
                rtol=1e-6,
                atol=1e-9,
            )


SHAPES = {"W": (3, 2), "b": (4,), "gain": ()}


def _draw(rng, scale, kind=float):
    return {
        name: np.asarray(scale * rng.standard_normal(shape)).astype(kind)
        for name, shape in SHAPES.items()
    }


def _start(params):
    zeros = {name: np.zeros_like(value) for name, value in params.items()}
    return {
        "k": 0,
        "m": zeros,
        "v": {name: value.copy() for name, value in zeros.items()},
    }


def _clipped(grads, clip):
    norm = np.linalg.norm(np.concatenate([g.ravel() for g in grads.values()]))
    return {name: g * min(1, clip / norm) for name, g in grads.items()}


def _adam(params, gradients, rate):
    """Parameters after all updates; means are sums over all gradients."""
    params = dict(params)
    for k in range(1, len(gradients) + 1):
        first = 0.1 * 0.9 ** np.arange(k)[::-1]
        second = 0.001 * 0.999 ** np.arange(k)[::-1]
        for name in params:
            g = np.array([one[name] for one in gradients[:k]])
            m, v = np.tensordot(first, g, 1), np.tensordot(second, g**2, 1)
            params[name] = params[name] - rate * (m / first.sum()) / (
                np.sqrt(v / second.sum()) + 1e-8
            )
    return params


def update(student, report, rng, own):
    """Adam, by sums over all gradients."""

    def run(params, gradients, rate, clip):
        state = _start(params)
        for grads in gradients:
            params, state = parts(
                student.update(params, grads, state, rate, clip), 2, "update"
            )
        return params, state

    def compared(params, correct, what, rtol=1e-7):
        for name, value in correct.items():
            expect(
                entry(params, name, "what update returns"),
                value,
                what,
                rtol=rtol,
                atol=1e-12,
            )

    params, rate = _draw(rng, 1.0), float(rng.uniform(0.01, 0.1))
    gradients = [_draw(rng, 10.0 ** rng.uniform(-2, 2)) for _ in range(6)]
    with report("the first update", 2):
        found, _ = run(params, gradients[:1], rate, 1e9)
        compared(
            found,
            _adam(params, gradients[:1], rate),
            "a parameter after one update",
        )
    with report("several updates", 4):
        found, state = run(params, gradients, rate, 1e9)
        compared(
            found,
            _adam(params, gradients, rate),
            "a parameter after six updates",
        )
        small = [_draw(rng, 1e-7) for _ in range(3)]
        found, _ = run(params, small, rate, 1e9)
        correct = _adam(params, small, rate)
        compared(
            found, correct, "a parameter after updates with small gradients"
        )
        expect(
            entry(state, "k", "the state"),
            6,
            "the number of updates in your state",
        )
    with report("clipping by the norm of all arrays together", 3):
        clip = float(np.median([np.linalg.norm(g["W"]) for g in gradients]))
        shortened = [_clipped(grads, clip) for grads in gradients]
        found, _ = run(params, gradients, rate, clip)
        compared(
            found,
            _adam(params, shortened, rate),
            "a parameter after clipped updates",
        )
    with report("a gradient of zero", 1):
        found, _ = run(
            params, [{name: 0 * g for name, g in params.items()}], rate, 1.0
        )
        compared(found, params, "a parameter after a gradient of zero")
    with report("a gradient that is not finite", 1):
        for bad in (np.nan, np.inf):
            broken = gradients[1] | {"b": np.array([0.1, bad, 0.2, 0.3])}
            found, state = run(
                params, [gradients[0], broken, gradients[2]], rate, 1e9
            )
            correct = _adam(params, [gradients[0], gradients[2]], rate)
            compared(
                found, correct, "a parameter after an update that is skipped"
            )
    with report("float32 remains float32", 1):
        short = {
            name: value.astype(np.float32) for name, value in params.items()
        }
        rough = _draw(rng, 1.0, np.float32)
        found, state = run(short, [rough], rate, 0.5)
        compared(
            found,
            _adam(short, [_clipped(rough, 0.5)], rate),
            "a float32 parameter",
            1e-3,
        )
        for part in (
            found,
            entry(state, "m", "the state"),
            entry(state, "v", "the state"),
        ):
            for name in SHAPES:
                if (
                    np.asarray(entry(part, name, "what update returns")).dtype
                    != np.float32
                ):
                    raise Wrong("parameters or state are no longer float32")


def _bigram(text, size, discount):
    """Probabilities from dictionaries of counts, a pair at a time."""
    text = [int(word) for word in text]
    one = {word: text.count(word) for word in set(text)}
    shared = discount * len(one) / size
    p = [
        (max(one.get(w, 0) - discount, 0) + shared) / len(text)
        for w in range(size)
    ]
    rows = []
    for h in range(size):
        after = [b for a, b in pairwise(text) if a == h]
        kinds = discount * len(set(after))
        row = [
            (max(after.count(w) - discount, 0) + kinds * p[w])
            for w in range(size)
        ]
        rows.append([value / len(after) for value in row] if after else p)
    return np.array(rows)


def _perplexity(P, text):
    product = 1.0
    for a, b in pairwise(text):
        product *= P[a, b] ** (-1 / (len(text) - 1))
    return product


def bigram(student, report, rng, own):
    """Absolute discounting, and what was chosen on which text."""

    def compare(text, size):
        discount = float(rng.uniform(0.1, 0.9))
        found = student.bigram(text, size, discount)
        right = _bigram(text, size, discount)
        expect(found, right, "your array of probabilities", rtol=1e-6)

    with report("probabilities of texts of other sizes and types", 2):
        for size, words, kind in (
            (3, 40, np.int64),
            (7, 60, np.uint8),
            (5, 30, np.int16),
        ):
            text = np.append(
                rng.permutation(size), rng.integers(size, size=words)
            ).astype(kind)
            text = np.append(text, text[:1])  # so every word is followed
            compare(text, size)
    with report(
        "words that never occur, and one that occurs at the end only", 3
    ):
        for size in (6, 9):
            text = np.append(rng.integers(size - 3, size=25), size - 2)
            compare(text, size)
    with report("perplexity", 2):
        for size, words in ((4, 9), (6, 700)):
            P, text = (
                rng.dirichlet(np.ones(size), size=size),
                rng.integers(size, size=words),
            )
            found = student.perplexity(P, text)
            expect(found, _perplexity(P, text), "your perplexity", rtol=1e-6)
    generator = own("bigram")
    cumulated = generator.dirichlet(np.full(12, 0.3), size=12).cumsum(axis=1)
    words = [0]
    for number in generator.uniform(size=899):
        words.append(min(int(np.sum(cumulated[words[-1]] < number)), 11))
    train, valid, final = np.split(np.array(words), [250, 500])
    grid = np.arange(1, 100) / 100
    tables = [_bigram(train, 12, discount) for discount in grid]
    best = int(np.argmin([_perplexity(P, valid) for P in tables]))
    with report("your own discount", 2):
        expect(
            student.value("own_discount"), grid[best], "own_discount", atol=1e-9
        )
    with report("your own perplexity", 3):
        on_final = _perplexity(tables[best], final)
        expect(
            student.value("own_perplexity"),
            on_final,
            "own_perplexity",
            rtol=1e-7,
            mistakes={
                "own_perplexity is that of the validation text": _perplexity(
                    tables[best], valid
                ),
                "its discount was chosen on the third text": min(
                    _perplexity(P, final) for P in tables
                ),
            },
        )


def _rate(weight_hh, weight_ih, bias, largest):
    """Rate, a Perron root, that is certain for inputs up to `largest`."""
    i, f, g, o = (np.abs(block).sum(axis=1) for block in np.split(weight_hh, 4))
    fed = np.abs(np.split(weight_ih, 4)[1]).sum(axis=1)
    phi = 1 / (1 + np.exp(-np.max(f + largest * fed + np.split(bias, 4)[1])))
    a = i.max() / 4 + g.max() + f.max() / (4 * (1 - phi))
    return np.abs(np.linalg.eigvals([[o.max() / 4 + a, phi], [a, phi]])).max()


def _largest_input(*weights):
    low, high = 0.0, 1.0
    if _rate(*weights, 0.0) >= 1:
        return 0.0
    while _rate(*weights, high) < 1:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if _rate(*weights, middle) < 1 else (low, middle)
        )
    return low


def _weights(rng, units, inputs):
    """Weights of an LSTM for which the certificate holds up to some bound."""
    while True:
        weight_hh = rng.normal(size=(4 * units, units)) * 0.3 / units
        bias = rng.normal(size=4 * units)
        bias[units : 2 * units] = rng.uniform(-0.9, 0.1, size=units)
        weights = weight_hh, rng.normal(size=(4 * units, inputs)), bias
        if _rate(*weights, 0.01) < 1:
            return weights


def largest_input(student, report, rng, own):
    """The certificate's border."""
    what = "your largest input"
    with report("two units, one input", 2):
        for _ in range(3):
            weights = _weights(rng, 2, 1)
            expect(
                student.largest_input(*weights),
                _largest_input(*weights),
                what,
                rtol=1e-6,
            )
    with report("other numbers of units and inputs", 4):
        for units, inputs in ((1, 3), (3, 2), (5, 4), (8, 1)):
            weights = _weights(rng, units, inputs)
            expect(
                student.largest_input(*weights),
                _largest_input(*weights),
                what,
                rtol=1e-6,
            )
    with report(
        "the unit that is first, whatever its bias and input weights", 3
    ):
        for first in range(3):
            weight_hh, weight_ih, bias = _weights(rng, 3, 2)
            weight_ih[3:6] = rng.uniform(0.3, 0.4, size=(3, 2))
            bias[3:6] = [-0.4, -0.3, -0.2]
            weight_ih[3 + first] *= -4
            bias[3 + first] = -0.5
            weights = weight_hh, weight_ih, bias
            expect(
                student.largest_input(*weights),
                _largest_input(*weights),
                what,
                rtol=1e-6,
            )
    with report("a certificate that never holds", 2):
        weight_hh, weight_ih, bias = _weights(rng, 4, 2)
        biased = bias.copy()
        biased[4 + int(rng.integers(4))] = 6.0
        gated = weight_hh.copy()
        gated[12:] *= 5 / np.abs(gated[12:]).sum(axis=1).max()  # o above one
        for case in (
            (40 * weight_hh, weight_ih, bias),
            (weight_hh, weight_ih, biased),
        ):
            expect(student.largest_input(*case), 0.0, what)
        expect(student.largest_input(gated, weight_ih, bias), 0.0, what)
    with report("forget gates that do not see the inputs", 1):
        weight_hh, weight_ih, bias = _weights(rng, 4, 2)
        weight_ih[4:8] = 0
        found = student.largest_input(weight_hh, weight_ih, bias)
        if not isinstance(
            found, int | float | np.number | np.ndarray
        ) or not np.all(np.isposinf(found)):
            raise Wrong(
                "your answer has to be infinite where no bound is needed"
            )


def _windows(W, U, b, inputs, targets, length):
    """Cost and gradient by sensitivities that begin anew in each window."""
    (N, n), m = targets.shape, U.shape[1]
    x, value, total = np.zeros(n), 0.0, np.zeros(n * (n + m + 1))
    for t in range(N):
        if t % length == 0:
            X = np.zeros((n, n * (n + m + 1)))
        seen = np.concatenate([x, inputs[t], [1.0]])
        x = np.tanh(np.column_stack([W, U, b]) @ seen)
        X = (1 - x**2)[:, np.newaxis] * (W @ X + np.kron(np.eye(n), seen))
        value += np.sum((x - targets[t]) ** 2) / (2 * N)
        total += (x - targets[t]) @ X / N
    gradient = total.reshape(n, n + m + 1)
    return value, gradient[:, :n], gradient[:, n:-1], gradient[:, -1]


def _network(rng, units, inputs, steps):
    return (
        1.2 * rng.standard_normal((units, units)) / np.sqrt(units),
        rng.standard_normal((units, inputs)),
        0.3 * rng.standard_normal(units),
        rng.standard_normal((steps, inputs)),
        rng.uniform(-1, 1, size=(steps, units)),
    )


def windows(student, report, rng, own):
    """The truncated gradient."""

    def gradients(network, length, what):
        found = parts(student.windows(*network, length), 4, "windows")[1:]
        correct = _windows(*network, length)[1:]
        for name, one, right in zip(
            ("dW", "dU", "db"), found, correct, strict=True
        ):
            expect(
                one, right, f"your {name} with {what}", rtol=1e-6, atol=1e-10
            )

    sizes = [(1, 2, 12), (3, 1, 12), (4, 3, 12)]
    networks = [_network(rng, *size) for size in sizes]
    with report("the cost, which does not depend on windows", 2):
        for network in networks:
            for length in (3, 5, 12):
                value = parts(student.windows(*network, length), 4, "windows")[
                    0
                ]
                expect(
                    value, _windows(*network, length)[0], "your cost", rtol=1e-6
                )
    with report("one window: the whole gradient", 3):
        for network in networks:
            gradients(network, 12, "one window")
    with report("windows that fit", 4):
        for network, length in zip(networks, (6, 4, 3), strict=True):
            gradients(network, length, "windows that fit")
    with report("a last window that is shorter", 3):
        for network, length in zip(networks, (5, 7, 10), strict=True):
            gradients(network, length, "a shorter last window")
    with report("windows of one step", 2):
        for network in networks:
            gradients(network, 1, "windows of one step")
    with report("a window longer than the text", 2):
        for network in networks:
            gradients(network, 17, "a window longer than the text")


TASKS = {
    "wilson": wilson,
    "compare": compare,
    "batch": batch,
    "update": update,
    "bigram": bigram,
    "largest_input": largest_input,
    "windows": windows,
}
