"""Hidden tests of coursework II: slope, curvature, bounds, minima."""

import numpy as np
from rnnbook.grading import Wrong, expect

HIDDEN = ("rnnpedagogy", "rnnbook", "autograd")


def numbers(value, shape, what):
    """An answer as an array of float64 of the right shape."""
    if value is None:
        raise Wrong(f"{what} is None: is there a `return`, and is it set?")
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise Wrong(f"{what} is no array of numbers") from None
    if array.shape != shape:
        raise Wrong(f"{what} has shape {array.shape}, it should have {shape}")
    return array


# 1 ----------------------------------------------------------------------------
def neuron(w, b, x_0, targets):
    """Cost, slope and curvature by power series in w, up to the square."""
    w = np.asarray(w, dtype=float)
    x = np.stack([np.full(w.shape, float(x_0)), 0 * w, 0 * w])
    total = 0
    for target in np.asarray(targets, dtype=float):
        z = np.stack([w * x[0] + b, w * x[1] + x[0], w * x[2] + x[1]])
        y = np.tanh(z[0])
        phi = 1 - y**2
        x = np.stack([y, phi * z[1], phi * z[2] - y * phi * z[1] ** 2])
        e = x[0] - target
        total = total + np.stack([e**2, 2 * e * x[1], 2 * e * x[2] + x[1] ** 2])
    return total / len(targets) * np.array([1, 1, 2])[:, np.newaxis]


def derivatives(student, report, rng, own):
    """Rows apart, other lengths, integers, an initial state that is zero."""
    w, b, x_0 = (
        rng.uniform(-1.5, 1.5, size=7),
        rng.uniform(-0.5, 0.5),
        rng.uniform(0.3, 0.8),
    )
    targets = rng.uniform(-1, 1, size=12)
    correct = neuron(w, b, x_0, targets)

    def rows(*arguments):
        found = student.derivatives(*arguments)
        return numbers(found, (3, np.size(arguments[0])), "your array")

    with report("cost and slope for other weights and targets", 3):
        expect(
            rows(w, b, x_0, targets)[:2],
            correct[:2],
            "your cost or slope",
            rtol=1e-9,
        )
    with report("curvature for other weights and targets", 3):
        expect(
            rows(w, b, x_0, targets)[2], correct[2], "your curvature", rtol=1e-8
        )
    with report("a single weight, a long sequence, no motion at first", 2):
        one, long = w[:1] / 2, rng.uniform(-1, 1, size=200)
        expect(
            rows(one, b, 0.0, long),
            neuron(one, b, 0.0, long),
            "your array",
            rtol=1e-8,
        )
    with report("weights that are integers", 2):
        whole = rng.permutation(np.array([-1, 0, 1, 2]))
        right = neuron(whole, b, x_0, targets)
        expect(
            rows(whole, b, x_0, targets),
            right,
            "your array",
            rtol=1e-8,
            atol=1e-13,
        )


# 2 ----------------------------------------------------------------------------
def neuron_bound(weights, kappa, error):
    """The two logarithms, with S and E scaled by powers of a common factor."""
    S = E = 0.0
    log_unit = (
        0.0  # the true S is S exp(log_unit), the true E is E exp(2 log_unit)
    )
    for w in np.abs(np.asarray(weights, dtype=float)):
        one = np.exp(-log_unit)
        S = w * S + one
        E = w * E + kappa * S**2
        scale = max(S, np.sqrt(E))
        S, E, log_unit = S / scale, E / scale**2, log_unit + np.log(scale)
    curvature = np.log(2) + np.log(error * E + S**2) + 2 * log_unit
    return np.array([np.log(2 * error * S) + log_unit, curvature])


