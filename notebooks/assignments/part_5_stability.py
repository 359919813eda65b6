"""Hidden tests of coursework V, stable and orthogonal networks."""

import numpy as np
from rnnbook.grading import Wrong, expect

HIDDEN = ("rnnpedagogy", "rnnbook", "autograd")


def several(found, count, what):
    """The values that a function returned, if it is `count` of them."""
    if not isinstance(found, tuple | list) or len(found) != count:
        raise Wrong(f"{what} returns a tuple of {count}")
    return found


def whole(found, what):
    """An integer, as a number of any type."""
    try:
        number = float(found)
    except (TypeError, ValueError):
        raise Wrong(f"{what} is no number") from None
    if not number.is_integer():
        raise Wrong(f"{what} is no integer")
    return int(number)


# 1


def brackets(M, steps):
    """Weights after some steps, and their brackets."""
    w = np.ones(len(M))
    for _ in range(steps):
        w = M.T @ w
        w = w / w.max()
    ratios = M.T @ w / w
    return w, ratios.min(), ratios.max()


def sum_norm(student, report, rng, own):
    """Task 1."""

    def compare(M, steps, rtol=1e-9):
        names = (
            "the vector of your weights",
            "your smallest ratio",
            "your largest ratio",
        )
        found = several(student.sum_norm(M, steps), 3, "`sum_norm`")
        for one, right, name in zip(
            found, brackets(M, steps), names, strict=True
        ):
            expect(one, right, name, rtol=rtol)

    with report("two units, no step and a few", 2):
        M = rng.uniform(0.1, 1.0, (2, 2))
        compare(M, 0)
        compare(M, 3)
    with report("more units", 3):
        for n in (3, 7):
            compare(rng.uniform(0.01, 1.0, (n, n)), int(rng.integers(2, 6)))
    with report("a single unit", 1):
        compare(rng.uniform(0.1, 2.0, (1, 1)), 2)
    with report("integers", 1):
        compare(rng.integers(1, 9, (4, 4)), 3)
    with report("thousands of steps, large and small entries", 3):
        for scale in (1e3, 1e-3):
            M = scale * rng.uniform(0.1, 1.0, (5, 5))
            found = several(student.sum_norm(M, 3000), 3, "`sum_norm`")
            root = np.abs(np.linalg.eigvals(M)).max()
            expect(
                found[1:],
                [root, root],
                "after 3,000 steps, the pair of your ratios",
            )
            expect(
                found[0],
                brackets(M, 3000)[0],
                "after 3,000 steps, the vector of your weights",
            )


# 2


def logistic(z):
    """The gate, safe for large arguments."""
    return 0.5 * (1 + np.tanh(z / 2))


def rows_of_unit(W_f, W_n, lo_f, hi_f, lo_n, hi_n, *, together=True):
    """The bounds; without `together` two gates of a unit are bounded apart."""
    bounds = []
    q = np.abs(W_f).sum(axis=1)
    most = logistic(hi_f + q)
    least = logistic(lo_f - q)
    s = np.zeros(len(q))
    for j in range(len(q)):
        ends = sorted([abs(lo_f[j] - q[j]), abs(hi_f[j] + q[j])])
        inside = lo_f[j] - q[j] <= 0 <= hi_f[j] + q[j]
        s[j] = 0.25 / np.cosh(0 if inside else ends[0] / 2) ** 2
    for j in range(len(q)):
        p = np.abs(W_n[j]) @ most
        low, high = lo_n[j] - p, hi_n[j] + p
        t = (
            1.0
            if low <= 0 <= high
            else 1 - np.tanh(min(abs(low), abs(high))) ** 2
        )
        n = np.tanh(max(abs(low), abs(high)))
        inner = sum(
            abs(W_n[j, k]) * (most[k] + s[k] * q[k]) for k in range(len(q))
        )
        first = (1 + n) * s[j] * q[j]
        both = [1 - f + f * t * inner for f in (least[j], most[j])]
        apart = 1 - least[j] + most[j] * t * inner
        bounds.append(first + (max(both) if together else apart))
    return np.array(bounds)


