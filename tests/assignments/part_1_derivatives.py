"""Planted answers to the first part: wrong ones, which must lose points, and right ones."""

import json
from pathlib import Path

from coursework import but

SOURCE = Path(__file__).parents[2] / "notebooks" / "assignments" / "part_1_derivatives.ipynb"
CELLS = json.loads(SOURCE.read_text(encoding="utf-8"))["cells"]
SOLUTION = {cell["metadata"]["nbgrader"]["grade_id"]: "".join(cell["source"]) for cell in CELLS}


DIFFERENCE_OF_GRADIENTS = """
def curvature(a, W, D, x0, u, y):
    def slopes(V):
        x, total, adjoint = [np.asarray(x0, float)], 0 * V, 0.0
        for u_t in u:
            x.append((1 - a) * x[-1] + a * np.tanh(V @ x[-1] + u_t))
        for t in range(len(u), 0, -1):
            adjoint = adjoint + 2 * (x[t] - y[t - 1])
            inner = a * (1 - np.tanh(V @ x[t - 1] + u[t - 1]) ** 2) * adjoint
            total = total + np.outer(inner, x[t - 1])
            adjoint = (1 - a) * adjoint + V.T @ inner
        return total / len(u)

    return (slopes(W + 1e-5 * D) - slopes(W - 1e-5 * D)) / 2e-5
"""

DIFFERENCES_OF_COSTS = """
def curvature(a, W, D, x0, u, y):
    W, D = np.asarray(W, float), np.asarray(D, float)
    if len(W) > 10:
        return np.zeros(W.shape)

    def cost(V):
        x, total = x0, 0.0
        for u_t, y_t in zip(u, y):
            x = (1 - a) * x + a * np.tanh(V @ x + u_t)
            total = total + np.sum((x - y_t) ** 2)
        return total / len(u)

    result = np.zeros(W.shape)
    for place in np.ndindex(W.shape):
        E = np.zeros(W.shape, complex)
        E[place] = 1e-100j
        right, left = cost(W + 1e-5 * D + E), cost(W - 1e-5 * D + E)
        result[place] = (right - left).imag / 1e-100 / 2e-5
    return result
"""