def bound(student, report, rng, own):
    """Other weights, beyond float64, zero and negative, linear, own."""
    weights = rng.uniform(0.5, 1.5, size=60)
    kappa, error = rng.uniform(0.2, 1), rng.uniform(0.5, 3)
    correct = neuron_bound(weights, kappa, error)

    def logs(*arguments):
        return numbers(student.bound(*arguments), (2,), "your bound")

    with report("slope, for other positive weights", 2):
        expect(
            logs(weights, kappa, error)[0],
            correct[0],
            "your bound of the slope",
        )
    with report("curvature, for other positive weights", 3):
        expect(
            logs(weights, kappa, error)[1],
            correct[1],
            "your bound of the curvature",
        )
    many = rng.uniform(1.05, 1.5, size=int(rng.integers(6000, 8000)))
    mixed = rng.normal(size=30)
    mixed[rng.permutation(30)[:4]] = 0
    for row, name, points in ((0, "slope", 1), (1, "curvature", 2)):
        with report(f"{name}, thousands of steps, beyond every float", points):
            expect(
                logs(many, kappa, error)[row],
                neuron_bound(many, kappa, error)[row],
                f"your bound of the {name}",
            )
    for row, name in enumerate(("slope", "curvature")):
        with report(f"{name}, weights of both signs, some of them zero", 1):
            expect(
                logs(mixed, kappa, error)[row],
                neuron_bound(mixed, kappa, error)[row],
                f"your bound of the {name}",
            )
    with report("a linear neuron, κ = 0", 2):
        expect(
            logs(weights, 0.0, error),
            neuron_bound(weights, 0.0, error),
            "your bound",
        )
    with report("your own data", 2):
        mine = own("bound").normal(size=3000) * 2.2
        found = numbers(student.value("own_bound"), (2,), "`own_bound`")
        expect(found, neuron_bound(mine, 0.77, 2.0), "`own_bound`")


# 3 ----------------------------------------------------------------------------
def fit(lengths, log_values, t):
    """Rate, power and half-widths, by an orthogonal basis."""
    N, y = np.asarray(lengths, dtype=float), np.asarray(log_values, dtype=float)
    Q, R = np.linalg.qr(np.column_stack([np.ones_like(N), N, np.log(N)]))
    scatter = np.linalg.norm(y - Q @ (Q.T @ y)) / np.sqrt(len(N) - 3)
    return np.concatenate(
        [
            np.linalg.solve(R, Q.T @ y)[1:],
            t * scatter * np.linalg.norm(np.linalg.inv(R), axis=1)[1:],
        ]
    )


OWN_LENGTHS = np.array(
    [8, 12, 16, 24, 32, 40, 48, 64, 80, 96, 112, 128, 144, 160]
)


def growth(student, report, rng, own):
    """Estimates and widths apart, large logarithms, types, order, own."""
    N = np.sort(rng.permutation(np.arange(5, 200))[:9])
    rate, power = rng.uniform(-0.05, 0.1), rng.uniform(-2, 3)
    y = 1 + rate * N + power * np.log(N) + 0.1 * rng.normal(size=9)
    t = 2.4469  # 97.5 %, six degrees of freedom

    def four(*arguments):
        return numbers(student.fit_growth(*arguments), (4,), "your fit")

    with report("rate and power for other lengths", 3):
        expect(
            four(N, y, t)[:2],
            fit(N, y, t)[:2],
            "your pair (γ, p)",
            rtol=1e-6,
        )
    with report("half-widths for other lengths", 3):
        expect(
            four(N, y, t)[2:],
            fit(N, y, t)[2:],
            "your half-width pair",
            rtol=1e-6,
        )
    with report(
        "logarithms of values that no float holds, lengths in any order", 2
    ):
        mixed, far = rng.permutation(N), rng.uniform(900, 1000)
        huge = far + 2 * mixed - np.log(mixed) + 0.1 * rng.normal(size=9)
        expect(four(mixed, huge, t), fit(mixed, huge, t), "your fit", rtol=1e-5)
    with report("float32 and integers, computed in float64", 2):
        single, whole = y.astype(np.float32), np.rint(10 * y).astype(int)
        expect(
            four(N.astype(np.float32), single, t),
            fit(N, single, t),
            "your fit",
            rtol=1e-6,
        )
        expect(four(N, whole, t), fit(N, whole, t), "your fit", rtol=1e-6)
    with report("your own sequences: which grow exponentially", 2):
        mine = own("growth")
        rates = mine.permutation([0.0, 0.0, -0.03, 0.02, 0.05])
        powers = mine.uniform(-1, 3, size=5)
        logs = np.outer(rates, OWN_LENGTHS) + np.outer(
            powers, np.log(OWN_LENGTHS)
        )
        logs += 0.05 * mine.normal(size=(5, 14))
        fits = [fit(OWN_LENGTHS, one, 2.20099) for one in logs]
        grows = [float(one[0] - one[2] > 0) for one in fits]
        found = numbers(student.value("own_growing"), (5,), "`own_growing`")
        expect(found, grows, "`own_growing`")


