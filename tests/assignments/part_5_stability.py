"""Answers to coursework V: wrong ones that must lose points, right ones that must not."""

from coursework import but

SUM = """
def sum_norm(M, steps):
    w = np.ones(len(M))
    for _ in range(steps):
        w = w @ M
        w = w / w.max()
    ratios = w @ M / w
    return w, ratios.min(), ratios.max()
"""

MGU = """
def mgu_rows(W_f, W_n, lo_f, hi_f, lo_n, hi_n):
    def slope(low, high, of):
        z = np.where(low > 0, low, np.where(high < 0, high, 0.0))
        return of(z)

    q = np.abs(W_f) @ np.ones(len(W_f))
    shut, open_ = 1 / (1 + np.exp(q - lo_f)), 1 / (1 + np.exp(-q - hi_f))
    s = slope(lo_f - q, hi_f + q, lambda z: 1 / (2 + np.exp(z) + np.exp(-z)))
    p = np.abs(W_n) @ open_
    t = slope(lo_n - p, hi_n + p, lambda z: 1 / np.cosh(z) ** 2)
    n = np.tanh(np.maximum(p - lo_n, hi_n + p))
    inner = t * (np.abs(W_n) @ (open_ + s * q))
    first = (1 + n) * s * q
    return first + np.maximum(1 - shut + shut * inner, 1 - open_ + open_ * inner)
"""

WINDOW = """
def window(rate, v, b, q, delta, eps):
    gain, D = np.sum(np.abs(q) * v), np.max(b / v)
    k = np.arange(50_001)
    errors = gain * (rate**k * D + delta * (1 - rate**k) / (1 - rate))
    good = np.flatnonzero(errors <= eps)
    return int(good[0]) if len(good) else -1


my_window = window(my_rate, my_v, my_b, my_q, my_delta, my_eps)
"""

CAYLEY = """
def skew(entries, n):
    S = np.zeros((n, n))
    S[np.triu_indices(n, 1)] = entries
    return S - S.T


def signed_cayley(entries, signs):
    n = len(signs)
    S = skew(entries, n)
    return np.linalg.inv(np.eye(n) + S) @ (np.eye(n) - S) @ np.diag(signs)


def signed_cayley_gradient(entries, signs, G):
    n = len(signs)
    B = np.linalg.inv(np.eye(n) - skew(entries, n))
    Z = -2 * B @ G @ np.diag(signs) @ B
    return (Z - Z.T)[np.triu_indices(n, 1)]
"""

REFLECT = """
def reflect(Y, X):
    Z = np.array(X, float)
    for i in range(len(Y) - 1, -1, -1):
        y = Y[i] / np.linalg.norm(Y[i])
        Z = Z - 2 * np.multiply.outer(Z @ y, y)
    return Z


def unreflect(Y, X):
    Z = np.array(X, float)
    for y in Y:
        y = y / np.linalg.norm(y)
        Z = Z - 2 * np.multiply.outer(Z @ y, y)
    return Z
"""

RING = """
def ring_memory(a, s, n, lags):
    q = a * a
    first = np.array([q**i / (1 - q**n) for i in range(n)])
    signal = first / (first + s * s / (1 - q))
    shares = [
        (1 - q**n) * q ** (n * (k // n)) * signal[k % n] for k in range(lags)
    ]
    return np.array(shares), signal.sum()


values = np.linspace(0.01, 0.99, 99)
totals = [ring_memory(a, my_s, my_n, 1)[1] for a in values]
my_decay = values[np.argmax(np.array(totals) >= 0.9 * max(totals))]
"""

SCAN = """
def combine(lam1, d1, lam2, d2):
    return lam2 * lam1, d2 + lam2 * d1


def gated_gradient(lam, z0, z, g):
    d_lam, mu = np.zeros(z.shape), np.array(g, float)
    for t in range(len(z) - 2, -1, -1):
        mu[t] += lam[t + 1] * mu[t + 1]
    d_lam[0] = mu[0] * z0
    d_lam[1:] = mu[1:] * z[:-1]
    return d_lam, mu, lam[0] * mu[0]
"""

