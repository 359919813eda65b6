"""Planted answers of coursework II: wrong ones, and right ones that are written differently."""

from coursework import but

DERIVATIVES = """
def derivatives(w, b, x_0, targets):
    w = np.asarray(w, dtype=float)
    x, dx, ddx = x_0 + 0 * w, 0 * w, 0 * w
    V, slope, curvature = 0, 0, 0
    for y in targets:
        z, dz, ddz = w * x + b, x + w * dx, 2 * dx + w * ddx
        x = np.tanh(z)
        first, second = 1 - x**2, -2 * x * (1 - x**2)
        dx, ddx = first * dz, second * dz**2 + first * ddz
        V = V + (x - y) ** 2
        slope = slope + 2 * (x - y) * dx
        curvature = curvature + 2 * dx**2 + 2 * (x - y) * ddx
    return np.array([V, slope, curvature]) / len(targets)
"""

BOUND = """
def bound(weights, kappa, error):
    log_S, log_E = -np.inf, -np.inf
    for w in weights:
        log_w = np.log(abs(w)) if w != 0 else -np.inf
        log_k = np.log(kappa) if kappa > 0 else -np.inf
        log_dz = np.logaddexp(log_w + log_S, 0.0)
        log_E = np.logaddexp(log_w + log_E, log_k + 2 * log_dz)
        log_S = log_dz
    slope = np.log(2 * error) + log_S
    curvature = np.log(2) + np.logaddexp(np.log(error) + log_E, 2 * log_S)
    return np.array([slope, curvature])


own_bound = bound(own_weights, 0.77, 2.0)
"""

GROWTH = """
def fit_growth(lengths, log_values, t):
    N = np.array(lengths, dtype=np.float64)
    y = np.array(log_values, dtype=np.float64)
    X = np.stack([np.ones(len(N)), N, np.log(N)], axis=1)
    inverse = np.linalg.inv(X.T @ X)
    fit = inverse @ (X.T @ y)
    residuals = y - X @ fit
    variance = residuals @ residuals / (len(N) - 3)
    half = t * np.sqrt(variance * np.diag(inverse))
    return np.array([fit[1], fit[2], half[1], half[2]])


own_growing = []
for own_row in own_logs:
    own_fit = fit_growth(own_lengths, own_row, OWN_T)
    own_growing.append(bool(own_fit[0] > own_fit[2]))
"""

SURE_STEP = """
def sure_step(slopes, L_0, L_1):
    g = np.asarray(slopes, dtype=float)
    if L_1 == 0:
        return 2 / L_0 + 0 * g
    q = L_1 * g / (L_0 + L_1 * g)

    def excess(y):
        series = sum(y**k / FACTORIAL[k + 1] for k in range(1, 12))
        near_zero = np.where(y < 0.1, y, 0.1)
        series = sum(near_zero**k / FACTORIAL[k + 1] for k in range(1, 12))
        away = np.where(y < 0.1, 0.1, y)
        return np.where(y < 0.1, series, (np.expm1(away) - away) / away) - q

    low, high = 1e-300 + 0 * q, 2 * q
    for _ in range(100):
        middle = (low + high) / 2
        low = np.where(excess(middle) < 0, middle, low)
        high = np.where(excess(middle) < 0, high, middle)
    return high / L_1 / g


FACTORIAL = [1.0]
for k in range(1, 13):
    FACTORIAL.append(FACTORIAL[-1] * k)
"""
SURE_STEP = but(
    SURE_STEP, ("        series = sum(y**k / FACTORIAL[k + 1] for k in range(1, 12))\n", "")
)

DEEP_MINIMA = """
def deep_minima(values, depth):
    values = [float(v) for v in values]
    count, down = 0, False
    high = low = values[0]
    for v in values:
        if down:
            if v < low:
                low = v
            elif v - low >= depth:
                count, down, high = count + 1, False, v
        elif v > high:
            high = v
        elif high - v >= depth:
            down, low = True, v
    return count


own_counts = [deep_minima(own_cost, depth) for depth in OWN_DEPTHS]
"""

UNITS = """
def units(A, c):
    A = np.abs(np.array(A, dtype=float))
    n = len(A)
    low, high, best = 0.0, A.sum(axis=1).max(), np.ones(n)
    while high - low > 1e-9 * high:
        rate = low + 0.49 * (high - low)
        v, raised = np.ones(n), np.zeros(n, dtype=bool)
        while True:
            more = (A @ v > rate) & ~raised
            if not more.any():
                break
            raised = raised | more
            rest = A[raised][:, ~raised].sum(axis=1)
            M = rate * np.eye(len(rest)) - A[raised][:, raised]
            v[raised] = np.linalg.solve(M, rest)
        if v.min() > 1 - 1e-12 and v.max() <= c:
            high, best = rate, v
        else:
            low = rate
    return best.max() / best


own_units = units(own_matrix, 3.0)
"""