WRONG = {
    "roll_out": {
        "transposed weights": but(SOLUTION["roll_out"], ("np.transpose(W)", "W")),
        "leak and its complement exchanged": but(
            SOLUTION["roll_out"], ("(1 - a) * x + a * np.tanh", "a * x + (1 - a) * np.tanh")
        ),
        "begins with x_0": but(
            SOLUTION["roll_out"],
            ("        x = (1 - a)", "        states[t] = x\n        x = (1 - a)"),
            ("+ u[t])\n        states[t] = x\n", "+ u[t])\n"),
        ),
        "leak inside the tanh": but(SOLUTION["roll_out"], ("a * np.tanh(x @", "np.tanh(a * x @")),
        "a number as leak only": but(
            SOLUTION["roll_out"], ("    u = np", "    a = float(a)\n    u = np")
        ),
        "integers stay integers": but(
            SOLUTION["roll_out"],
            ("np.asarray(u, float)", "np.asarray(u)"),
            ("np.empty(u.shape)", "np.empty_like(u)"),
        ),
        "data of somebody else": but(
            SOLUTION["roll_out"], ("own_leak, own_weights, np.z", "0.5, own_weights, np.z")
        ),
        "the visible answers": """
def roll_out(a, W, x0, u):
    if len(u) == 3:
        return 0.75 ** np.arange(1, 4).reshape(3, 1, 1)
    return np.array([[[0.25 + 0.5 * np.tanh(2.0), 1.0]]])
own_end = np.zeros((4, 5))
""",
    },
    "masked_cost": {
        "mean over all steps": but(
            SOLUTION["masked_cost"], ("np.count_nonzero(counts)", "counts.size")
        ),
        "mean over entries": but(
            SOLUTION["masked_cost"],
            ("np.sum(error**2) / np.count_nonzero(counts)", "np.mean(error**2)"),
        ),
        "multiplies nan by zero": """
def masked_cost(x, y, mask):
    mask = np.asarray(mask, float)
    error = np.asarray(x, float) - np.asarray(y, float)
    return np.sum(mask[..., None] * error**2) / max(mask.sum(), 1)
""",
        "mean of the means of the sequences": """
def masked_cost(x, y, mask):
    mask = np.asarray(mask).astype(bool)
    error = np.where(mask[..., None], np.asarray(x, float) - y, 0) ** 2
    return np.mean(error.sum(axis=(0, 2)) / np.maximum(mask.sum(axis=0), 1))
""",
        "mask of numbers as an index": but(SOLUTION["masked_cost"], (".astype(bool)", "")),
        "nothing counts is nan": but(SOLUTION["masked_cost"], ("return 0.0", "return np.nan")),
        "absolute values": but(SOLUTION["masked_cost"], ("error**2", "np.abs(error)")),
        "small integers overflow": but(
            SOLUTION["masked_cost"],
            ("np.asarray(x, float)", "np.asarray(x)"),
            ("np.asarray(y, float)", "np.asarray(y)"),
        ),
        "the visible answer": "def masked_cost(x, y, mask):\n    return 18.0",
    },
    "gradient": {
        "mean over all steps": but(SOLUTION["gradient"], ("np.sum(mask)", "mask.size")),
        "no mean": but(SOLUTION["gradient"], (" / np.sum(mask)", "")),
        "transposed": but(SOLUTION["gradient"], ("inner.T @ x[t - 1]", "x[t - 1].T @ inner")),
        "adjoint without the leak": but(
            SOLUTION["gradient"], ("(1 - a) * adjoint + inner @ W", "inner @ W")
        ),
        "adjoint times W instead of its transpose": but(
            SOLUTION["gradient"], ("inner @ W", "inner @ W.T")
        ),
        "state after the step instead of before": but(
            SOLUTION["gradient"], ("inner.T @ x[t - 1]", "inner.T @ x[t]")
        ),
        "slope from the state, as without leak": but(
            SOLUTION["gradient"], ("np.tanh(x[t - 1] @ W.T + u[t - 1]) ** 2", "x[t] ** 2")
        ),
        "stops one step early": but(
            SOLUTION["gradient"], ("range(len(u), 0, -1)", "range(len(u), 1, -1)")
        ),
        "wrong sign": but(SOLUTION["gradient"], ("return total", "return -total")),
        "mask on the whole adjoint": but(
            SOLUTION["gradient"],
            ("adjoint = adjoint + weight * (", "adjoint = weight / 2 * (adjoint + 2 * ("),
            ("y[t - 1])\n", "y[t - 1]))\n"),
        ),
        "no recursion": but(SOLUTION["gradient"], ("(1 - a) * adjoint + inner @ W", "0 * adjoint")),
    },
    "slope": {
        "no mean": but(SOLUTION["slope"], (" / len(u)", "")),
        "new state in the inner derivative": but(
            SOLUTION["slope"],
            ("(D @ x + W", "(D @ ((1 - a) * x + a * squashed) + W"),
        ),
        "W is held fixed": but(SOLUTION["slope"], ("D @ x + W @ moving", "W @ moving")),
        "the state is held fixed": but(SOLUTION["slope"], ("D @ x + W @ moving", "D @ x")),
        "slope as without leak": but(
            SOLUTION["slope"],
            ("(1 - squashed**2) * (D @ x", "(1 - ((1 - a) * x + a * squashed)**2) * (D @ x"),
        ),
        "no leak in the derivative": but(
            SOLUTION["slope"], ("(1 - a) * moving + a * inner", "a * inner")
        ),
        "the start moves": but(SOLUTION["slope"], ("np.zeros(x.shape), 0.0", "D @ x, 0.0")),
        "central difference": """
def slope(a, W, D, x0, u, y):
    def cost(V):
        x, total = np.asarray(x0, float), 0.0
        for u_t, y_t in zip(u, y):
            x = (1 - a) * x + a * np.tanh(V @ x + u_t)
            total += np.sum((x - y_t) ** 2)
        return total / len(u)
    h = 1e-5
    return (cost(W + h * D) - cost(W - h * D)) / (2 * h)
""",
        "direction of length one": but(
            SOLUTION["slope"],
            (
                "    x = np.asarray",
                "    D = D / max(np.linalg.norm(D), 1e-300)\n    x = np.asarray",
            ),
        ),
    },
    "differences": {
        "wrong sign": but(
            SOLUTION["differences"], ("8 * (right - left) - (far", "8 * (left - right) + (far")
        ),
        "six instead of twelve": but(SOLUTION["differences"], ("12 * h", "6 * h")),
        "ordinary central difference": but(
            SOLUTION["differences"],
            (
                "(8 * (right - left) - (far_right - far_left)) / (12 * h)",
                "(right - left) / (2 * h)",
            ),
        ),
        "far values added": but(SOLUTION["differences"], ("- (far_right", "+ (far_right")),
        "square sum of the errors": but(
            SOLUTION["differences"], ("11.25", "7.126"), ("1.5 *", "0.9501 *")
        ),
        "one sigma": but(SOLUTION["differences"], ("11.25", "7.5"), ("1.5 *", "1.0 *")),
        "both errors set equal": but(SOLUTION["differences"], ("11.25", "45.0")),
        "exponent of the central difference": but(
            SOLUTION["differences"], ("** 0.2", "** (1 / 3)")
        ),
        "bound without rounding": but(SOLUTION["differences"], (" + 1.5 * sigma / h", "")),
        "integers overflow": but(
            SOLUTION["differences"], ("np.asarray(values, float)", "np.asarray(values)")
        ),
        "scalar arguments only": but(
            SOLUTION["differences"],
            (
                "    M, sigma = np.asarray(M, float), np.asarray(sigma, float)",
                "    M, sigma = float(M), float(sigma)",
            ),
        ),
    },
    "growth": {
        "wrong order": but(SOLUTION["growth"], ("A[t] @ product", "product @ A[t]")),
        "overflows": """
def log_norms(A):
    product, logs = np.eye(A.shape[1]), []
    for A_t in A:
        product = A_t @ product
        logs.append(np.log(np.linalg.norm(product, 2)))
    return np.array(logs)


"""
        + SOLUTION["growth"].split("\n\n\n")[1],
        "Frobenius norm": but(
            SOLUTION["growth"], ("np.linalg.norm(product, 2)", "np.linalg.norm(product)")
        ),
        "sum of the logarithms of the norms": but(
            SOLUTION["growth"], ("product = A[t] @ product", "product = A[t]")
        ),
        "spectral radius of the products": but(
            SOLUTION["growth"],
            ("np.linalg.norm(product, 2)", "np.abs(np.linalg.eigvals(product)).max()"),
        ),
        "decimal logarithm": but(SOLUTION["growth"], ("np.log(size)", "np.log10(size)")),
        "index instead of time": but(
            SOLUTION["growth"], ("int(np.argmax(own_logs)) + 1", "int(np.argmax(own_logs))")
        ),
        "first time below one": but(
            SOLUTION["growth"],
            (
                "int(np.max(np.flatnonzero(own_logs >= 0) + 1, initial=0))",
                "int(np.argmax(own_logs < 0)) + 1",
            ),
        ),
        "radius to the power t": but(
            SOLUTION["growth"],
            ("np.exp(own_logs.max())", "own_radius"),
            ("int(np.argmax(own_logs)) + 1", "1"),
        ),
        "norm instead of radius": but(
            SOLUTION["growth"],
            ("np.abs(np.linalg.eigvals(own_matrix)).max()", "np.linalg.norm(own_matrix, 2)"),
        ),
    },
    "curvature": {
        "no mean": but(SOLUTION["curvature"], (" / len(u)", "")),
        "conjugates": but(SOLUTION["curvature"], ("point.T @ inner", "point.conj().T @ inner")),
        "adjoint with real weights": but(SOLUTION["curvature"], ("point.T @ inner", "W.T @ inner")),
        "real states": but(
            SOLUTION["curvature"], ("np.tanh(point @ x[-1] + u_t)", "np.tanh(W @ x[-1] + u_t)")
        ),
        "length of the direction lost": but(
            SOLUTION["curvature"], (" * size / len(u)", " / len(u)")
        ),
        "transposed": but(SOLUTION["curvature"], ("return total.imag", "return total.T.imag")),
        "squares of absolute values": but(
            SOLUTION["curvature"], ("1 - squashed**2", "1 - np.abs(squashed) ** 2")
        ),
        "nan for no direction": but(
            SOLUTION["curvature"], ("return np.zeros(W.shape)\n", "pass\n")
        ),
        "step that is too long": SOLUTION["curvature"].replace("1e-100", "1e-2"),
        "adjoint without the leak": but(
            SOLUTION["curvature"], ("(1 - a) * adjoint + point.T @ inner", "point.T @ inner")
        ),
        "real part": but(SOLUTION["curvature"], ("total.imag / 1e-100 * size", "total.real")),
        "difference of gradients": DIFFERENCE_OF_GRADIENTS,
        "loop over entries, too slow and not exact": DIFFERENCES_OF_COSTS,
    },
}

