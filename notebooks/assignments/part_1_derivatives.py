"""Hidden tests of the first part: derivatives of a leaky network.

The gradients are those of complex steps of the cost, one entry at a time, and
the products with the Hessian those of sensitivities of second order, carried
forwards. The recursion of the answers runs backwards.
"""

import numpy as np
from rnnbook.grading import Wrong, expect

HIDDEN = ("rnnpedagogy", "rnnbook", "autograd")


def run(a, W, x0, u):
    """The states from x_0 on."""
    x = np.broadcast_to(x0, u.shape[1:])
    states = [x]
    for u_t in u:
        x = (1 - a) * x + a * np.tanh(x @ W.T + u_t)
        states.append(x)
    return np.stack(states)


def problem(rng, N, S, n, gain=1.0):
    """Leak, weights, starts, inputs and targets."""
    a, W = rng.uniform(0.2, 0.8), gain * rng.normal(size=(n, n)) / np.sqrt(n)
    return (
        a,
        W,
        rng.normal(size=(S, n)),
        rng.normal(size=(N, S, n)),
        rng.normal(size=(N, S, n)),
    )


def unchanged(arrays, call):
    """The value of a call that must leave its arguments as they were."""
    before = [np.copy(array) for array in arrays]
    value = call(*arrays)
    if any(
        not np.array_equal(*pair) for pair in zip(before, arrays, strict=True)
    ):
        raise Wrong("your function changes its arguments")
    return value


def roll_out(student, report, rng, own):
    """States of a batch of sequences."""
    a, W, x0, u, _ = problem(rng, 7, 3, 4)
    with report("other shapes and numbers", 3):
        expect(
            unchanged((a, W, x0, u), student.roll_out),
            run(a, W, x0, u)[1:],
            "your array of states",
        )
    with report("a leak for each unit", 2):
        leaks = rng.uniform(0.1, 1, 4)
        expect(
            student.roll_out(leaks, W, x0, u),
            run(leaks, W, x0, u)[1:],
            "your array of states",
        )
    with report("one start for all sequences, and no step at all", 2):
        expect(
            student.roll_out(a, W, x0[0], u),
            run(a, W, x0[0], u)[1:],
            "your array of states",
        )
        expect(
            student.roll_out(a, W, x0, u[:0]), u[:0], "your result for N = 0"
        )
    with report("integers as arguments", 1):
        x, v = rng.integers(-3, 4, (2, 3)), rng.integers(-3, 4, (5, 2, 3))
        w = rng.integers(1, 3, (3, 3))
        expect(
            student.roll_out(a, w, x, v),
            run(a, w, x, v)[1:],
            "your array of states",
        )
    with report("your own network", 2):
        mine = own("roll_out")
        leak, W = mine.uniform(0.2, 0.8), mine.normal(size=(5, 5))
        end = run(leak, W, np.zeros(5), mine.normal(size=(30, 4, 5)))[-1]
        expect(student.value("own_end"), end, "own_end", rtol=1e-6)


def cost(x, y, mask):
    """Mean loss over what counts."""
    return np.sum(mask[..., np.newaxis] * (x - y) ** 2) / np.sum(mask)