STEIN = """
def ring_memory(a, s, n, lags):
    A, C_u, C = a * np.roll(np.eye(n), 1, axis=0), np.zeros((n, n)), np.zeros((n, n))
    C_u[0, 0] = 1
    C = C_u + s**2 * np.eye(n)
    power = A
    for _ in range(40):  # doubles the number of terms
        C_u, C = C_u + power @ C_u @ power.T, C + power @ C @ power.T
        power = power @ power
    b, shares = np.eye(n)[0], []
    for _ in range(lags):
        shares.append(b @ np.linalg.solve(C, b))
        b = A @ b
    return np.array(shares), np.trace(np.linalg.solve(C, C_u))


grid = np.arange(1, 100) / 100
totals = np.array([ring_memory(a, my_s, my_n, 1)[1] for a in grid])
my_decay = min(grid[totals >= 0.9 * totals.max()])
"""


WRONG = {
    "sum_norm": {
        "rows in place of columns": SUM.replace("w @ M", "M @ w"),
        "one step too many": but(SUM, ("range(steps)", "range(steps + 1)")),
        "lower and upper exchanged": but(
            SUM, ("ratios.min(), ratios.max()", "ratios.max(), ratios.min()")
        ),
        "weights that sum to one": but(SUM, ("w.max()", "w.sum()")),
        "weights are never divided": but(SUM, ("        w = w / w.max()\n", "")),
        "in the type of M": but(SUM, ("np.ones(len(M))", "np.ones(len(M), M.dtype)")).replace(
            "w = w / w.max()", "w = (w / w.max()).astype(M.dtype)"
        ),
        "the Perron root whatever the steps": (
            "def sum_norm(M, steps):\n"
            "    values, vectors = np.linalg.eig(M.T)\n"
            "    i = np.argmax(values.real)\n"
            "    w = np.abs(vectors[:, i].real)\n"
            "    return w / w.max(), values[i].real, values[i].real\n"
        ),
        "the numbers of the visible test": (
            "def sum_norm(M, steps):\n"
            "    w = np.array([1, 0.3 / 1.1]) if steps else np.ones(2)\n"
            "    return (w, 0.3, 1.1) if steps < 2 else (w, 0.5, 0.5)\n"
        ),
        "one ratio for both brackets": but(SUM, ("ratios.min()", "ratios.max()")),
    },
    "mgu_rows": {
        "every gate within zero and one": but(
            MGU, ("inner = t", "shut, open_ = 0 * q, 0 * q + 1\n    inner = t")
        ),
        "every slope at its largest": but(
            MGU, ("        return of(z)", "        return of(0 * z)")
        ),
        "the slope at an end of the interval": but(
            MGU, ("np.where(low > 0, low, np.where(high < 0, high, 0.0))", "high")
        ),
        "two gates of one unit": but(
            MGU,
            (
                "np.maximum(1 - shut + shut * inner, 1 - open_ + open_ * inner)",
                "1 - shut + open_ * inner",
            ),
        ),
        "only the open gate": but(
            MGU,
            (
                "np.maximum(1 - shut + shut * inner, 1 - open_ + open_ * inner)",
                "1 - open_ + open_ * inner",
            ),
        ),
        "only the shut gate": but(
            MGU,
            (
                "np.maximum(1 - shut + shut * inner, 1 - open_ + open_ * inner)",
                "1 - shut + shut * inner",
            ),
        ),
        "the gate is not differentiated inside": but(MGU, ("(open_ + s * q)", "open_")),
        "n − h bounded by n": but(MGU, ("(1 + n) * s", "n * s")),
        "the columns of W": but(MGU, ("np.abs(W_f) @", "np.abs(W_f.T) @")),
        "no gate in front of n": but(MGU, ("p = np.abs(W_n) @ open_", "p = np.abs(W_n).sum(1)")),
        "the box without inputs": but(MGU, ("q = np", "lo_f = hi_f = 0 * lo_f\n    q = np")),
    },
    "window": {
        "one too many": but(WINDOW, ("int(good[0])", "int(good[0]) + 1")),
        "one too few": but(WINDOW, ("int(good[0])", "int(good[0]) - 1")),
        "no errors": but(WINDOW, ("delta * (1 - rate**k) / (1 - rate)", "0")),
        "the last error only": but(WINDOW, ("delta * (1 - rate**k) / (1 - rate)", "delta")),
        "the errors of for ever": but(WINDOW, ("delta * (1 - rate**k)", "delta")),
        "the sign of the readout": but(WINDOW, ("np.abs(q) * v", "q * v")),
        "the readout without weights": but(WINDOW, ("np.abs(q) * v", "np.abs(q)")),
        "divided by the weights": but(WINDOW, ("np.abs(q) * v", "np.abs(q) / v")),
        "the box is twice as wide": but(WINDOW, ("np.max(b / v)", "2 * np.max(b / v)")),
        "zero in place of −1": but(WINDOW, ("else -1", "else 0")),
        "at least one step": but(WINDOW, ("int(good[0])", "max(1, int(good[0]))")),
        "the numbers of the visible test": (
            "def window(rate, v, b, q, delta, eps):\n"
            "    return {0: 0 if eps > 1 else 4, 0.06: -1, 0.03: 5}.get(delta, 20)\n\n\n"
            "my_window = 20\n"
        ),
        "somebody else's answer": but(WINDOW, ("my_window = ", "my_window = 3 + ")),
    },
    "signed_cayley": {
        "the sign of S": but(CAYLEY, ("return S - S.T", "return S.T - S")),
        "S halved": but(CAYLEY, ("return S - S.T", "return (S - S.T) / 2")),
        "signs of rows": but(
            CAYLEY,
            (
                "np.linalg.inv(np.eye(n) + S) @ (np.eye(n) - S) @ np.diag(signs)",
                "np.diag(signs) @ np.linalg.inv(np.eye(n) + S) @ (np.eye(n) - S)",
            ),
        ),
        "the entry above alone": but(CAYLEY, ("(Z - Z.T)", "Z")),
        "plus in place of minus": but(CAYLEY, ("(Z - Z.T)", "(Z + Z.T)")),
        "the wrong sign of the gradient": but(CAYLEY, ("-2 * B", "2 * B")),
        "the gradient of the book": but(CAYLEY, ("-2 * B", "B")),
        "the inverse is not transposed": but(
            CAYLEY, ("np.eye(n) - skew(entries, n)", "np.eye(n) + skew(entries, n)")
        ),
        "no signs in the gradient": but(CAYLEY, ("G @ np.diag(signs) @ B", "G @ B")),
        "entries column by column": but(
            CAYLEY, ("S[np.triu_indices(n, 1)] = entries", "S.T[np.tril_indices(n, -1)] = entries")
        ),
        "right in the plane only": (
            "def signed_cayley(entries, signs):\n"
            "    s = entries[0]\n"
            "    W = np.array([[1 - s * s, -2 * s], [2 * s, 1 - s * s]]) / (1 + s * s)\n"
            "    return W * signs\n\n\n"
            "def signed_cayley_gradient(entries, signs, G):\n"
            "    s = entries[0]\n"
            "    dW = np.array([[-2 * s, s * s - 1], [1 - s * s, -2 * s]])\n"
            "    return np.array([np.sum(G * signs * dW)]) * 2 / (1 + s * s) ** 2\n"
        ),
        "finite differences": CAYLEY.split("def signed_cayley_gradient")[0]
        + (
            "def signed_cayley_gradient(entries, signs, G):\n"
            "    h, slopes = 1e-5, []\n"
            "    for e in h * np.eye(len(entries)):\n"
            "        W = signed_cayley(entries + e, signs) - signed_cayley(entries - e, signs)\n"
            "        slopes.append(np.sum(G * W) / (2 * h))\n"
            "    return np.array(slopes)\n"
        ),
    },
    "reflect": {
        "the order is turned round": but(REFLECT, ("range(len(Y) - 1, -1, -1)", "range(len(Y))")),
        "vectors taken to have length one": REFLECT.replace(" / np.linalg.norm(Y[i])", ""),
        "divided by the length once": REFLECT.replace(
            "np.linalg.norm(Y[i])", "np.linalg.norm(Y[i]) ** 0.5"
        ),
        "a projection": REFLECT.replace("2 * np.multiply", "np.multiply"),
        "the wrong sign": REFLECT.replace("Z - 2", "Z + 2"),
        "the inverse is the map itself": REFLECT.split("def unreflect")[0]
        + "def unreflect(Y, X):\n    return reflect(Y, X)\n",
        "batches only": REFLECT.replace(
            "np.multiply.outer(Z @ y, y)", "np.outer(Z @ y, y).reshape(len(Z), -1)"
        ),
        "with the matrix": (
            "def matrix(Y):\n"
            "    W = np.eye(Y.shape[1])\n"
            "    for y in Y:\n"
            "        W = W @ (np.eye(len(y)) - 2 * np.outer(y, y) / (y @ y))\n"
            "    return W\n\n\n"
            "def reflect(Y, X):\n    return X @ matrix(Y).T\n\n\n"
            "def unreflect(Y, X):\n    return X @ matrix(Y)\n"
        ),
        "one reflection": REFLECT.replace("range(len(Y) - 1, -1, -1)", "range(1)"),
        "in the type of the states": REFLECT.replace("np.array(X, float)", "X.copy()")
        .replace("Z = Z - 2 *", "Z -= 2 *")
        .replace("outer(Z @ y, y)", "outer(Z @ y, y).astype(Z.dtype)"),
    },
    "ring_memory": {
        "every unit has the variance of one neuron": but(
            RING, ("q**i / (1 - q**n)", "q**0 / (1 - q)")
        ),
        "the standard deviation for the variance": but(RING, ("s * s / (1 - q)", "s / (1 - q)")),
        "noise that is not passed on": but(RING, ("s * s / (1 - q)", "s * s")),
        "noise of the first unit alone": but(RING, ("s * s / (1 - q)", "s * s / (1 - q**n)")),
        "a in place of its square": but(RING, ("q = a * a", "q = a")),
        "the sum is cut": but(RING, ("signal.sum()", "sum(shares)")),
        "lags counted from one": but(RING, ("for k in range(lags)", "for k in range(1, lags + 1)")),
        "one round only": but(RING, ("q ** (n * (k // n))", "(k < n)")),
        "the formula of one unit": (
            "def ring_memory(a, s, n, lags):\n"
            "    shares = (1 - a**2) * a ** (2 * np.arange(lags)) / (1 + s**2)\n"
            "    return shares, 1 / (1 + s**2)\n\n\n"
            "my_decay = 0.01\n"
        ),
        "every unit remembers as one": (
            "def ring_memory(a, s, n, lags):\n"
            "    q = a ** (2 * n)\n"
            "    k = np.arange(lags) // n\n"
            "    return (1 - q) * q**k / (1 + s**2), n / (1 + s**2)\n\n\n"
            "my_decay = 0.01\n"
        ),
        "where the total is largest": but(
            RING, ("np.argmax(np.array(totals) >= 0.9 * max(totals))", "np.argmax(totals)")
        ),
        "a series of 200 steps": but(STEIN, ("range(40)", "range(7)")),
    },
    "gated_scan": {
        "the order of the two maps": but(SCAN, ("d2 + lam2 * d1", "d1 + lam1 * d2")),
        "the d of the first is lost on the way": but(SCAN, ("d2 + lam2 * d1", "d2 + d1")),
        "gates are added": but(SCAN, ("return lam2 * lam1", "return lam2 + lam1")),
        "its own gate": but(SCAN, ("lam[t + 1] * mu[t + 1]", "lam[t] * mu[t + 1]")),
        "the state after the step": but(SCAN, ("mu[1:] * z[:-1]", "mu[1:] * z[1:]")),
        "z_0 is forgotten": but(SCAN, ("d_lam[0] = mu[0] * z0", "d_lam[0] = 0")),
        "z_0 without its gate": but(SCAN, ("lam[0] * mu[0]\n", "mu[0]\n")),
        "no adjoint": but(SCAN, ("mu[t] += lam[t + 1] * mu[t + 1]", "pass")),
        "the wrong sign": but(SCAN, ("mu[t] += lam", "mu[t] -= lam")),
        "products of gates, divided": (
            "def combine(lam1, d1, lam2, d2):\n"
            "    return lam2 * lam1, d2 + lam2 * d1\n\n\n"
            "def gated_gradient(lam, z0, z, g):\n"
            "    power = np.cumprod(lam, axis=0)\n"
            "    mu = np.cumsum((g * power)[::-1], axis=0)[::-1] / power\n"
            "    before = np.vstack([z0[np.newaxis], z[:-1]])\n"
            "    return mu * before, mu, lam[0] * mu[0]\n"
        ),
        "two units only": but(
            SCAN, ("d_lam[0] = mu[0] * z0", "mu = mu[:, :2]\n    d_lam[0] = mu[0] * z0")
        ),
    },
}