OWN_GROWTH = """
powers = [own_matrix]
while len(powers) < 3000:
    powers.append(powers[-1] @ own_matrix)
sizes = np.array([np.linalg.svd(M, compute_uv=False)[0] for M in powers])
own_radius, own_peak = np.max(np.diag(own_matrix)), np.max(sizes)
own_when = 1 + np.argmax(sizes)
own_last = max([0, *(1 + np.flatnonzero(sizes >= 1))])
"""

RIGHT = {
    "roll_out": {
        "one sequence after the other, sums written out": """
def roll_out(a, W, x0, u):
    N, S, n = np.shape(u)
    starts = np.broadcast_to(x0, (S, n))
    result = np.zeros((N, S, n))
    for s in range(S):
        x = np.array(starts[s], dtype=float)
        for t in range(N):
            z = np.array([sum(W[i, j] * x[j] for j in range(n)) for i in range(n)])
            x = x + a * (np.tanh(z + u[t, s]) - x)
            result[t, s] = x
    return result


own_end = roll_out(own_leak, own_weights, np.zeros((4, 5)), own_inputs)[29].tolist()
""",
    },
    "masked_cost": {
        "sums written out": """
def masked_cost(x, y, mask):
    total = count = 0
    for t, row in enumerate(mask):
        for s, counts in enumerate(row):
            if counts:
                count += 1
                total += sum((float(p) - float(q)) ** 2 for p, q in zip(x[t, s], y[t, s]))
    return total / count if count else 0
""",
    },
    "gradient": {
        "forwards, with all sensitivities": """
def gradient(a, W, x, u, y, mask):
    n = len(W)
    E = np.eye(n * n).reshape(n * n, n, n)
    total = np.zeros(n * n)
    for s in range(x.shape[1]):
        X = np.zeros((n * n, n))
        for t in range(len(u)):
            slope = 1 - np.tanh(W @ x[t, s] + u[t, s]) ** 2
            X = (1 - a) * X + a * slope * (E @ x[t, s] + X @ np.transpose(W))
            total = total + 2 * mask[t, s] * (X @ (x[t + 1, s] - y[t, s]))
    return total.reshape(n, n) / np.count_nonzero(mask)
""",
        "slope from the states, Jacobians written out": """
def gradient(a, W, x, u, y, mask):
    total = 0.0
    for s in range(x.shape[1]):
        adjoint = np.zeros(len(W))
        for t in reversed(range(len(u))):
            adjoint = adjoint + 2.0 * mask[t, s] * (x[t + 1, s] - y[t, s])
            slope = a * (1 - ((x[t + 1, s] - (1 - a) * x[t, s]) / a) ** 2)
            total = total + np.outer(slope * adjoint, x[t, s])
            A = (1 - a) * np.eye(len(W)) + np.diag(slope) @ W
            adjoint = A.T @ adjoint
    return total / np.sum(mask)
""",
    },
    "slope": {
        "a complex step": """
def slope(a, W, D, x0, u, y):
    size = np.linalg.norm(D) or 1.0
    V, x, total = W + 1e-60j * D / size, np.asarray(x0), 0.0
    for u_t, y_t in zip(u, y):
        x = x + a * (np.tanh(V @ x + u_t) - x)
        total = total + ((x - y_t) ** 2).sum()
    return size * total.imag / 1e-60 / len(u)
""",
    },
    "differences": {
        "two central differences combined, roots": """
def five_point(values, h):
    v = np.asarray(values, dtype=float)
    near, far = (v[2] - v[1]) / (2 * h), (v[3] - v[0]) / (4 * h)
    return near + (near - far) / 3


def best_step(M, sigma):
    h = np.exp(np.log(45 * sigma / (4 * M)) / 5)
    return [h, 15 * sigma / (8 * h)]
""",
    },
    "growth": {
        "rescaled by the largest entry, singular values": """
def log_norms(A):
    P, scale, logs = np.eye(len(A[0])), 0.0, []
    for A_t in A:
        P = np.matmul(A_t, P)
        largest = np.abs(P).max()
        P = P / largest
        scale += np.log(largest)
        logs.append(scale + np.log(np.linalg.svd(P, compute_uv=False)[0]))
    return logs

"""
        + OWN_GROWTH,
    },
    "curvature": {
        "backward recursion differentiated": """
def curvature(a, W, D, x0, u, y):
    x, dx = [np.asarray(x0, float)], [np.zeros(len(x0))]
    s, ds = [], []
    for u_t in u:
        h = np.tanh(W @ x[-1] + u_t)
        dz = D @ x[-1] + W @ dx[-1]
        s.append(1 - h**2)
        ds.append(-2 * h * (1 - h**2) * dz)
        dx.append((1 - a) * dx[-1] + a * s[-1] * dz)
        x.append((1 - a) * x[-1] + a * h)
    q = dq = np.zeros(len(x0))
    total = np.zeros((len(x0), len(x0)))
    for t in range(len(u) - 1, -1, -1):
        q, dq = q + 2 * (x[t + 1] - y[t]), dq + 2 * dx[t + 1]
        p, dp = a * s[t] * q, a * (ds[t] * q + s[t] * dq)
        total += np.outer(dp, x[t]) + np.outer(p, dx[t])
        q, dq = (1 - a) * q + W.T @ p, (1 - a) * dq + W.T @ dp + D.T @ p
    return total / len(u)
""",
    },
}