def masked_cost(student, report, rng, own):
    """Mean loss over what counts, and nothing else."""
    x, y = rng.normal(size=(2, 6, 5, 3))
    mask = (np.arange(6)[:, np.newaxis] < rng.integers(1, 6, 5)).astype(int)
    with report("other shapes and numbers", 3):
        expect(
            unchanged((x, y, mask), student.masked_cost),
            cost(x, y, mask),
            "your cost",
        )
    with report("gaps in the mask, and a mask of False and True", 2):
        gaps = rng.random((6, 5)) < 0.5
        gaps[0, 0], gaps[1, 1] = False, True
        expect(student.masked_cost(x, y, gaps), cost(x, y, gaps), "your cost")
    with report("nan and inf where nothing counts", 3):
        holes = np.where(mask[..., np.newaxis] == 1, [x, y], np.nan)
        holes[0][mask == 0] = np.inf
        value = student.masked_cost(*holes, mask)
        expect(value, cost(x, y, mask), "your cost")
    with report("nothing counts", 1):
        expect(student.masked_cost(x, y, 0 * mask), 0.0, "your cost of nothing")
    with report("float32 and integers", 1):
        huge = (1e25 * np.stack([x, y])).astype(np.float32)
        whole = rng.integers(-99, 99, (2, 6, 5, 3), dtype=np.int8)
        for pair in (huge, whole):
            correct = cost(*pair.astype(float), mask)
            expect(student.masked_cost(*pair, mask), correct, "your cost")


def gradient_of(a, W, x0, u, y, mask):
    """Gradient of the masked cost, by a complex step for each entry."""
    W = np.asarray(W, float)
    result = np.empty(W.shape)
    for place in np.ndindex(W.shape):
        moved = W.astype(complex)
        moved[place] += 1e-100j
        result[place] = cost(run(a, moved, x0, u)[1:], y, mask).imag / 1e-100
    return result


def gradient(student, report, rng, own):
    """Gradient of the masked cost."""

    def check(a, W, x0, u, y, mask, call=student.gradient):
        correct = gradient_of(a, W, x0, u, y, mask)
        found = call(a, W, run(a, W, x0, u), u, y, mask)
        size = np.abs(correct).max()
        expect(found, correct, "your gradient", rtol=1e-7, atol=1e-9 * size)

    a, W, x0, u, y = problem(rng, 8, 1, 3)
    with report("one sequence, all steps count", 4):
        check(a, W, x0, u, y, np.ones((8, 1)))
    a, W, x0, u, y = problem(rng, 9, 5, 4)
    mask = (np.arange(9)[:, np.newaxis] < [9, 3, 5, 2, 7]).astype(int)
    with report("sequences of different lengths", 4):
        check(
            a,
            W,
            x0,
            u,
            y,
            mask,
            lambda *args: unchanged(args, student.gradient),
        )
    with report("only the last step counts, the mask has False and True", 3):
        check(a, W, x0, u, y, np.tile(np.arange(9)[:, np.newaxis] == 8, 5))
    with report("no leak, and one step", 2):
        check(1.0, W, x0, u, y, mask)
        check(a, W, x0, u[:1], y[:1], mask[:1])
    with report("integers as weights and targets", 2):
        whole, aims = rng.integers(-1, 2, (4, 4)), rng.integers(-2, 3, u.shape)
        check(a, whole, x0, u, aims, mask)


def slope_of(a, W, D, x0, u, y):
    """Derivative of the cost along D, by a complex step."""
    x = run(a, W + 1e-100j * D, x0, u)[1:]
    return (np.sum((x - y) ** 2) / len(u)).imag / 1e-100


def slope(student, report, rng, own):
    """Derivative along a direction."""

    def check(*args, call=student.slope, rtol=1e-8):
        expect(call(*args), slope_of(*args), "your slope", rtol=rtol)

    a, W, x0, u, y = problem(rng, 12, 1, 4)
    x0, u, y, D = x0[0], u[:, 0], y[:, 0], rng.normal(size=(4, 4))
    with report("other shapes and numbers", 4):
        check(
            a, W, D, x0, u, y, call=lambda *args: unchanged(args, student.slope)
        )
    with report("one unit, one step, no leak", 2):
        check(a, W[:1, :1], D[:1, :1], x0[:1], u[:, :1], y[:, :1])
        check(1.0, W, D, x0, u[:1], y[:1])
    with report("exact, also along a long and a short direction", 2):
        check(a, W, 1e7 * D, x0, u, y, rtol=1e-10)
        check(a, W, 1e-7 * D, x0, u, y, rtol=1e-10)
    with report("integers as start, weights and direction", 2):
        whole = rng.integers(-1, 2, (2, 4, 4))
        check(a, *whole, rng.integers(1, 3, 4), u, y)