OWN_UNITS = "\n\nown_units = units(own_matrix, 3.0)\n"
OWN_COUNTS = "\n\nown_counts = [deep_minima(own_cost, depth) for depth in OWN_DEPTHS]\n"

WRONG = {
    "derivatives": {
        "the state inside z is taken as fixed": but(
            DERIVATIVES, ("x + w * dx, 2 * dx + w * ddx", "x, 0 * x")
        ),
        "2 dx is missing in the second derivative of w x": but(
            DERIVATIVES, ("2 * dx + w * ddx", "w * ddx")
        ),
        "dx instead of 2 dx": but(DERIVATIVES, ("2 * dx + w * ddx", "dx + w * ddx")),
        "the derivative in the bias": but(
            DERIVATIVES, ("x + w * dx, 2 * dx + w * ddx", "1 + w * dx, w * ddx")
        ),
        "the square of dx is missing in the curvature": but(DERIVATIVES, ("2 * dx**2 + ", "")),
        "no mean": but(DERIVATIVES, (" / len(targets)", "")),
        "the mean over N + 1 states": but(DERIVATIVES, ("len(targets)", "(len(targets) + 1)")),
        "integers stay integers": but(
            DERIVATIVES,
            ("w = np.asarray(w, dtype=float)", "w = np.asarray(w)"),
            ("x_0 + 0 * w", "np.full_like(w, x_0)"),
        ),
        "right for five steps at most": but(DERIVATIVES, ("in targets", "in targets[:5]")),
        "the sign of the second derivative of tanh": but(
            DERIVATIVES, ("-2 * x * (1", "2 * x * (1")
        ),
        "curvature by differences": DERIVATIVES.replace("def derivatives", "def exact")
        + """

def derivatives(w, b, x_0, targets):
    found = exact(w, b, x_0, targets)
    h = 1e-5
    w = np.asarray(w, dtype=float)
    right, left = exact(w + h, b, x_0, targets), exact(w - h, b, x_0, targets)
    found[2] = (right[0] - 2 * found[0] + left[0]) / h**2
    return found
""",
    },
    "bound": {
        "not in logarithms until the end": """
def bound(weights, kappa, error):
    S, E = 0.0, 0.0
    for w in np.abs(weights):
        S = w * S + 1
        E = w * E + kappa * S**2
    return np.log([2 * error * S, 2 * (error * E + S**2)])


own_bound = bound(own_weights, 0.77, 2.0)
""",
        "weights with their sign": but(BOUND, ("np.log(abs(w)) if w != 0", "np.log(w) if w != 0")),
        "the largest weight for all": but(
            BOUND, ("for w in weights:", "for w in np.full(len(weights), np.abs(weights).max()):")
        ),
        "only the square of S": but(BOUND, ("np.logaddexp(np.log(error) + log_E, ", "(")),
        "the square of S is missing": but(
            BOUND, ("np.logaddexp(np.log(error) + log_E, 2 * log_S)", "np.log(error) + log_E")
        ),
        "E with the S of the step before": but(BOUND, ("log_k + 2 * log_dz", "log_k + 2 * log_S")),
        "E without the square": but(BOUND, ("log_k + 2 * log_dz", "log_k + log_dz")),
        "the first weight counts, S_0 = 1": but(
            BOUND, ("log_S, log_E = -np.inf, -np.inf", "log_S, log_E = 0.0, -np.inf")
        ),
        "the mean over all steps": but(
            BOUND,
            ("[slope, curvature])", "[slope, curvature]) - np.log(len(weights))"),
        ),
        "decimal logarithms": but(
            BOUND, ("[slope, curvature])", "[slope, curvature]) / np.log(10)")
        ),
        "κ = 0 fails": but(
            BOUND, ("np.log(kappa) if kappa > 0 else -np.inf", "__import__('math').log(kappa)")
        ),
        "weights in the wrong order": but(BOUND, ("in weights:", "in weights[::-1]:")),
    },
    "growth": {
        "a rate alone": """
def fit_growth(lengths, log_values, t):
    rate = np.polyfit(lengths, log_values, 1)[0]
    return np.array([rate, -1.0, 0.0, 0.0])


own_growing = [bool(fit_growth(own_lengths, y, OWN_T)[0] > 0) for y in own_logs]
""",
        "n - 2 degrees of freedom": but(GROWTH, ("len(N) - 3", "len(N) - 2")),
        "divided by n": but(GROWTH, ("(len(N) - 3)", "len(N)")),
        "variances instead of half-widths": but(
            GROWTH, ("np.sqrt(variance * np.diag(inverse))", "variance * np.diag(inverse)")
        ),
        "1.96 instead of t": but(GROWTH, ("t * np.sqrt", "1.96 * np.sqrt")),
        "half-widths without the other coefficients": but(
            GROWTH, ("np.diag(inverse)", "1 / np.diag(X.T @ X)")
        ),
        "decimal logarithm of N": but(GROWTH, ("np.log(N)", "np.log10(N)")),
        "exchanged": but(
            GROWTH, ("[fit[1], fit[2], half[1], half[2]]", "[fit[2], fit[1], half[2], half[1]]")
        ),
        "in float32": GROWTH.replace("dtype=np.float64", "dtype=np.float32"),
        "weights by the values": but(
            GROWTH,
            ("    inverse =", "    X, y = X * np.exp(y)[:, None], y * np.exp(y)\n    inverse ="),
        ),
        "all sequences are said to grow": but(GROWTH, ("own_fit[0] > own_fit[2]", "True")),
    },
    "sure_step": {
        "the step of the descent lemma": """
def sure_step(slopes, L_0, L_1):
    g = np.asarray(slopes, dtype=float)
    return 2 / (L_0 + L_1 * g)
""",
        "the safe step of page 15": """
def sure_step(slopes, L_0, L_1):
    g = np.asarray(slopes, dtype=float)
    return 1 / (2 * (L_0 + L_1 * g))
""",
        "the length instead of the step": but(
            SURE_STEP, ("high / L_1 / g", "high / L_1"), ("2 / L_0 + 0 * g", "2 * g / L_0")
        ),
        "y instead of r": but(SURE_STEP, ("high / L_1 / g", "high / g")),
        "a = L_0": but(SURE_STEP, ("(L_0 + L_1 * g)", "L_0")),
        "digits are lost for small slopes": but(
            SURE_STEP, ("y < 0.1, series, (np.expm1(away) - away) / away", "y < 0, 0, NAIVE")
        ).replace("NAIVE", "(np.exp(y) - 1 - y) / y"),
        "L_1 = 0 divides by zero": but(SURE_STEP, ("if L_1 == 0", "if L_1 < 0")),
        "L_0 = 0 is refused": but(SURE_STEP, ("    q =", "    assert L_0 > 0\n    q =")),
        "the least of the bound, not its return": """
def sure_step(slopes, L_0, L_1):
    g = np.asarray(slopes, dtype=float)
    if L_1 == 0:
        return 1 / L_0 + 0 * g
    return np.log1p(L_1 * g / (L_0 + L_1 * g)) / (L_1 * g)
""",
        "three digits": but(SURE_STEP, ("range(100)", "range(10)")),
        "one slope only": but(SURE_STEP, ("    g = np", "    slopes = float(slopes)\n    g = np")),
    },
    "deep_minima": {
        "all minima": """
def deep_minima(values, depth):
    v = np.asarray(values, dtype=float)
    return int(np.sum((v[1:-1] < v[:-2]) & (v[1:-1] < v[2:])))
"""
        + OWN_COUNTS,
        "depth over neighbours": """
def deep_minima(values, depth):
    v = np.asarray(values, dtype=float)
    low = (v[:-2] - v[1:-1] >= depth) & (v[2:] - v[1:-1] >= depth)
    return int(np.sum(low))
"""
        + OWN_COUNTS,
        "deeper, not as deep": DEEP_MINIMA.replace(">= depth", "> depth"),
        "the last descent counts": but(DEEP_MINIMA, ("return count", "return count + down")),
        "the first rise counts": but(
            DEEP_MINIMA, ("count, down = 0, False", "count, down = 0, True")
        ),
        "flat bottoms are cut off, then neighbours": """
def deep_minima(values, depth):
    v = np.asarray(values, dtype=float)
    v = v[np.append(True, np.diff(v) != 0)]
    count = 0
    for k in range(1, len(v) - 1):
        if v[k] < v[k - 1] and v[k] < v[k + 1]:
            count += min(v[: k + 1].max(), v[k:].max()) - v[k] >= depth
    return int(count)
"""
        + OWN_COUNTS,
        "rounded to a multiple of the depth": """
def deep_minima(values, depth):
    v = np.floor(np.asarray(values, dtype=float) / depth)
    v = v[np.append(True, np.diff(v) != 0)]
    return int(np.sum((v[1:-1] < v[:-2]) & (v[1:-1] < v[2:])))
"""
        + OWN_COUNTS,
        "integers without a sign wrap around": but(
            DEEP_MINIMA,
            ("[float(v) for v in values]", "np.asarray(values)"),
            ("high - v >= depth", "v - high <= -depth"),
        ),
        "fails for one point": but(
            DEEP_MINIMA, ("high = low = values[0]", "high = low = max(values[0], values[1])")
        ),
        "the wall stays where it was": but(
            DEEP_MINIMA, ("down, high = count + 1, False, v", "down = count + 1, False")
        ),
        "the numbers of the visible tests": """
def deep_minima(values, depth):
    known = {(7, 0.5): 3, (7, 1.0): 3, (7, 1.5): 2, (9, 1.0): 1, (5, 0.5): 1}
    return known.get((len(values), depth), 0)
"""
        + OWN_COUNTS,
    },
    "units": {
        "no change of units": """
def units(A, c):
    return np.ones(len(A))
"""
        + OWN_UNITS,
        "the inverse": but(UNITS, ("best.max() / best", "best / best.min()")),
        "the transposed matrix": but(UNITS, ("dtype=float))", "dtype=float)).T")),
        "signs are kept": but(UNITS, ("np.abs(np.array(A, dtype=float))", "np.array(A) * 1.0")),
        "Perron's vector, cut off at c": """
def units(A, c):
    values, vectors = np.linalg.eig(np.abs(A) + 1e-12)
    s = 1 / np.abs(vectors[:, np.argmax(values.real)].real)
    return np.clip(s / s.min(), 1, c)
"""
        + OWN_UNITS,
        "two units only": """
def units(A, c):
    A = np.abs(A)
    s = np.ones(len(A))
    best = np.inf
    for r in np.geomspace(1 / c, c, 200_001):
        rate = max(A[0, 0] + A[0, 1:].sum() * r, A[-1, -1] + A[-1, :-1].sum() / r)
        if rate < best:
            best, s[0], s[-1] = rate, max(r, 1), max(1 / r, 1)
    return s
"""
        + OWN_UNITS,
        "a search at random": """
def units(A, c):
    A = np.abs(A)
    s = c ** np.random.default_rng(0).uniform(size=(20_000, len(A)))
    return s[np.argmin((s * ((1 / s) @ A.T)).max(axis=1))]
"""
        + OWN_UNITS,
        "no limit": but(UNITS, (" and v.max() <= c", "")),
        "from 1/c to 1": but(UNITS, ("best.max() / best", "best.min() / best")),
        "balanced rows and columns, as for the spectral norm": """
def units(A, c):
    A = np.abs(np.array(A, dtype=float)) + 1e-300
    np.fill_diagonal(A, 0)
    s = np.ones(len(A))
    for _ in range(200):
        B = s[:, None] * A / s
        s = s * (B.sum(axis=0) / np.maximum(B.sum(axis=1), 1e-300)) ** 0.25
    return np.clip(s / s.min(), 1, c)
"""
        + OWN_UNITS,
        "stops at three digits": but(UNITS, ("1e-9 * high", "1e-3 * high")),
    },
}