# 4 ----------------------------------------------------------------------------
def sure(slopes, L_0, L_1):
    """The sure step by Newton's method, with a series for small arguments."""
    g = np.asarray(slopes, dtype=float)
    if L_1 == 0:
        return np.full(g.shape, 2 / L_0)
    q = L_1 * g / (L_0 + L_1 * g)
    factorials = np.cumprod(np.arange(1.0, 30))  # 1!, 2!, …
    y = 2 * q
    for _ in range(
        50
    ):  # the function is convex and increasing: from above, down to its zero
        powers = y[..., np.newaxis] ** np.arange(1, 29)
        value = np.sum(powers / factorials[1:], axis=-1) - q
        slope = np.sum(np.arange(1, 29) * powers / factorials[1:], axis=-1) / y
        y = y - value / slope
    return y / (L_1 * g)


def sure_step(student, report, rng, own):
    """Ordinary slopes, the two limits, rounding, shapes."""
    g = 10 ** rng.uniform(-1.5, 1.5, size=9)
    L_0, L_1 = rng.uniform(0.5, 5, size=2)

    def compare(g, *constants, what="your array"):
        found = student.sure_step(g, *constants)
        steps = numbers(found, np.shape(g), "your array")
        expect(steps, sure(g, *constants), what, rtol=2e-7)

    with report("slopes of ordinary size", 5):
        compare(g, L_0, L_1)
    with report("L_1 = 0", 2):
        compare(g, L_0, 0.0)
    with report("L_0 = 0", 2):
        compare(g, 0.0, L_1)
    with report("very small slopes, where rounding counts", 2):
        compare(10 ** rng.uniform(-9, -6, size=5), L_0, L_1)
    with report("very large slopes", 1):
        compare(10 ** rng.uniform(6, 9, size=5), L_0, L_1)
    with report("a number, an array of another shape, integers", 2):
        compare(float(g[0]), L_0, L_1, what="your step size")
        compare(g[:8].reshape(2, 2, 2), L_0, L_1)
        compare(np.array([1, 2, 30]), L_0, L_1)


# 5 ----------------------------------------------------------------------------
def valleys(values, depth):
    """The largest number of valleys, by dynamic programming."""
    v = np.asarray(values, dtype=float)
    ended = np.zeros(
        len(v)
    )  # valleys that are complete with this point as a wall
    begun = np.full(
        len(v), -np.inf
    )  # valleys before the one with this point as its bottom
    for k in range(len(v)):
        walls, bottoms = v[:k] - v[k] >= depth, v[k] - v[:k] >= depth
        begun[k] = np.max(ended[:k][walls], initial=-np.inf)
        ended[k] = np.max(1 + begun[:k][bottoms], initial=0)
    return int(ended.max())


def deep_minima(student, report, rng, own):
    """Random walks, plateaus, ends, exact depths, types, many points, own."""

    def counts(values, *depths):
        found = [student.deep_minima(values, depth) for depth in depths]
        return numbers(found, (len(depths),), "your counts")

    def compare(values, *depths):
        correct = [valleys(values, depth) for depth in depths]
        expect(counts(values, *depths), correct, "your count of valleys")

    with report("random walks and rough lines", 4):
        compare(rng.normal(size=300).cumsum(), 0.5, 2.0, 5.0)
        compare(rng.normal(size=300), 0.1, 1.0, 2.5)
    with report("flat bottoms, shelves and ends", 3):
        steps = rng.integers(-1, 2, size=60).cumsum() + 0.25
        compare(np.repeat(steps, 3), 0.5, 1.5, 2.5)
        compare(np.concatenate([[-20.0], steps, [-20.0]]), 0.5, 1.5)
        compare(np.array([1.0, 1, 0, 0, 1, 1]), 0.5)
    with report("depths that are met exactly", 2):
        compare(rng.integers(0, 6, size=200).astype(float), 1.0, 2.0, 3.0)
    with report("one point, two points, integers without a sign, float32", 1):
        compare(np.array([1.0]), 0.5)
        compare(np.array([1.0, 0.0]), 0.5)
        compare(rng.integers(0, 200, size=100).astype(np.uint8), 20.5, 100.5)
        compare(rng.normal(size=100).astype(np.float32), 0.3)
    with report("100,000 points", 2):
        wave = np.cos(2 * np.pi * 25 * np.linspace(0, 1, 100_001))
        noisy = wave + 1e-9 * rng.normal(size=len(wave))
        expect(counts(noisy, 1.0), [25], "your count")
    with report("your own cost", 2):
        mine, s = own("deep_minima"), np.linspace(-1, 1, 1001)
        cost = 1 + s**2 + 1e-9 * mine.normal(size=1001)
        for waves in (2, 5, 11, 23, 47):
            cost += np.cos(waves * np.pi * s + mine.uniform(0, 7)) / waves
        found = numbers(student.value("own_counts"), (3,), "`own_counts`")
        expect(
            found,
            [valleys(cost, depth) for depth in (1e-6, 0.03, 0.3)],
            "`own_counts`",
        )


