"""Planted answers to Part IV: each wrong one differs from a right one in the named place."""

from coursework import but

WILSON = """
def wilson(right, total, z):
    k = np.array(right, dtype=float)
    under = z * np.sqrt(z**2 + 4 * k * (1 - k / total))
    ends = [(2 * k + z**2 - under), (2 * k + z**2 + under)]
    return np.moveaxis(np.array(ends) / (2 * (total + z**2)), 0, -1)
"""

COMPARE = """
def compare(validation, test):
    usable = np.where(np.isnan(validation), np.inf, validation)
    settings = usable.argmin(axis=1).tolist()
    a, b = test[0, settings[0]], test[1, settings[1]]
    R, pooled = len(a), np.concatenate([a, b])
    wins = (np.sign(pooled[:, None] - pooled) + 1) / 2
    pairs = wins[:R, R:].sum()
    ways = []
    for chosen in combinations(range(2 * R), R):
        rest = np.setdiff1d(np.arange(2 * R), chosen)
        ways.append(wins[np.ix_(chosen, rest)].sum())
    return settings, pairs, sum(way >= pairs for way in ways) / len(ways)

own_settings, _, own_p = compare(own_validation, own_test)
"""

BATCH = """
def batch(symbols, places, distractors, lengths):
    N, B = distractors.shape
    inputs, mask = np.zeros((N, B, 6)), np.zeros((N, B))
    targets = np.zeros(B, dtype=int)
    for b in range(B):
        for t in range(lengths[b]):
            inputs[t, b, 2 + distractors[t, b]] = 1
        for place, symbol in zip(places[b], symbols[b]):
            inputs[place, b] = 0
            inputs[place, b, symbol] = 1
            targets[b] = 2 * targets[b] + symbol
        mask[lengths[b] - 1, b] = 1
    return inputs, targets, mask

def masked_cost(scores, targets, mask):
    best = scores.max(axis=-1, keepdims=True)
    q = np.exp(scores - best)
    total = q.sum(axis=-1)
    right = scores[:, np.arange(len(targets)), targets]
    loss = np.log(total) + best[..., 0] - right
    gradient = q / total[..., None]
    gradient[:, np.arange(len(targets)), targets] -= 1
    gradient = gradient * mask[..., None] / np.sum(mask)
    return np.sum(loss * mask) / np.sum(mask), gradient
"""

UPDATE = """
def update(params, grads, state, rate, clip):
    squares = [np.sum(np.square(g)) for g in grads.values()]
    norm = float(sum(squares)) ** 0.5
    if np.isnan(norm) or np.isinf(norm):
        return params, state
    short = min(1.0, clip / norm) if norm > 0 else 1.0
    k = state["k"] + 1
    m, v, new = {}, {}, {}
    for key in params:
        g = short * grads[key]
        m[key] = state["m"][key] + (1 - 0.9) * (g - state["m"][key])
        v[key] = state["v"][key] + (1 - 0.999) * (g * g - state["v"][key])
        up = m[key] / (1 - 0.9**k)
        down = np.sqrt(v[key] / (1 - 0.999**k)) + 1e-8
        new[key] = params[key] - rate * up / down
    return new, {"k": k, "m": m, "v": v}
"""

BIGRAM = """
def bigram(text, size, discount):
    text = [int(word) for word in text]
    one, two = np.zeros(size), np.zeros((size, size))
    for word in text:
        one[word] += 1
    for h, w in zip(text[:-1], text[1:]):
        two[h, w] += 1
    kinds = np.count_nonzero(one)
    p = np.clip(one - discount, 0, None) + discount * kinds / size
    p /= len(text)
    P = np.tile(p, (size, 1))
    for h in range(size):
        followed = two[h].sum()
        if followed:
            handed = discount * np.count_nonzero(two[h]) * p
            P[h] = (np.clip(two[h] - discount, 0, None) + handed) / followed
    return P

def perplexity(P, text):
    costs = [-np.log(P[h, w]) for h, w in zip(text[:-1], text[1:])]
    return np.exp(np.mean(costs))

chances = {d: bigram(own_train, 12, d) for d in DISCOUNTS}
own_discount = min(DISCOUNTS, key=lambda d: perplexity(chances[d], own_valid))
own_perplexity = perplexity(chances[own_discount], own_final)
"""