def mgu_rows(student, report, rng, own):
    """Task 2."""
    what = "your bound"
    apart = "the gate of a unit is the same number in 1 − f and in front of n"

    def compare(*arguments):
        mistakes = {apart: rows_of_unit(*arguments, together=False)}
        found = student.mgu_rows(*arguments)
        expect(found, rows_of_unit(*arguments), what, mistakes=mistakes)

    def draw(n, size, f=0.0, v=0.0):
        width = rng.uniform(0.05, 0.5, (2, n))
        matrices = size * rng.normal(size=(2, n, n)) / n
        return *matrices, f - width[0], f + width[0], v - width[1], v + width[1]

    with report("three units, arguments around zero", 3):
        compare(*draw(3, 1.0))
    with report("other numbers of units, one among them", 3):
        for n in (1, 2, 6):
            compare(*draw(n, 1.0, f=rng.uniform(-0.2, 0.2)))
    with report("arguments on one side of zero: above", 2):
        compare(*draw(4, 0.3, f=2.0, v=2.5))
    with report("arguments on one side of zero: below", 2):
        compare(*draw(4, 0.3, f=-2.0, v=-2.5))
    with report(
        "rows that are largest where the gate is open, and where it is not",
        2,
    ):
        W_f, W_n, *bounds = draw(5, 0.2, f=0.3)
        for size in (0.0, 20.0):
            compare(W_f, size * W_n, *bounds)
    with report("no recurrent weights, known inputs", 2):
        a_f, a_n = rng.normal(size=(2, 3))
        zero = np.zeros((3, 3))
        found = student.mgu_rows(zero, zero, a_f, a_f, a_n, a_n)
        expect(found, 1 - logistic(a_f), what)


# 3


def smallest_window(rate, v, b, q, delta, eps):
    """The answer, from all bounds at once."""
    k = np.arange(60_000)
    shrunk = rate**k
    errors = np.array([np.sum(np.abs(q) * v)]) * (
        shrunk * np.max(b / v) + delta * (1 - shrunk) / (1 - rate)
    )
    good = np.flatnonzero(errors <= eps)
    return int(good[0]) if len(good) else -1


def window(student, report, rng, own):
    """Task 3."""

    def draw(n, rate, delta, share):
        """An `eps` that is a share of the first error less the last."""
        v, b = rng.uniform(0.2, 3.0, (2, n))
        q = rng.normal(size=n)
        gain, last = np.sum(np.abs(q) * v), delta / (1 - rate)
        eps = gain * (last + share * (np.max(b / v) - last))
        return rate, v, b, q, delta, eps

    def compare(*arguments):
        right = smallest_window(*arguments)
        found = whole(student.window(*arguments), "your number of inputs")
        mistakes = {
            "your number of inputs is one too large": right + 1,
            "your number of inputs is one too small": right - 1,
        }
        expect(
            found,
            right,
            "your number of inputs",
            mistakes=mistakes if right > 0 else None,
        )

    with report("several units, no errors", 3):
        for n in (1, 3, 8):
            compare(
                *draw(n, rng.uniform(0.7, 0.95), 0.0, rng.uniform(0.01, 0.1))
            )
    with report("several units, errors in each step", 2):
        for n in (2, 5):
            compare(
                *draw(n, rng.uniform(0.7, 0.95), rng.uniform(0.001, 0.01), 0.05)
            )
    with report("contraction within one step, and slow contraction", 1):
        compare(*draw(3, 0.0, 0.0, 0.01))
        compare(*draw(3, 0.999, 1e-6, 0.01))
    with report("no step, or no number of steps", 2):
        compare(*draw(3, 0.9, 0.0, 1.5))
        rate, v, b, q, delta, _ = draw(3, 0.9, 0.01, 0.1)
        compare(rate, v, b, q, delta, 0.09 * np.sum(np.abs(q) * v))
        first = np.sum(np.abs(q) * v) * np.max(
            b / v
        )  # few errors at first, more later
        compare(rate, v, b, q, np.max(b / v), 1.1 * first)
    with report("your own network", 2):
        mine = own("window")
        rate = mine.uniform(0.8, 0.95)
        v, b, q = (
            mine.uniform(0.2, 1.0, 4),
            mine.uniform(0.5, 2.0, 4),
            mine.normal(size=4),
        )
        right = smallest_window(rate, v, b, q, 1e-4, mine.uniform(0.05, 0.1))
        expect(
            whole(student.value("my_window"), "`my_window`"),
            right,
            "`my_window`",
        )