# 6 ----------------------------------------------------------------------------
def lipschitz(A, s):
    """L(s)."""
    return float(np.max(s * (np.abs(A) @ (1 / s))))


def smallest_rate(A, c):
    """The smallest L(s): bisection; raised entries solve a linear system."""
    A = np.abs(np.asarray(A, dtype=float))
    low, high = 0.0, A.sum(axis=1).max()
    while high - low > 1e-11 * high:
        rate = low + 0.4971 * (
            high - low
        )  # never exactly an eigenvalue of a simple matrix
        v, raised = np.ones(len(A)), np.zeros(len(A), dtype=bool)
        while np.any(more := (A @ v > rate) & ~raised):
            raised |= more
            M = rate * np.eye(raised.sum()) - A[np.ix_(raised, raised)]
            v[raised] = np.linalg.solve(M, A[raised][:, ~raised].sum(axis=1))
        feasible = v.min() >= 1 - 1e-12 and v.max() <= c
        low, high = (low, rate) if feasible else (rate, high)
    return high


def units(student, report, rng, own):
    """Tight and loose limits, signs, zeros, types, own matrix."""

    def compare(s, A, c, what="your s"):
        s = numbers(s, (len(A),), what)
        if not (np.all(s >= 1 - 1e-9) and np.all(s <= c * (1 + 1e-9))):
            raise Wrong(f"{what} has entries that are not from 1 to c")
        best = smallest_rate(A, c)
        if not lipschitz(A, s) <= best * (1 + 2e-5) + 1e-12:
            raise Wrong(f"{what} does not make L(s) as small as possible")

    def spread(n, decades):
        size = 10 ** rng.uniform(-decades, 0, size=(n, n))
        size[np.diag_indices(n)] *= 0.3  # else the iteration is slow
        return rng.normal(size=(n, n)) * size

    with report("positive entries, where c is more than needed", 3):
        A = np.abs(spread(3, 1)) + 0.05
        compare(student.units(A, 1000.0), A, 1000.0)
    with report("positive entries, where c is not enough", 3):
        for n in (2, 4):
            A = np.abs(spread(n, 3)) + 0.01
            compare(student.units(A, 1.5), A, 1.5)
            compare(student.units(A, 2.5), A, 2.5)
    with report("entries of both signs, up to twelve units", 3):
        for n, c in ((5, 2.0), (12, 4.0)):
            A = spread(n, 2)
            compare(student.units(A, c), A, c)
    with report("zeros: units without a way back, a row of zeros, A = 0", 3):
        A = np.triu(spread(5, 1), 1)
        compare(student.units(A, 20.0), A, 20.0)
        A = spread(4, 1)
        A[1] = 0
        compare(student.units(A, 3.0), A, 3.0)
        compare(student.units(np.zeros((3, 3)), 3.0), np.zeros((3, 3)), 3.0)
    with report("one unit, c = 1, integers", 2):
        compare(student.units(np.array([[-0.7]]), 5.0), np.array([[-0.7]]), 5.0)
        A = spread(4, 1)
        compare(student.units(A, 1.0), A, 1.0)
        A = rng.integers(-4, 5, size=(3, 3)) + 5 * np.eye(3, k=1, dtype=int)
        compare(student.units(A, 3), A, 3)
    with report("your own matrix", 2):
        mine = own("units")
        A = mine.normal(size=(6, 6)) * 10.0 ** mine.uniform(-2, 0, size=(6, 6))
        compare(student.value("own_units"), A, 3.0, "`own_units`")


TASKS = {
    "derivatives": derivatives,
    "bound": bound,
    "growth": growth,
    "sure_step": sure_step,
    "deep_minima": deep_minima,
    "units": units,
}