LARGEST = """
def largest_input(weight_hh, weight_ih, bias):
    H = len(bias) // 4
    i, f, g, o = (np.abs(weight_hh[k * H : (k + 1) * H]) for k in range(4))
    first, out = i.sum(1).max() / 4 + g.sum(1).max(), o.sum(1).max() / 4
    loop = f.sum(1).max() / 4
    roots = np.roots([1 - out, -first, -loop])
    r = roots.max()
    if out >= 1 or r >= 1:
        return 0.0
    border = np.log(1 / r - 1)
    best = np.inf
    for j in range(H):
        room = border - f[j].sum() - bias[H + j]
        if room <= 0:
            return 0.0
        seen = np.abs(weight_ih[H + j]).sum()
        if seen > 0:
            best = min(best, room / seen)
    return best
"""

WINDOWS = """
def windows(W, U, b, inputs, targets, length):
    N = len(inputs)
    V, dW, dU, db = 0.0, 0 * W, 0 * U, 0 * b
    x = np.zeros(len(b))
    for start in range(0, N, length):
        u, y = inputs[start : start + length], targets[start : start + length]
        states = [x]
        for one in u:
            states.append(np.tanh(W @ states[-1] + U @ one + b))
        back = np.zeros(len(b))
        for t in range(len(u) - 1, -1, -1):
            error = states[t + 1] - y[t]
            V += error @ error / (2 * N)
            d = (back + error / N) * (1 - states[t + 1] ** 2)
            dW, dU, db = dW + np.outer(d, states[t]), dU + np.outer(d, u[t]), db + d
            back = d @ W
        x = states[-1]
    return V, dW, dU, db
"""

WALD = """
def wilson(right, total, z):
    share = np.asarray(right) / total
    half = z * np.sqrt(share * (1 - share) / total)
    return np.stack([share - half, share + half], axis=-1)
"""

RIGHT = {
    "wilson": {"roots of the quadratic in counts": WILSON},
    "compare": {"a table of wins": COMPARE},
    "batch": {"loops, and another stable softmax": BATCH},
    "update": {"means as steps towards the gradient": UPDATE},
    "bigram": {"counts in loops": BIGRAM},
    "largest_input": {"roots, unit by unit": LARGEST},
    "windows": {"window by window": WINDOWS},
}

