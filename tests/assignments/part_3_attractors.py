"""Planted answers to Part III: each wrong one differs from a right one in the named place."""

from coursework import but

NAME_POINT = """
def name_point(weight, point):
    A = np.diag(1 - np.square(point)) @ weight
    values = np.linalg.eigvals(A)
    inside = sum(abs(v) < 1 - 1e-6 for v in values)
    outside = sum(abs(v) > 1 + 1e-6 for v in values)
    shape = "focus" if max(abs(v.imag) for v in values) > 1e-6 else "node"
    if inside + outside < len(values):
        return "marginal", shape
    if not outside:
        return "stable", shape
    return ("saddle" if inside else "unstable"), shape
"""

FIXED_POINTS = """
def fixed_points(weight, bias, starts):
    W, b = np.array(weight, float), np.array(bias, float)
    n, results = len(b), np.zeros((0, len(b)))
    for x in np.array(starts, float):
        try:
            for _ in range(60):
                F = np.tanh(W @ x + b)
                J = np.eye(n) - np.diag(1 - F**2) @ W
                x = x + np.linalg.solve(J, F - x)
        except np.linalg.LinAlgError:
            continue
        residual = np.linalg.norm(x - np.tanh(W @ x + b), np.inf)
        if residual < 1e-9:
            known = np.any(np.all(np.abs(results - x) < 1e-6, axis=1))
            if not known:
                results = np.vstack([results, x])
    return results
"""

FIND_CYCLE = """
def find_cycle(weight, bias, guess, period):
    n = len(bias)

    def orbit_of(x, p):
        points = [x]
        for _ in range(p):
            points.append(np.tanh(weight @ points[-1] + bias))
        return np.array(points)

    def product_of(points):
        M = np.eye(n)
        for image in points[1:]:
            M = np.diag(1 - image**2) @ weight @ M
        return M

    x = 1.0 * guess
    for _ in range(40):
        points = orbit_of(x, period)
        J = product_of(points) - np.eye(n)
        x = x - np.linalg.solve(J, points[-1] - x)
    for q in range(1, period + 1):
        points = orbit_of(x, q)
        if np.allclose(points[-1], x, rtol=0, atol=1e-6):
            break
    return points[:-1], np.linalg.eigvals(product_of(points))
"""

BOUNDARIES = """
def boundaries(w):
    if -4 < w < 4:
        return "none", []
    kind = "fold" if w > 0 else "flip"
    if abs(w) == 4:
        return kind, [-w / 2]
    z = np.arccosh(abs(w) / 2 - 1)  # 1 / slope = 2 + 2 cosh z
    b = [z - w / (1 + np.exp(-z)), -z - w / (1 + np.exp(z))]
    return kind, sorted(b)
"""

EXPONENTS = """
def exponents(weight, bias, start, skip, steps):
    x, n = start, len(start)
    vectors, sums = np.identity(n), np.zeros(n)
    for t in range(skip + steps):
        new = np.tanh(weight @ x + bias)
        if t >= skip:
            Z = np.diag(1 - new**2) @ weight @ vectors
            vectors, R = np.linalg.qr(Z)
            sums = sums + np.log(np.abs(np.diagonal(R)))
        x = new
    return np.sort(sums / steps)[::-1]
"""

BASIN_EDGE = """
def basin_edge(weight, bias, low, high):
    ends = np.array([low, high], float)
    targets = ends
    for _ in range(1000):
        targets = np.tanh(targets @ weight.T + bias)
    if np.allclose(targets[0], targets[1], atol=1e-5):
        return None
    a, b = 0.0, 1.0
    for _ in range(45):
        s = 0.5 * (a + b)
        x = (1 - s) * ends[0] + s * ends[1]
        for _ in range(1000):
            x = np.tanh(weight @ x + bias)
        if np.allclose(x, targets[0], atol=1e-3):
            a = s
        else:
            b = s
    return a


own_edge = basin_edge(own_weight, own_bias, own_low, own_high)
"""