RIGHT = {
    "sum_norm": {
        "the matrix is turned": SUM,
        "logarithms and lists": (
            "def sum_norm(M, steps):\n"
            "    n = len(M)\n"
            "    w = [1.0] * n\n"
            "    for step in range(steps + 1):\n"
            "        new = [sum(w[i] * M[i][j] for i in range(n)) for j in range(n)]\n"
            "        ratios = [new[j] / w[j] for j in range(n)]\n"
            "        if step < steps:\n"
            "            w = [entry / max(new) for entry in new]\n"
            "    return [np.array(w), min(ratios), max(ratios)]\n"
        ),
    },
    "mgu_rows": {"slopes by exponentials": MGU},
    "window": {
        "all errors at once": WINDOW,
        "by a logarithm": (
            "def window(rate, v, b, q, delta, eps):\n"
            "    gain, D = np.abs(q) @ v, np.max(b / v)\n"
            "    rest = delta / (1 - rate)\n"
            "    if gain * D <= eps:\n"
            "        return 0\n"
            "    if gain * rest >= eps:\n"
            "        return -1\n"
            "    if rate == 0:\n"
            "        return 1\n"
            "    return np.ceil(np.log((eps / gain - rest) / (D - rest)) / np.log(rate))\n\n\n"
            "my_window = window(my_rate, my_v, my_b, my_q, my_delta, my_eps)\n"
        ),
    },
    "signed_cayley": {"inverses and a helper": CAYLEY},
    "reflect": {
        "unit vectors, a copy": REFLECT,
        "all at once": (
            "def reflect(Y, X):\n"
            "    M = np.triu(Y @ Y.T, 1) + np.diag(np.sum(Y * Y, axis=1) / 2)\n"
            "    return X - (X @ Y.T) @ np.linalg.inv(M).T @ Y\n\n\n"
            "def unreflect(Y, X):\n"
            "    return reflect(Y[::-1], X)\n"
        ),
    },
    "ring_memory": {
        "by rounds": RING,
        "Stein's equation by doubling": STEIN,
        "a list of shares": but(RING, ("np.array(shares)", "shares")),
    },
    "gated_scan": {"loops": SCAN},
}