def differences(student, report, rng, own):
    """The difference of four values, and its best step."""

    def four(h):
        return np.polynomial.polynomial.polyval(
            h * np.array([-2, -1, 1, 2]), coefficients
        )

    coefficients = rng.normal(size=5)
    with report("exact for polynomials of degree four", 3):
        h = rng.uniform(0.1, 2)
        expect(
            student.five_point(four(h), h),
            coefficients[1],
            "your difference",
            atol=1e-10,
        )
    with report("several functions at once, values that are integers", 1):
        values, h = rng.integers(-100, 100, (4, 3, 2), dtype=np.int8), 0.3
        stencil = np.array([1, -8, 8, -1]) / (12 * h)
        expect(
            student.five_point(values, h),
            np.tensordot(stencil, values, 1),
            "your difference",
            atol=1e-10,
        )

    def best(M, sigma):
        h = (45 * sigma / (4 * M)) ** 0.2
        return h, h**4 * M / 30 + 3 * sigma / (2 * h)

    def pair(M, sigma):
        found = student.best_step(M, sigma)
        if not isinstance(found, tuple | list | np.ndarray) or len(found) != 2:
            raise Wrong("best_step returns two things, the step and the bound")
        return found

    M, sigma = 10 ** rng.uniform(-3, 6), 10 ** rng.uniform(-16, -3)
    with report("the best step", 3):
        expect(pair(M, sigma)[0], best(M, sigma)[0], "your step")
    with report("the bound at the best step", 2):
        expect(pair(M, sigma)[1], best(M, sigma)[1], "your bound")
    with report("arrays that broadcast", 1):
        M, sigma = (
            10 ** rng.uniform(-3, 6, (4, 1)),
            10 ** rng.uniform(-16, -3, 3),
        )
        for mine, correct in zip(pair(M, sigma), best(M, sigma), strict=True):
            expect(mine, correct, "your step or your bound")


def growth(student, report, rng, own):
    """Norms of products of Jacobians."""
    A = rng.normal(size=(6, 4, 4))
    products = [A[0]]
    for A_t in A[1:]:
        products.append(A_t @ products[-1])
    logs = np.log(np.linalg.norm(products, 2, axis=(1, 2)))
    with report("other shapes and numbers", 2):
        expect(
            unchanged((A,), student.log_norms),
            logs,
            "your array of logarithms",
            atol=1e-10,
        )
    with report(
        "2000 factors, products too large and too small for the machine", 3
    ):
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        t = np.arange(1, 2001)
        for factor in rng.uniform([5, 0.1], [9, 0.2]):
            correct = t * np.log(factor)
            found = student.log_norms(np.tile(factor * turn, (2000, 1, 1)))
            expect(found, correct, "your array of logarithms", atol=1e-8)
    with report("integers as Jacobians", 1):
        whole = np.tile(np.array([[1, 1], [0, 1]]), (50, 1, 1))
        t = np.arange(1, 51)
        correct = np.log((t + np.sqrt(t**2 + 4)) / 2)
        expect(student.log_norms(whole), correct, "your array of logarithms")
    mine = own("growth")
    a = mine.uniform(0.3, 0.7)
    upper = np.triu(mine.normal(size=(6, 6)), 1)
    M = (1 - a) * np.eye(6) + a * (np.diag(mine.uniform(0.6, 0.9, 6)) + upper)
    power, norms = np.eye(6), []
    for _ in range(3000):
        power = M @ power
        norms.append(np.linalg.norm(power, 2))
    norms = np.array(norms)
    with report("your own matrix: its radius", 1):
        expect(
            student.value("own_radius"),
            np.max(np.diag(M)),
            "own_radius",
            rtol=1e-6,
        )
    with report("your own matrix: its peak", 2):
        expect(student.value("own_peak"), norms.max(), "own_peak", rtol=1e-6)
        expect(student.value("own_when"), np.argmax(norms) + 1, "own_when")
    with report("your own matrix: when it is below one for good", 1):
        last = np.max(np.flatnonzero(norms >= 1) + 1, initial=0)
        expect(student.value("own_last"), last, "own_last")