PASSAGE = """
def passage(weight, state, direction):
    phi = 1 - state**2
    n = len(state)
    defect = np.eye(n) - np.diag(phi) @ weight
    U, _, Vt = np.linalg.svd(defect)
    r, l = Vt[-1], U[:, -1]
    bend = -2 * state * phi * (weight @ r) ** 2
    product = 0.5 * (l @ bend) * (l @ (phi * direction)) / (l @ r) ** 2
    return float(np.sign(product) * np.pi / np.sqrt(np.abs(product)))


own_constant = passage(fold_weight, fold_state, fold_direction)
"""

RIGHT = {
    "name_point": {"counts those inside and outside": NAME_POINT},
    "fixed_points": {"a list that grows, another form of the step": FIXED_POINTS},
    "find_cycle": {
        "orbit and product apart": FIND_CYCLE,
        "a list of points": but(
            FIND_CYCLE, ("return points[:-1],", "return [list(p) for p in points[:-1]],")
        ),
    },
    "boundaries": {"through the pre-activation": BOUNDARIES},
    "exponents": {"one loop for both phases": EXPONENTS},
    "basin_edge": {"both ends at once, a fixed number of bisections": BASIN_EDGE},
    "passage": {"singular vectors": PASSAGE},
}

WRONG = {
    "name_point": {
        "real parts decide, as for a differential equation": but(
            NAME_POINT,
            ("abs(v) < 1 - 1e-6", "v.real < 1 - 1e-6"),
            ("abs(v) > 1 + 1e-6", "v.real > 1 + 1e-6"),
        ),
        "the slopes are forgotten": but(NAME_POINT, ("np.diag(1 - np.square(point)) @ ", "+")),
        "tanh is taken twice": but(NAME_POINT, ("np.square(point)", "np.tanh(point) ** 2")),
        "singular values": but(
            NAME_POINT, ("np.linalg.eigvals(A)", "np.linalg.svd(A)[1].astype(complex)")
        ),
        "the answers of the visible test": """
def name_point(weight, point):
    if len(point) == 1:
        return "stable", "node"
    return ("stable" if np.abs(weight).max() < 1 else "unstable"), "focus"
""",
        "marginal only if nothing is outside": but(
            NAME_POINT, ("if inside + outside < len(values):", "if not outside and inside == 0:")
        ),
        "no point is marginal": but(
            NAME_POINT, ("inside + outside < len(values)", "inside + outside < 0")
        ),
        "a saddle is any unstable point": but(
            NAME_POINT, ('("saddle" if inside else "unstable")', '"saddle"')
        ),
    },
    "fixed_points": {
        "iterates the network": but(FIXED_POINTS, ("np.linalg.solve(J, F - x)", "F - x")),
        "the sign of the step": but(FIXED_POINTS, ("x + np.linalg", "x - np.linalg")),
        "does not ask whether it has converged": but(
            FIXED_POINTS, ("residual < 1e-9", "residual < 1e9")
        ),
        "does not ask whether the point is known": but(
            FIXED_POINTS, ("if not known", "if known or not known")
        ),
        "five steps": but(FIXED_POINTS, ("range(60)", "range(3)")),
        "the first entry decides whether it is known": but(
            FIXED_POINTS,
            (
                "np.any(np.all(np.abs(results - x) < 1e-6, axis=1))",
                "np.any(np.abs(results - x)[:, 0] < 1e-6)",
            ),
        ),
        "stops at a singular matrix": but(
            FIXED_POINTS, ("            continue", "            break")
        ),
        "the answer of the visible test": """
def fixed_points(weight, bias, starts):
    return np.array([[-0.9575040240772687], [0.0], [0.9575040240772687]])
""",
        "no shape without a point": but(
            FIXED_POINTS, ("return results", "return results if len(results) else np.array([])")
        ),
    },
    "find_cycle": {
        "runs until it has settled": """
def find_cycle(weight, bias, guess, period):
    x = guess
    for _ in range(period * 500):
        x = np.tanh(weight @ x + bias)
    orbit, M = [x], np.eye(len(bias))
    for _ in range(period):
        orbit.append(np.tanh(weight @ orbit[-1] + bias))
        M = np.diag(1 - orbit[-1] ** 2) @ weight @ M
    return np.array(orbit[:-1]), np.linalg.eigvals(M)
""",
        "the product in the other order": but(
            FIND_CYCLE,
            (
                "np.linalg.eigvals(product_of(points))",
                "np.linalg.eigvals(product_of(np.vstack([points[:1], points[:0:-1]])))",
            ),
        ),
        "the Jacobian at one point, to the power p": but(
            FIND_CYCLE,
            (
                "np.linalg.eigvals(product_of(points))",
                "np.linalg.eigvals(np.diag(1 - x**2) @ weight) ** q",
            ),
        ),
        "keeps the period that it was given": but(
            FIND_CYCLE, ("range(1, period + 1)", "range(period, period + 1)")
        ),
        "slopes of the states before": but(
            FIND_CYCLE,
            ("for image in points[1:]", "for image in np.tanh(points[:-1])"),
        ),
        "the first point again at the end": but(
            FIND_CYCLE, ("return points[:-1]", "return points")
        ),
        "starts with the second point": but(
            FIND_CYCLE, ("return points[:-1]", "return points[1:]")
        ),
        "one step of Newton": but(FIND_CYCLE, ("range(40)", "range(0)")),
        "Jacobians are added": but(
            FIND_CYCLE,
            (
                "np.linalg.eigvals(product_of(points))",
                "np.linalg.eigvals(sum(np.diag(1 - p**2) @ weight for p in points[1:]))",
            ),
        ),
        "the p-th root of the multipliers": but(
            FIND_CYCLE,
            (
                "np.linalg.eigvals(product_of(points))",
                "np.linalg.eigvals(product_of(points)).astype(complex) ** (1 / q)",
            ),
        ),
    },
    "boundaries": {
        "the sign of the bias": but(BOUNDARIES, ("sorted(b)", "sorted(-v for v in b)")),
        "descending": but(BOUNDARIES, ("sorted(b)", "sorted(b)[::-1]")),
        "folds everywhere": but(BOUNDARIES, ('"fold" if w > 0 else "flip"', '"fold"')),
        "the folds of tanh": """
def boundaries(w):
    if abs(w) <= 1:
        return "none", []
    x = np.sqrt(1 - 1 / abs(w))
    b = np.arctanh(x) - w * x
    return ("fold" if w > 0 else "flip"), sorted([b, -b])
""",
        "no case of flips": but(BOUNDARIES, ("if -4 < w < 4", "if w < 4")),
        "two where they coincide": but(
            BOUNDARIES, ("return kind, [-w / 2]", "return kind, [-w / 2, -w / 2]")
        ),
        "no bifurcation at four": but(BOUNDARIES, ("if -4 < w < 4", "if -4 <= w <= 4")),
        "the answer of the visible test": """
def boundaries(w):
    x = (1 + np.array([1, -1]) / np.sqrt(5)) / 2
    return "fold", np.log(x / (1 - x)) - 5 * x
""",
        "minus one forgotten": but(BOUNDARIES, ("abs(w) / 2 - 1", "abs(w) / 2 + 1")),
    },
    "exponents": {
        "the slope of the state before": but(EXPONENTS, ("1 - new**2", "1 - np.tanh(x) ** 2")),
        "logarithms to the base ten": but(EXPONENTS, ("np.log(", "np.log10(")),
        "skipped steps count": but(EXPONENTS, ("if t >= skip:", "if t < steps:")),
        "divides by all steps": but(EXPONENTS, ("sums / steps", "sums / (skip + steps)")),
        "the sum": but(EXPONENTS, ("sums / steps", "sums")),
        "ascending": but(EXPONENTS, ("[::-1]", "")),
        "never orthonormal again": """
def exponents(weight, bias, start, skip, steps):
    x, M = start, np.eye(len(start))
    for t in range(skip + steps):
        x = np.tanh(weight @ x + bias)
        if t >= skip:
            M = np.diag(1 - x**2) @ weight @ M
    return np.log(np.linalg.svd(M)[1]) / steps
""",
        "vectors of length one, not orthogonal": but(
            EXPONENTS,
            (
                "vectors, R = np.linalg.qr(Z)",
                "R = np.diag(np.linalg.norm(Z, axis=0)); vectors = Z / np.diag(R)",
            ),
        ),
        "forgets the vectors": but(EXPONENTS, (" @ vectors", "")),
        "one step too few": but(EXPONENTS, ("range(skip + steps)", "range(skip + steps - 1)")),
        "right for one unit only": """
def exponents(weight, bias, start, skip, steps):
    x, total = start, 0.0
    for t in range(skip + steps):
        x = np.tanh(weight @ x + bias)
        if t >= skip:
            total += np.log(np.abs(weight[0, 0] * (1 - x[0] ** 2)))
    return np.full(len(start), total / steps)
""",
    },
    "basin_edge": {
        "half-way": but(BASIN_EDGE, ("    return a\n", "    return 0.5\n")),
        "counts from high": but(BASIN_EDGE, ("    return a\n", "    return 1 - a\n")),
        "where the first unit is zero": but(
            BASIN_EDGE,
            ("if np.allclose(x, targets[0], atol=1e-3)", "if x[0] * targets[0][0] > 0"),
            (
                "        for _ in range(1000):\n            x = ",
                "        if False:\n            x = ",
            ),
        ),
        "the sign of the first unit tells where it went": but(
            BASIN_EDGE, ("if np.allclose(x, targets[0], atol=1e-3)", "if x[0] < 0")
        ),
        "ten steps": but(
            BASIN_EDGE,
            (
                "        for _ in range(1000):\n            x = ",
                "        for _ in range(10):\n            x = ",
            ),
            (
                "np.allclose(x, targets[0], atol=1e-3)",
                "np.linalg.norm(x - targets[0]) < np.linalg.norm(x - targets[1])",
            ),
        ),
        "ten bisections": but(BASIN_EDGE, ("range(45)", "range(10)")),
        "the nearest attractor of the start": but(
            BASIN_EDGE,
            (
                "        for _ in range(1000):\n            x = ",
                "        if False:\n            x = ",
            ),
            (
                "np.allclose(x, targets[0], atol=1e-3)",
                "np.linalg.norm(x - targets[0]) < np.linalg.norm(x - targets[1])",
            ),
        ),
        "a border where there is none": but(
            BASIN_EDGE, ("        return None", "        return 1.0")
        ),
        "the bias is forgotten": but(
            BASIN_EDGE,
            ("            x = np.tanh(weight @ x + bias)", "            x = np.tanh(weight @ x)"),
            (
                "np.allclose(x, targets[0], atol=1e-3)",
                "np.linalg.norm(x - targets[0]) < np.linalg.norm(x - targets[1])",
            ),
        ),
        "the answer of the visible test": """
def basin_edge(weight, bias, low, high):
    return 0.25 if low[0] < 0 else None

own_edge = 0.25
""",
    },
    "passage": {
        "a half is missing": but(PASSAGE, ("0.5 * (l", "(l")),
        "the left eigenvector is taken to be the right one": but(
            PASSAGE, ("l = Vt[-1], U[:, -1]", "l = Vt[-1], Vt[-1]")
        ),
        "no normalisation": but(PASSAGE, (" / (l @ r) ** 2", "")),
        "normalised once": but(PASSAGE, ("(l @ r) ** 2", "abs(l @ r)")),
        "no sign": but(PASSAGE, ("np.sign(product) * ", "")),
        "the other sign": but(PASSAGE, ("np.sign(product)", "-np.sign(product)")),
        "squares of r": but(PASSAGE, ("(weight @ r) ** 2", "r**2")),
        "no slope in the derivative in the parameter": but(
            PASSAGE, ("(phi * direction)", "direction")
        ),
        "one unit only": """
def passage(weight, state, direction):
    x, d, w = state[0], direction[0], weight[0, 0]
    product = -x * d * w
    return np.sign(product) * np.pi / np.sqrt(abs(product))


own_constant = passage(fold_weight, fold_state, fold_direction)
""",
        "the answer of the visible test": """
def passage(weight, state, direction):
    return np.pi / np.sqrt(np.sqrt(2 / 3))

own_constant = np.pi / np.sqrt(np.sqrt(2 / 3))
""",
        "no π": but(PASSAGE, ("np.pi / ", "1 / ")),
        "own constant of the direction reversed": but(
            PASSAGE, ("fold_state, fold_direction)", "fold_state, -fold_direction)")
        ),
    },
}