WRONG = {
    "wilson": {
        "the found share under the root": WALD,
        "cut to between zero and one": WALD.replace(
            "np.stack([share - half, share + half], axis=-1)",
            "np.clip(np.stack([share - half, share + half], axis=-1), 0, 1)",
        ),
        "z is always 1.96": but(WILSON, ("k = np", "z = 1.96; k = np")),
        "one number only": but(WILSON, ("k = np.array(right, dtype=float)", "k = float(right)")),
        "ends along the first axis": but(WILSON, (", 0, -1)", ", 0, 0)")),
        "small integers overflow": but(
            WILSON, ("np.array(right, dtype=float)", "np.asarray(right)")
        ),
        "numbers of the visible test": """
def wilson(right, total, z):
    if z == 1.96:
        return np.array([0.595843614502428, 0.982124250484279])
    return np.array([10 / 11, 1.0])
""",
    },
    "compare": {
        "chosen on the test results": but(
            COMPARE, ("usable.argmin(axis=1)", "test.mean(axis=2).argmax(axis=1)")
        ),
        "what diverged is chosen": but(
            COMPARE, ("np.where(np.isnan(validation), np.inf, validation)", "validation")
        ),
        "a tie counts as a win": but(
            COMPARE, ("(np.sign(pooled[:, None] - pooled) + 1) / 2", "pooled[:, None] >= pooled")
        ),
        "a tie counts nothing": but(
            COMPARE, ("(np.sign(pooled[:, None] - pooled) + 1) / 2", "pooled[:, None] > pooled")
        ),
        "the actual way is left out": but(COMPARE, ("way >= pairs", "way > pairs")),
        "two-sided": but(
            COMPARE,
            ("way >= pairs", "abs(way - R * R / 2) >= abs(pairs - R * R / 2)"),
        ),
        "five seeds only": but(COMPARE, ("/ len(ways)", "/ 252")),
        "an order of the networks reversed": but(
            COMPARE,
            (
                "test[0, settings[0]], test[1, settings[1]]",
                "test[1, settings[1]], test[0, settings[0]]",
            ),
        ),
        "own tables: settings from the test": COMPARE
        + "own_settings = own_test.mean(axis=2).argmax(axis=1).tolist()\nown_p = 1 / 252\n",
    },
    "batch": {
        "distractors begin at zero": but(BATCH, ("2 + distractors", "distractors")),
        "the last symbol counts most": but(
            BATCH,
            ("2 * targets[b] + symbol", "targets[b] + symbol * 2 ** list(places[b]).index(place)"),
        ),
        "right for two symbols only": but(
            BATCH,
            (
                "mask[lengths[b] - 1, b] = 1",
                "targets[b] = 2 * symbols[b, 0] + symbols[b, -1]; mask[lengths[b] - 1, b] = 1",
            ),
        ),
        "distractors after the end": but(BATCH, ("range(lengths[b])", "range(N)")),
        "asked one step late": but(BATCH, ("mask[lengths[b] - 1, b]", "mask[lengths[b] % N, b]")),
        "asked at the last step of the array": but(
            BATCH, ("mask[lengths[b] - 1, b]", "mask[-1, b]")
        ),
        "mean over all places": but(
            BATCH, ("np.sum(loss * mask) / np.sum(mask)", "np.mean(loss * mask)")
        ),
        "mean over sequences": but(
            BATCH, ("np.sum(loss * mask) / np.sum(mask)", "np.sum(loss * mask) / mask.shape[1]")
        ),
        "the gradient is not divided": but(
            BATCH, ("mask[..., None] / np.sum(mask)", "mask[..., None]")
        ),
        "the gradient has no mask": but(
            BATCH, ("gradient * mask[..., None] / np.sum(mask)", "gradient / np.sum(mask)")
        ),
        "exponentials overflow": but(
            BATCH, ("scores.max(axis=-1, keepdims=True)", "np.zeros((*mask.shape, 1))")
        ),
        "numbers of the visible test": """
def batch(symbols, places, distractors, lengths):
    shown = np.array([[0, 2], [3, 1], [1, 4], [2, 1], [3, 2]])
    inputs, mask = np.eye(6)[shown], np.zeros((5, 2))
    inputs[4, 0] = 0
    mask[3, 0] = mask[4, 1] = 1
    return inputs, np.array([1, 3]), mask

def masked_cost(scores, targets, mask):
    gradient = np.zeros((5, 2, 4))
    gradient[3, 0] = [0.125, -0.375, 0.125, 0.125]
    return np.log(4), gradient
""",
    },
    "update": {
        "no correction for the start": but(
            but(UPDATE, (" / (1 - 0.9**k)", "")), ("v[key] / (1 - 0.999**k)", "v[key]")
        ),
        "the correction is one update late": but(UPDATE, ('state["k"] + 1', 'state["k"] or 1')),
        "right for the first update only": but(
            UPDATE,
            ('m[key] = state["m"][key] + (1 - 0.9) * (g - state["m"][key])', "m[key] = 0.1 * g"),
        ),
        "goes up": but(UPDATE, ("params[key] - rate", "params[key] + rate")),
        "clips array by array": but(
            UPDATE,
            (
                "g = short * grads[key]",
                "g = grads[key] * min(1, clip / max(np.linalg.norm(grads[key]), 1e-300))",
            ),
        ),
        "clips entries": but(UPDATE, ("short * grads[key]", "np.clip(grads[key], -clip, clip)")),
        "always scales to the clip": but(UPDATE, ("min(1.0, clip / norm)", "clip / norm")),
        "clips after the mean of squares": but(
            UPDATE, ("(g * g - state", "(grads[key] ** 2 - state")
        ),
        "zero divides": but(
            UPDATE, ("short * grads[key]", "grads[key] / np.float64(norm) * min(norm, clip)")
        ),
        "infinite gradients are used": but(UPDATE, ("np.isnan(norm) or np.isinf(norm)", "False")),
        "the skipped update is counted": but(
            UPDATE,
            (
                "        return params, state",
                '        return params, state | {"k": state["k"] + 1}',
            ),
        ),
        "all becomes float64": but(
            UPDATE, ("g = short * grads[key]", "g = short * grads[key].astype(float)")
        ),
        "ε under the root": but(
            UPDATE,
            ("np.sqrt(v[key] / (1 - 0.999**k)) + 1e-8", "np.sqrt(v[key] / (1 - 0.999**k) + 1e-8)"),
        ),
    },
    "bigram": {
        "divides by all occurrences": but(BIGRAM, ("handed) / followed", "handed) / one[h]")),
        "equal chances where nothing follows": but(
            BIGRAM, ("P = np.tile(p, (size, 1))", "P = np.full((size, size), 1 / size)")
        ),
        "nothing is handed down to words that never occur": but(
            BIGRAM, ("discount * kinds / size", "discount * (one > 0)")
        ),
        "rows and columns exchanged": but(BIGRAM, ("two[h, w] += 1", "two[w, h] += 1")),
        "pairs counted once": but(BIGRAM, ("two[h, w] += 1", "two[h, w] = 1")),
        "right for texts with every word only": but(
            BIGRAM, ("kinds = np.count_nonzero(one)", "kinds = size")
        ),
        "perplexity divides by all words": but(
            BIGRAM, ("np.mean(costs)", "np.sum(costs) / len(text)")
        ),
        "perplexity to the base two": but(
            BIGRAM, ("np.exp(np.mean(costs))", "2 ** np.mean(costs)")
        ),
        "discount chosen on the third text": but(
            BIGRAM, ("perplexity(chances[d], own_valid)", "perplexity(chances[d], own_final)")
        ),
        "perplexity of the validation text": but(
            BIGRAM, ("chances[own_discount], own_final", "chances[own_discount], own_valid")
        ),
        "a neighbour's numbers": BIGRAM + "own_discount, own_perplexity = 0.5, 5.0\n",
        "counts in the validation text as well": but(
            BIGRAM, ("bigram(own_train, 12, d)", "bigram(np.append(own_train, own_valid), 12, d)")
        ),
        "numbers of the visible test": """
def bigram(text, size, discount):
    P = np.tile([0.484375, 0.359375, 0.109375, 0.046875], (4, 1))
    P[0] = [0.16145833, 0.61979167, 0.203125, 0.015625]
    return P

def perplexity(P, text):
    return 8**0.5

own_discount, own_perplexity = 0.5, 5.0
""",
    },
    "largest_input": {
        "the bias is missing": but(LARGEST, (" - bias[H + j]", "")),
        "the bias has the wrong sign": but(LARGEST, ("- bias[H + j]", "+ bias[H + j]")),
        "the bias of another gate": but(LARGEST, ("bias[H + j]", "bias[j]")),
        "gates in another order": but(LARGEST, ("i, f, g, o = (", "i, f, o, g = (")),
        "worst row and worst input together": but(
            LARGEST,
            (
                "seen = np.abs(weight_ih[H + j]).sum()",
                "seen = np.abs(weight_ih[H : 2 * H]).sum(1).max()",
            ),
        ),
        "columns instead of rows": but(
            LARGEST,
            ("for k in range(4))\n", "for k in range(4))\n    i, f, g, o = i.T, f.T, g.T, o.T\n"),
        ),
        "spectral norms": but(
            LARGEST, ("loop = f.sum(1).max() / 4", "loop = np.linalg.norm(f, 2) / 4")
        ),
        "the last unit": but(LARGEST, ("best = min(best, room / seen)", "best = room / seen")),
        "right for two units only": but(LARGEST, ("H = len(bias) // 4", "H = 2")),
        "signs of the input weights": but(
            LARGEST, ("np.abs(weight_ih[H + j]).sum()", "weight_ih[H + j].sum()")
        ),
        "never negative is not tested": but(
            but(LARGEST, ("room <= 0", "False")), ("out >= 1 or r >= 1", "False")
        ),
        "the published bound": but(LARGEST, ("r = roots.max()", "r = 0.344")),
        "one at most": but(LARGEST, ("best = np.inf", "best = 1e6")),
        "numbers of the visible test": """
def largest_input(weight_hh, weight_ih, bias):
    return 0.0 if weight_hh.max() > 1 else 2.246577400
""",
    },
    "windows": {
        "the state starts anew": but(WINDOWS, ("x = states[-1]", "x = 0 * x")),
        "the whole gradient": but(
            WINDOWS,
            (
                "    for start in range(0, N, length):",
                "    length = N\n    for start in range(0, N, length):",
            ),
        ),
        "the mean of a window": but(WINDOWS, ("error / N", "error / len(u) * length / N")),
        "divided by the windows": but(
            WINDOWS, ("return V, dW", "dW = dW / (N / length)\n    return V, dW")
        ),
        "the state before a window does not enter dW": but(
            WINDOWS, ("np.outer(d, states[t])", "np.outer(d, states[t] * (t > 0))")
        ),
        "the last window is left out": but(
            WINDOWS, ("range(0, N, length)", "range(0, N - length + 1, length)")
        ),
        "W is not transposed": but(WINDOWS, ("back = d @ W", "back = W @ d")),
        "the slope is missing": but(WINDOWS, (" * (1 - states[t + 1] ** 2)", "")),
        "no derivative through time": but(WINDOWS, ("back = d @ W", "back = 0 * d")),
        "one half is missing": but(WINDOWS, ("/ (2 * N)", "/ N")),
        "windows one step too long": but(
            WINDOWS, ("    for start in", "    length = length + 1\n    for start in")
        ),
        "the sign": but(WINDOWS, ("return V, dW, dU, db", "return V, -dW, -dU, -db")),
    },
}