def curvature_of(a, W, D, x0, u, y):
    """Hessian times D: sensitivities along D, each entry of W, and both."""
    n = len(W)
    E = np.eye(n * n).reshape(n * n, n, n)
    x, along, entry, both = (
        x0,
        np.zeros(n),
        np.zeros((n * n, n)),
        np.zeros((n * n, n)),
    )
    total = 0.0
    for u_t, y_t in zip(u, y, strict=True):
        h = np.tanh(W @ x + u_t)
        first, second = 1 - h**2, -2 * h * (1 - h**2)
        z_along = D @ x + W @ along
        z_entry = E @ x + entry @ W.T
        z_both = E @ along + entry @ D.T + both @ W.T
        x = (1 - a) * x + a * h
        along = (1 - a) * along + a * first * z_along
        entry = (1 - a) * entry + a * first * z_entry
        both = (1 - a) * both + a * (
            second * z_along * z_entry + first * z_both
        )
        total = total + 2 * (both @ (x - y_t) + entry @ along)
    return total.reshape(n, n) / len(u)


def curvature(student, report, rng, own):
    """Hessian times a direction."""

    def check(*args, call=student.curvature):
        correct = curvature_of(*args)
        size = np.abs(correct).max()
        expect(
            call(*args), correct, "your product", rtol=1e-8, atol=1e-9 * size
        )

    def draw(N, n):
        a, W, x0, u, y = problem(rng, N, 1, n)
        return a, W, rng.normal(size=(n, n)), x0[0], u[:, 0], y[:, 0]

    with report("other shapes and numbers", 5):
        check(
            *draw(9, 4), call=lambda *args: unchanged(args, student.curvature)
        )
    with report("one unit, one step, no leak", 2):
        check(*draw(15, 1))
        _, *others = draw(1, 3)
        check(1.0, *others)
    with report("very large, very small and no directions", 3):
        a, W, D, x0, u, y = draw(10, 3)
        for size in (1e6, 1e-6, 0.0):
            check(a, W, size * D, x0, u, y)
    with report("integers as weights, direction and start", 2):
        a, _, _, _, u, y = draw(6, 3)
        check(a, *rng.integers(-1, 2, (2, 3, 3)), rng.integers(1, 3, 3), u, y)
    with report("sixty units, in a few seconds", 3):
        a, W, D, x0, u, y = draw(100, 60)
        other = rng.normal(size=(60, 60))
        found = np.asarray(student.curvature(a, W, D, x0, u, y))
        expect(found.shape, (60, 60), "the shape of your product")
        x, along, across, both, total = x0, 0 * x0, 0 * x0, 0 * x0, 0.0
        for u_t, y_t in zip(u, y, strict=True):
            h = np.tanh(W @ x + u_t)
            first, second = 1 - h**2, -2 * h * (1 - h**2)
            z, v = D @ x + W @ along, other @ x + W @ across
            w = other @ along + D @ across + W @ both
            x = (1 - a) * x + a * h
            along = (1 - a) * along + a * first * z
            across = (1 - a) * across + a * first * v
            both = (1 - a) * both + a * (second * z * v + first * w)
            total += 2 * (both @ (x - y_t) + across @ along)
        expect(np.sum(found * other), total / 100, "your product", rtol=1e-6)


TASKS = {
    "roll_out": roll_out,
    "masked_cost": masked_cost,
    "gradient": gradient,
    "slope": slope,
    "differences": differences,
    "growth": growth,
    "curvature": curvature,
}