RIGHT = {
    "derivatives": {
        "with two lines a derivative": DERIVATIVES,
        "adjoints and their derivative": """
def derivatives(w, b, x_0, targets):
    w, N = np.array(w, dtype=float), len(targets)
    x, dx = [np.full(len(w), x_0)], [np.zeros(len(w))]
    for t in range(N):
        x.append(np.tanh(w * x[t] + b))
        dx.append((1 - x[-1] ** 2) * (x[t] + w * dx[t]))
    total = np.zeros((3, len(w)))
    lam, dlam = np.zeros(len(w)), np.zeros(len(w))
    for t in range(N, 0, -1):
        e = x[t] - targets[t - 1]
        total[0] += e**2
        lam, dlam = lam + 2 * e, dlam + 2 * dx[t]
        phi, dphi = 1 - x[t] ** 2, -2 * x[t] * dx[t]
        mu, dmu = phi * lam, dphi * lam + phi * dlam
        total[1] += mu * x[t - 1]
        total[2] += dmu * x[t - 1] + mu * dx[t - 1]
        lam, dlam = w * mu, mu + w * dmu
    return total / N
""",
    },
    "bound": {
        "one step after the other": BOUND,
        "sums of products": """
def bound(weights, kappa, error):
    w = np.abs(np.asarray(weights, dtype=float))
    logs = np.log(np.where(w > 0, w, 1e-320))
    S = np.zeros(len(w))
    S[0] = 0.0
    for t in range(1, len(w)):
        S[t] = np.logaddexp(S[t - 1] + logs[t], 0.0)
    S[w == 0] = 0.0
    after = np.append(np.cumsum(logs[:0:-1])[::-1], 0.0)
    E = np.logaddexp.reduce(after + 2 * S) + np.log(max(kappa, 1e-320))
    return [
        np.log(2 * error) + S[-1],
        np.log(2) + np.logaddexp(np.log(error) + E, 2 * S[-1]),
    ]


own_bound = bound(own_weights, 0.77, 2.0)
""",
    },
    "growth": {
        "normal equations": GROWTH,
        "pseudoinverse": """
def fit_growth(lengths, log_values, t):
    N, y = np.float64(lengths), np.float64(log_values)
    X = np.vander(np.log(N), 2)
    X = np.hstack([N[:, None], X])
    P = np.linalg.pinv(X)
    s = np.sqrt(np.sum((y - X @ (P @ y)) ** 2) / (y.size - X.shape[1]))
    return (*(P @ y)[:2], *(t * s * np.linalg.norm(P, axis=1))[:2])


own_growing = tuple(
    f[0] > f[2] for f in (fit_growth(own_lengths, y, OWN_T) for y in own_logs)
)
""",
    },
    "sure_step": {
        "a series near zero only": SURE_STEP,
        "by a fixed number of Newton steps": """
def sure_step(slopes, L_0, L_1):
    g = np.array(slopes, dtype=float)
    if L_1 == 0:
        return np.ones_like(g) * 2 / L_0
    q = L_1 / (L_0 / g + L_1)
    y = 2 * q
    nodes, weights = np.polynomial.legendre.leggauss(20)
    u = (nodes + 1) / 2
    for _ in range(30):
        grow = np.exp(y[..., None] * u)
        value = y * np.sum(weights / 2 * (1 - u) * grow, axis=-1)
        rise = np.sum(weights / 2 * (1 - u) * (1 + y[..., None] * u) * grow, -1)
        y = y - (value - q) / rise
    return y / L_1 / g
""",
    },
    "deep_minima": {
        "highest and lowest so far": DEEP_MINIMA,
        "backwards, over turning points": """
def deep_minima(values, depth):
    v = np.asarray(values, dtype=np.float64)[::-1]
    v = v[np.append(True, np.diff(v) != 0)]
    turn = np.append(True, np.diff(np.sign(np.diff(v))) != 0)
    points = [*v[:-1][turn[: len(v) - 1]], v[-1]]
    count, wall, bottom = 0, points[0], None
    for p in points[1:]:
        if bottom is None:
            if wall - p >= depth:
                bottom = p
            wall = max(wall, p)
        elif p - bottom >= depth:
            count, wall, bottom = count + 1, p, None
        else:
            bottom = min(bottom, p)
    return np.int64(count)
"""
        + OWN_COUNTS,
    },
    "units": {
        "raised entries by a linear system": UNITS,
        "the iteration that the text describes": """
def units(A, c):
    A = np.abs(np.asarray(A, dtype=float))
    low, high, best = 0.0, float(A.sum(axis=1).max()), np.ones(len(A))
    while high - low > 3e-7 * high:
        rate, v, found = 0.5 * low + 0.5 * high, np.ones(len(A)), False
        for _ in range(3000):
            new = np.maximum(1, A @ v / rate)
            found = bool((np.abs(new - v) <= 1e-9 * v).all())
            v = new
            if found or v.max() > c:
                break
        if found and v.max() <= c:
            high, best = rate, v
        else:
            low = rate
    return np.clip(c / best, 1, c)
"""
        + OWN_UNITS,
        "no bisection: lower the rate of the present units": """
def units(A, c):
    A = np.abs(np.asarray(A, dtype=float))
    v, step = np.ones(len(A)), 0.5
    while step > 1e-6:
        rate = np.max(A @ v / v) * (1 - step)
        trial = np.ones(len(A))
        for _ in range(3000):
            new = np.maximum(1, A @ trial / rate) if rate > 0 else trial
            done = np.all(new <= trial * (1 + 1e-9))
            trial = new
            if done or trial.max() > c:
                break
        if done and trial.max() <= c:
            v = trial
            if rate == 0:
                break
        else:
            step /= 2
    return np.clip(c / v, 1, c)
"""
        + OWN_UNITS,
    },
}