# 4


def rotation(entries, signs):
    """The matrix W."""
    n = len(signs)
    S, at = np.zeros((n, n)), 0
    for j in range(n):
        for k in range(j + 1, n):
            S[j, k], S[k, j] = entries[at], -entries[at]
            at += 1
    return (2 * np.linalg.inv(np.eye(n) + S) - np.eye(n)) @ np.diag(signs)


def slopes_of_rotation(entries, signs, G):
    """The derivatives, one entry after the other: dW = −2 B dS B D."""
    n = len(signs)
    B = (rotation(entries, signs) @ np.diag(signs) + np.eye(n)) / 2
    slopes = []
    for j in range(n):
        for k in range(j + 1, n):
            dS = np.zeros((n, n))
            dS[j, k], dS[k, j] = 1, -1
            slopes.append(np.sum(G * (-2 * B @ dS @ B @ np.diag(signs))))
    return np.array(slopes)


def signed_cayley(student, report, rng, own):
    """Task 4."""

    def draw(n, one=False):
        signs = np.ones(n) if one else rng.choice([-1.0, 1.0], n)
        return rng.normal(size=n * (n - 1) // 2), signs

    def compare(entries, signs):
        expect(
            student.signed_cayley(entries, signs),
            rotation(entries, signs),
            "your W",
            rtol=1e-9,
            atol=1e-12,
            mistakes={
                "your S has the other sign": rotation(-entries, signs),
                "the order of the entries is row by row": rotation(
                    entries[::-1], signs
                ),
            },
        )

    def compare_slopes(entries, signs):
        G = rng.normal(size=(len(signs), len(signs)))
        right = slopes_of_rotation(entries, signs, G)
        found = student.signed_cayley_gradient(entries, signs, G)
        expect(found, right, "your gradient", rtol=1e-11, atol=1e-12)

    with report("W in the plane", 2):
        for _ in range(2):
            compare(*draw(2))
    with report("W for more units", 3):
        compare(*draw(4))
        compare(*draw(7))
    with report("the gradient, all signs positive", 3):
        for n in (2, 5):
            compare_slopes(*draw(n, one=True))
    with report("the gradient, all combinations of signs", 3):
        for n in (2, 6):
            entries, signs = draw(n)
            signs[0], signs[-1] = 1, -1
            compare_slopes(entries, signs)
    with report("a gradient that is zero where V does not depend on W", 1):
        entries, signs = draw(3)
        W = rotation(entries, signs)  # V = |W|² / 2 is constant
        found = student.signed_cayley_gradient(entries, signs, W)
        expect(found, np.zeros(3), "the gradient of |W|²/2", atol=1e-11)
        compare_slopes(entries, signs)
    with report("a single unit", 2):
        none, sign = np.zeros(0), np.array([-1.0])
        expect(
            student.signed_cayley(none, sign), [[-1.0]], "your W of one unit"
        )
        found = student.signed_cayley_gradient(none, sign, np.ones((1, 1)))
        expect(found, none, "the gradient without entries")


# 5


def reflect(student, report, rng, own):
    """Task 5."""

    def product(Y):
        W = np.eye(Y.shape[1])
        for y in Y:
            W = W @ (np.eye(len(y)) - 2 * np.outer(y, y) / np.sum(y**2))
        return W

    def compare(Y, X):
        W = product(Y)
        order = "the order of the reflections is the other way round"
        expect(
            student.reflect(Y, X),
            X @ W.T,
            "W x",
            atol=1e-11,
            mistakes={order: X @ W},
        )

    with report("a batch of states, vectors of all lengths", 2):
        Y = rng.normal(size=(3, 4)) * np.array([[0.1], [1.0], [10.0]])
        compare(Y, rng.normal(size=(5, 4)))
    with report(
        "as many states as units, a single state, several leading axes", 2
    ):
        for shape in ((4, 4), (4,), (2, 3, 4)):
            compare(rng.normal(size=(2, 4)), rng.normal(size=shape))
    with report("the inverse", 2):
        Y, X = rng.normal(size=(4, 6)), rng.normal(size=(3, 6))
        expect(student.unreflect(Y, X), X @ product(Y), "W⁻¹ x", atol=1e-11)
        x = rng.normal(size=6)
        expect(
            student.unreflect(Y, x),
            x @ product(Y),
            "W⁻¹ x of a single state",
            atol=1e-11,
        )
    with report("no reflection, and integers", 1):
        X = rng.integers(-5, 5, (3, 4))
        expect(
            student.reflect(np.zeros((0, 4)), X), X, "x without a reflection"
        )
        compare(rng.integers(1, 5, (2, 4)), X)
    with report("several hundred thousand units", 3):
        n = 400_000
        Y, X = np.zeros((2, n)), rng.normal(size=(2, n))
        Y[0, :3], Y[1, -3:], Y[1, 0] = (
            rng.normal(size=3),
            rng.normal(size=3),
            1.0,
        )
        right = X.copy()
        places = [0, 1, 2, -3, -2, -1]
        right[:, places] = X[:, places] @ product(Y[:, places]).T
        expect(student.reflect(Y, X), right, "W x", atol=1e-11)


# 6


def ring_by_series(a, s, n, lags):
    """Shares and total from Stein's equation, whatever the matrix."""
    A = a * np.roll(np.eye(n), 1, axis=0)
    noise = s**2 * np.eye(n)
    drive = np.zeros((n, n))
    drive[0, 0] = 1
    big = np.eye(n * n) - np.kron(A, A)
    C_u = np.linalg.solve(big, drive.ravel()).reshape(n, n)
    C = C_u + np.linalg.solve(big, noise.ravel()).reshape(n, n)
    response, shares = np.eye(n)[0], []
    for _ in range(lags):
        shares.append(response @ np.linalg.solve(C, response))
        response = A @ response
    return np.array(shares), np.trace(np.linalg.solve(C, C_u))


def ring_memory(student, report, rng, own):
    """Task 6."""

    def compare(a, s, n, lags):
        shares, total = ring_by_series(a, s, n, lags)
        found = several(student.ring_memory(a, s, n, lags), 2, "`ring_memory`")
        expect(found[0], shares, "your array of shares", rtol=1e-8)
        expect(
            found[1],
            total,
            "your sum over all lags",
            rtol=1e-8,
            mistakes={
                "your sum ends with the shares that are returned": shares.sum()
            },
        )

    with report("a single unit", 1):
        compare(rng.uniform(0.3, 0.9), rng.uniform(0.2, 2.0), 1, 5)
    with report("more units, lags within one round", 2):
        compare(rng.uniform(0.3, 0.9), rng.uniform(0.2, 2.0), 6, 4)
    with report("lags of several rounds", 2):
        for n in (3, 5):
            compare(rng.uniform(0.6, 0.9), rng.uniform(0.1, 1.0), n, 4 * n + 1)
    with report("no disturbances", 1):
        compare(rng.uniform(0.5, 0.9), 0.0, 5, 12)
    with report("slow decay", 2):
        compare(0.9999, rng.uniform(0.01, 0.1), 4, 30)
    with report("your own network", 2):
        mine = own("ring_memory")
        n, s = int(mine.integers(5, 13)), mine.uniform(0.1, 0.5)
        a = np.arange(1, 100) / 100
        a2, i = a[:, np.newaxis] ** 2, np.arange(n)
        of_inputs = a2**i
        of_noise = s**2 * (1 - a2**n) / (1 - a2)
        totals = np.sum(of_inputs / (of_inputs + of_noise), axis=1)
        right = a[totals >= 0.9 * totals.max()][0]
        expect(
            student.value("my_decay"),
            right,
            "`my_decay`",
            mistakes={
                "`my_decay` is where the total is largest": a[totals.argmax()]
            },
        )


# 7


def gated_scan(student, report, rng, own):
    """Task 7."""

    def run(lam, drive, z0):
        z, states = np.array(z0, float), []
        for gate, d in zip(lam, drive, strict=True):
            z = gate * z + d
            states.append(z)
        return np.array(states)

    def slopes(lam, z0, z, g):
        mu, d_lam, d_drive = (
            np.zeros_like(z0),
            np.zeros(z.shape),
            np.zeros(z.shape),
        )
        before = [z0, *z[:-1]]
        for t in reversed(range(len(z))):
            mu = g[t] + mu
            d_lam[t], d_drive[t] = mu * before[t], mu
            mu = lam[t] * mu
        return d_lam, d_drive, mu

    def draw(N, m):
        lam, drive, g = rng.uniform(0, 1, (N, m)), *rng.normal(size=(2, N, m))
        z0 = rng.normal(size=m)
        return lam, drive, z0, run(lam, drive, z0), g

    def gradient(lam, z0, z, g, parts=(0, 1, 2)):
        found = several(
            student.gated_gradient(lam, z0, z, g), 3, "`gated_gradient`"
        )
        right = slopes(lam, z0, z, g)
        names = ("λ", "d", "z_0")
        for i in parts:
            what = f"your derivative with respect to {names[i]}"
            expect(found[i], right[i], what, rtol=1e-9, atol=1e-12)

    def compare(*maps):
        a, b, c, d = maps
        found = several(student.combine(*maps), 2, "`combine`")
        expect(found[0], c * a, "the λ of both maps together")
        expect(found[1], c * b + d, "the d of both maps together", atol=1e-12)

    with report("two maps as one", 2):
        compare(*rng.normal(size=(4, 3)))
    with report("many pairs of maps, gates that are shut", 2):
        maps = rng.normal(size=(4, 5, 1, 4))
        maps[::2] *= rng.integers(0, 2, (2, 5, 1, 4))
        compare(*maps)
    lam, _, z0, z, g = draw(11, 3)
    with report("the derivative with respect to d", 2):
        gradient(lam, z0, z, g, parts=(1,))
    with report("the derivative with respect to λ", 2):
        gradient(lam, z0, z, g, parts=(0,))
    with report("the derivative with respect to z_0", 1):
        gradient(lam, z0, z, g, parts=(2,))
    with report("one step, one unit, and two", 1):
        for N in (1, 2):
            lam, _, z0, z, g = draw(N, 1)
            gradient(lam, z0, z, g)
    with report("gates that are shut, and thousands of steps", 2):
        lam, drive, z0, _, g = draw(3000, 2)
        lam[rng.random(lam.shape) < 0.2] = 0
        gradient(lam, z0, run(lam, drive, z0), g)


TASKS = {
    "sum_norm": sum_norm,
    "mgu_rows": mgu_rows,
    "window": window,
    "signed_cayley": signed_cayley,
    "reflect": reflect,
    "ring_memory": ring_memory,
    "gated_scan": gated_scan,
}
