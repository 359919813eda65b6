"""Hidden tests of the assignment on attractors, bifurcations and memory."""

import numpy as np
from rnnbook.grading import Wrong, expect

HIDDEN = ("rnnpedagogy", "rnnbook", "autograd")


def words(value, count, what):
    """A tuple of `count` parts, or a sentence."""
    if not isinstance(value, tuple | list) or len(value) != count:
        raise Wrong(f"{what} should be a tuple of {count} parts")
    return tuple(value)


def numbers(value, what):
    """An answer as an array of numbers, or a sentence."""
    try:
        array = np.asarray(value)
    except ValueError:
        raise Wrong(f"{what} has parts of different shapes") from None
    if array.dtype.kind not in "biufc":
        raise Wrong(f"{what} is no number and no array of numbers")
    return array


def step(weight, bias, x):
    """One step of the network, from many states at once."""
    return np.tanh(x @ np.transpose(weight) + bias)


def jacobian(weight, image):
    """The derivative of a step that leads to `image`."""
    return (1 - image**2)[..., np.newaxis] * weight


def newton(weight, bias, starts, period=1, iterations=80):
    """Newton's method from all starts at once; which of them have converged."""
    x, identity = np.array(starts, float), np.eye(len(bias))

    def iterate(x):
        image, product = x, identity
        for _ in range(period):
            image = step(weight, bias, image)
            product = jacobian(weight, image) @ product
        return image, product

    for _ in range(iterations):
        image, product = iterate(x)
        matrix = identity - product + 1e-14 * identity
        x = np.clip(
            x - np.linalg.solve(matrix, (x - image)[..., np.newaxis])[..., 0],
            -1e6,
            1e6,
        )
    return x, np.abs(iterate(x)[0] - x).max(axis=-1) < 1e-11


# Kinds of fixed points


def with_multipliers(rng, blocks):
    """A network with a fixed point that has the multipliers of the blocks."""
    n = sum(len(block) for block in blocks)
    A, at = np.zeros((n, n)), 0
    for block in blocks:
        A[at : at + len(block), at : at + len(block)] = block
        at += len(block)
    change = rng.normal(size=(n, n)) + 2 * np.eye(n)
    A = change @ A @ np.linalg.inv(change)
    point = rng.choice([-1, 1], size=n) * rng.uniform(0.4, 0.9, size=n)
    return A / (1 - point**2)[:, np.newaxis], point


def turning(size, angle):
    """A rotation times a number."""
    c, s = size * np.cos(angle), size * np.sin(angle)
    return np.array([[c, -s], [s, c]])


def name_point(student, report, rng, own):
    """Words for points of all kinds, with two to four units."""

    def named(blocks, correct, sentence):
        compare(*with_multipliers(rng, blocks), correct, sentence)

    def compare(weight, point, correct, sentence):
        value = words(student.name_point(weight, point), 2, "the name")
        if not all(isinstance(word, str) for word in value):
            raise Wrong("the name should be two words")
        if value != correct:
            raise Wrong(sentence)

    def one(low, high):
        return np.array([[rng.choice([-1, 1]) * rng.uniform(low, high)]])

    with report("stable and unstable, two and three units", 2):
        named(
            [one(0.1, 0.9), one(0.1, 0.9)],
            ("stable", "node"),
            "a stable node is misnamed",
        )
        named(
            [one(1.1, 3), one(1.1, 3)],
            ("unstable", "node"),
            "an unstable node is misnamed",
        )
        spiral = turning(rng.uniform(0.5, 0.9), rng.uniform(0.8, 2.2))
        named(
            [spiral, one(0.1, 0.9)],
            ("stable", "focus"),
            "a stable focus is misnamed",
        )
    with report("multipliers whose real parts mislead", 2):
        named(
            [np.array([[-rng.uniform(1.2, 2)]]), np.array([[-0.3]])],
            ("saddle", "node"),
            "the size of a multiplier decides, also where it is negative",
        )
        wide = turning(rng.uniform(1.1, 1.4), 1.4)
        named(
            [wide],
            ("unstable", "focus"),
            "a focus with small real parts is misnamed",
        )
    with report("saddles of more units", 1):
        wide = turning(rng.uniform(1.1, 1.5), rng.uniform(0.5, 2.5))
        blocks = [wide, one(0.1, 0.8), one(0.1, 0.8)]
        named(blocks, ("saddle", "focus"), "a saddle of four units is misnamed")
    with report("a weight matrix that stretches much", 1):
        A = np.array([[0.5, 40.0], [0.0, -0.4]])
        sentence = "a matrix with a large norm may have small eigenvalues"
        compare(A, np.zeros(2), ("stable", "node"), sentence)
    with report("marginal points", 2):
        sentence = "a multiplier of size one makes a point marginal"
        named([np.array([[-1.0]]), one(1.5, 3)], ("marginal", "node"), sentence)
        named(
            [turning(1.0, 1.0), one(0.1, 0.5)], ("marginal", "focus"), sentence
        )


# Newton's method


def same_points(value, weight, bias, starts):
    """The list is right, up to points to which one or two starts lead."""
    n = len(bias)
    array = numbers(value, "the list of points")
    if array.dtype.kind == "c" or array.ndim != 2 or array.shape[1] != n:
        raise Wrong(
            "the result should be an array of real numbers of shape (F, n)"
        )
    ends, converged = newton(weight, bias, starts, 1, 60)
    if not np.all(np.isfinite(array)):
        raise Wrong("the list is not finite everywhere")
    if np.any(np.abs(array - step(weight, bias, array)) > 1e-8):
        raise Wrong("the list has points that are not fixed")
    for k in range(len(array)):
        if np.any(np.abs(array[k + 1 :] - array[k]).max(axis=1) <= 1e-6):
            raise Wrong("a fixed point is in the list more than once")
    far = np.abs(ends[converged][:, np.newaxis] - array).max(axis=-1) > 1e-6
    lost = ends[converged][far.all(axis=1)]
    often = [np.sum(np.abs(lost - x).max(axis=1) < 1e-6) >= 3 for x in lost]
    if np.any(often):
        raise Wrong("a fixed point is missing to which several starts lead")


def fixed_points(student, report, rng, own):
    """Lists from many starts, in one to five units."""
    with report("one unit", 3):
        for _ in range(3):
            case = np.array([[rng.uniform(1.5, 3)]]), rng.uniform(-0.1, 0.1, 1)
            starts = np.linspace(-1, 1, 41)[:, np.newaxis]
            same_points(student.fixed_points(*case, starts), *case, starts)
    with report("two units with nine points, saddles among them", 4):
        for coupling in (0.15, 0.0):
            weight = np.diag(rng.uniform(1.8, 2.4, 2))
            weight += coupling * rng.uniform(-1, 1, (2, 2))
            case = weight, rng.uniform(-0.02, 0.02, 2)
            starts = rng.uniform(-1, 1, (100, 2))
            same_points(student.fixed_points(*case, starts), *case, starts)
    with report("more units, and starts that do not converge", 3):
        lost = 0
        while lost < 3:
            weight = 1.6 * rng.normal(size=(5, 5))
            bias, starts = 0.5 * rng.normal(size=5), rng.uniform(-1, 1, (80, 5))
            lost = np.sum(~newton(weight, bias, starts, 1, 60)[1])
        same_points(
            student.fixed_points(weight, bias, starts), weight, bias, starts
        )
    with report("a start at which I - A is singular", 2):
        # The first unit has the slope one at this start, exactly
        weight, bias = (
            np.diag([1.0, -2.0]),
            np.array([rng.choice([0.25, 0.5]), 0.0]),
        )
        starts = np.vstack([[-bias[0], 0.5], rng.uniform(-1, 1, (40, 2))])
        same_points(
            student.fixed_points(weight, bias, starts), weight, bias, starts
        )
    with report("nothing to be found, and integer weights", 2):
        value = student.fixed_points(
            np.eye(3), np.full(3, 0.1), np.zeros((0, 3))
        )
        if numbers(value, "the list of points").shape != (0, 3):
            raise Wrong(
                "without a start the result should have the shape (0, n)"
            )
        weight, starts = (
            np.array([[0, 2], [2, 0]]),
            rng.uniform(-1, 1, (60, 2)),
        )
        case = weight, np.array([0, 0])
        same_points(student.fixed_points(*case, starts), *case, starts)


# Cycles


def some_cycle(rng, n, period, unstable):
    """Weight, bias, a cycle of this smallest period, and its multipliers."""
    while True:
        weight, bias = 1.7 * rng.normal(size=(n, n)), 0.3 * rng.normal(size=n)
        starts = rng.uniform(-1, 1, (20, n))
        if not unstable:
            starts = starts[:5]
            for _ in range(150):
                starts = step(weight, bias, starts)
            image = starts
            for _ in range(period):
                image = step(weight, bias, image)
            starts = starts[np.abs(image - starts).max(axis=1) < 0.01]
            if not len(starts):
                continue
        points, converged = newton(weight, bias, starts, period, 15)
        inside = np.abs(points).max(axis=1) < 0.9999
        for x in points[converged & inside]:
            orbit, product = [x], np.eye(n)
            for _ in range(period):
                image = step(weight, bias, orbit[-1])
                product = jacobian(weight, image) @ product
                orbit.append(image)
            others = np.array(orbit[1:-1]).reshape(-1, n)
            apart = np.abs(others - x).max(axis=1).min(initial=1)
            multipliers = np.linalg.eigvals(product)
            size = np.abs(multipliers).max()
            good = 1.5 < size < 8 if unstable else 0.02 < size < 0.8
            if apart > 0.1 and good:
                return weight, bias, np.array(orbit[:-1]), multipliers


def same_cycle(value, orbit, multipliers):
    """The points in their order; the multipliers in any order."""
    points, found = words(value, 2, "the result")
    repeated = "the orbit ends with a repetition of its first point"
    expect(
        points,
        orbit,
        "the orbit",
        rtol=0,
        atol=1e-8,
        mistakes={
            repeated: np.vstack([orbit, orbit[:1]]),
            "the points should be in the order in which F visits them": orbit[
                ::-1
            ],
            "the first point should be the one next to the guess": np.roll(
                orbit, -1, axis=0
            ),
        },
    )
    found = numbers(found, "the array of multipliers")
    if found.shape != multipliers.shape or not np.all(np.isfinite(found)):
        raise Wrong(
            "there should be n multipliers, finite, in an array of shape (n,)"
        )
    found, correct = np.poly(found), np.poly(multipliers)  # in any order
    expect(found, correct, "the set of the multipliers", rtol=1e-5, atol=1e-6)


def find_cycle(student, report, rng, own):
    """Cycles that attract and repel; periods that are given too large."""

    def case(n, period, unstable, guessed=None):
        weight, bias, orbit, multipliers = some_cycle(rng, n, period, unstable)
        guess = orbit[0] + 1e-5 * rng.normal(size=n)
        same_cycle(
            student.find_cycle(weight, bias, guess, guessed or period),
            orbit,
            multipliers,
        )

    with report("cycles of two and three points that attract", 3):
        case(2, 2, False)
        case(3, 3, False)
    with report("cycles that repel", 4):
        case(2, 2, True)
        case(4, 2, True)
    with report("multipliers of three points of three units", 3):
        case(3, 3, True)
        case(3, 3, True)
    with report("a guess close to a cycle of a smaller period", 4):
        case(2, 1, True, 2)
        case(2, 2, True, 4)


# Bifurcations of the logistic neuron


def boundaries(student, report, rng, own):
    """Both kinds, none, and where two coincide."""

    def biases(w, multiplier):
        """The biases; the states are the roots of x(1 - x) = multiplier/w."""
        x = np.sort(np.roots([1.0, -1.0, multiplier / w]).real)
        return np.sort(np.log(x) - np.log1p(-x) - w * x)

    def case(w, name, correct, mistakes):
        kind, found = words(student.boundaries(w), 2, "the result")
        if not isinstance(kind, str) or kind != name:
            raise Wrong("the bifurcation is misnamed")
        expect(
            found,
            correct,
            "the list of biases",
            rtol=1e-8,
            atol=1e-9,
            mistakes=mistakes,
        )

    with report("two folds", 4):
        for w in rng.uniform(4.5, 12, 3):
            correct = biases(w, 1)
            case(
                float(w),
                "fold",
                correct,
                {"the order should be ascending": correct[::-1]},
            )
    with report("two flips", 4):
        for w in -rng.uniform(4.5, 12, 3):
            correct = biases(w, -1)
            case(
                float(w),
                "flip",
                correct,
                {"the order should be ascending": correct[::-1]},
            )
    with report("no bifurcation", 2):
        for w in (rng.uniform(0.5, 3.9), -rng.uniform(0.5, 3.9), 0.0):
            case(float(w), "none", [], {})
    with report("where two of them meet", 2):
        # σ(±2 ...) = 1/2 at both, so b = -w/2
        case(4.0, "fold", [-2.0], {"the two coincide: give one": [-2.0, -2.0]})
        case(-4.0, "flip", [2.0], {"the two coincide: give one": [2.0, 2.0]})


# Lyapunov exponents


def spectrum(weight, bias, x, skip, steps):
    """The same means by Gram and Schmidt, without a library's QR."""
    n, total = len(bias), np.zeros(len(bias))
    vectors = list(np.eye(n))
    for t in range(skip + steps):
        x = step(weight, bias, x)
        if t < skip:
            continue
        vectors = [jacobian(weight, x) @ v for v in vectors]
        for i in range(n):
            for _ in range(2):
                for u in vectors[:i]:
                    vectors[i] = vectors[i] - (u @ vectors[i]) * u
            size = np.linalg.norm(vectors[i])
            total[i] += np.log(size)
            vectors[i] = vectors[i] / size
    return np.sort(total / steps)[::-1]


def exponents(student, report, rng, own):
    """Runs of all kinds, against Gram and Schmidt."""

    def case(weight, bias, skip, steps):
        x = rng.uniform(-0.5, 0.5, len(bias))
        correct = spectrum(weight, bias, x, skip, steps)
        late = spectrum(weight, bias, x, 0, steps)
        mistakes = {"the first `skip` steps should not count": late}
        if len(bias) > 1:
            alike = np.full(len(bias), correct[0])
            mistakes["all exponents are the largest: is Q carried on?"] = alike
        value = student.exponents(weight, bias, x, skip, steps)
        what = "the array of exponents"
        expect(value, correct, what, rtol=1e-5, atol=1e-7, mistakes=mistakes)

    with report("networks that settle", 4):
        case(np.array([[rng.uniform(1.2, 2)]]), np.zeros(1), 5, 7)
        case(
            turning(rng.uniform(0.5, 0.9), 1.0),
            rng.uniform(-0.3, 0.3, 2),
            20,
            100,
        )
        case(0.4 * rng.normal(size=(4, 4)), rng.uniform(-0.3, 0.3, 4), 3, 50)
    with report("a closed curve, and a few steps in chaos", 3):
        case(turning(rng.uniform(1.1, 1.5), 1.0), np.zeros(2), 50, 300)
        case(
            np.array([[-3.0, 4.0], [-4.0, 4.5]]), np.array([-1.5, -1.0]), 10, 40
        )
    with report("a single step, and nothing skipped", 2):
        case(rng.normal(size=(3, 3)), rng.uniform(-0.3, 0.3, 3), 0, 1)
        case(rng.normal(size=(3, 3)), rng.uniform(-0.3, 0.3, 3), 0, 5)
    with report(
        "a run so long that vectors would grow or shrink to nothing", 3
    ):
        case(
            np.diag([0.3, 0.1]) + np.array([[0, 0.2], [0.05, 0]]),
            np.zeros(2),
            0,
            2000,
        )


# Basins


def latch(rng, n, unit):
    """A network of n units of which one latches; two states on either side."""
    weight = 0.2 * rng.uniform(-1, 1, (n, n))
    weight[unit, unit] = rng.uniform(1.6, 2.2)
    bias = rng.uniform(-0.08, 0.08, n)
    low, high = rng.uniform(-0.5, 0.5, (2, n))
    low[unit], high[unit] = -0.9, 0.9
    return weight, bias, low, high


def edge(weight, bias, low, high):
    """The place of the border, by sections of many starts at a time."""

    def ends(s):
        x = low + s[:, np.newaxis] * (high - low)
        for _ in range(600):
            x = step(weight, bias, x)
        return x

    both = ends(np.array([0.0, 1.0]))
    if np.abs(both[0] - both[1]).max() < 1e-4:
        return None
    inside, outside = 0.0, 1.0
    for _ in range(9):
        s = np.linspace(inside, outside, 33)
        near = np.linalg.norm(ends(s) - both[0], axis=1) < 1e-3
        last = int(np.flatnonzero(near)[-1])
        inside, outside = s[last], s[min(last + 1, 32)]
    return (inside + outside) / 2


def basin_edge(student, report, rng, own):
    """Borders in one to four units, none, and the student's own."""

    def case(network):
        *_, low, high = network
        correct = edge(*network)
        along = (0 - low) / (high - low)  # where one unit crosses zero
        mistakes = {
            "this is half-way between the two states": 0.5,
            "s counts from low, not from high": 1 - correct,
        }
        for crossing in along[(along > 0) & (along < 1)]:
            mistakes["the border is not where a unit is zero"] = crossing
        value = student.basin_edge(*network)
        if value is None:
            raise Wrong("there is a border, but you return None")
        expect(
            value,
            correct,
            "the place of the border",
            rtol=0,
            atol=2e-9,
            mistakes=mistakes,
        )

    with report("two units", 3):
        case(latch(rng, 2, 0))
        case(latch(rng, 2, 1))
    with report("one and four units, and the line in the other direction", 3):
        case(latch(rng, 1, 0))
        weight, bias, low, high = latch(rng, 4, 2)
        case((weight, bias, high, low))
    with report("a line that crosses no border", 2):
        for side in (-1, 1):
            weight, bias, low, high = latch(rng, 2, 1)
            if student.basin_edge(weight, bias, low, high) is None:
                raise Wrong("there is a border, but you return None")
            low[1], high[1] = side * 0.7, side * 0.95
            if student.basin_edge(weight, bias, low, high) is not None:
                raise Wrong("both ends go to the same attractor: return None")
    with report("your own network", 2):
        draw = own("basin_edge")
        weight = np.diag([draw.uniform(-0.5, 0.5), draw.uniform(1.6, 2.2)])
        weight += draw.uniform(-0.3, 0.3, size=(2, 2))
        bias = draw.uniform(-0.08, 0.08, size=2)
        low = np.array([draw.uniform(-0.5, 0.5), -0.9])
        high = np.array([draw.uniform(-0.5, 0.5), 0.9])
        correct = edge(weight, bias, low, high)
        expect(
            student.value("own_edge"),
            correct,
            "your own_edge",
            rtol=0,
            atol=2e-9,
        )


# The passage past a fold


def network_at_a_fold(rng, units):
    """As in the notebook."""
    state = rng.uniform(-0.8, 0.8, size=units)
    slopes = 1 - state**2
    while True:
        weight = np.eye(units) + 0.4 * rng.normal(size=(units, units))
        largest = np.linalg.eigvals(slopes[:, np.newaxis] * weight)
        sizes = np.sort(np.abs(largest))
        first = largest[np.argmax(np.abs(largest))]
        alone = units == 1 or sizes[-2] < 0.8 * sizes[-1]
        if alone and first.real > 0 and abs(first.imag) < 1e-12:
            return weight / first.real, state, rng.normal(size=units)


def constant(weight, state, direction, **wrong):
    """C by singular vectors and a difference quotient, or with a mistake."""
    bias = np.arctanh(state) - weight @ state
    slopes = 1 - state**2
    U, _, V = np.linalg.svd(np.eye(len(state)) - slopes[:, np.newaxis] * weight)
    right = V[-1]
    left = right if wrong.get("same") else U[:, -1]
    if not wrong.get("scaled"):
        left = left / (left @ right)
    h = 1e-3
    there = [
        np.tanh(weight @ (state + k * h * right) + bias)
        for k in (-2, -1, 0, 1, 2)
    ]
    second = np.array([-1, 16, -30, 16, -1]) @ there / (12 * h**2)
    product = (left @ second) / 2 * (left @ (slopes * direction))
    return np.sign(product) * np.pi / np.sqrt(abs(product))


def passage(student, report, rng, own):
    """Size and sign in one to five units, and the student's own."""

    def case(*data):
        correct = constant(*data)
        mistakes = {
            "the sign is wrong": -correct,
            "the ½ of the Taylor formula is missing in a": correct / np.sqrt(2),
            "the left eigenvector is not the right one": constant(
                *data, same=True
            ),
            "ℓᵀr should be 1": constant(*data, scaled=True),
        }
        if len(data[1]) == 1:
            mistakes = dict(list(mistakes.items())[:2])
        expect(
            student.passage(*data), correct, "C", rtol=2e-5, mistakes=mistakes
        )

    with report("one unit", 3):
        for _ in range(3):
            case(*network_at_a_fold(rng, 1))
    with report("two to five units, up to the sign", 5):
        for units in (2, 3, 5):
            data = network_at_a_fold(rng, units)
            value = numbers(student.passage(*data), "C")
            expect(
                np.abs(value), abs(constant(*data)), "the size of C", rtol=2e-5
            )
    with report("the side on which the point has vanished", 3):
        for units in (2, 3, 4):
            weight, state, direction = network_at_a_fold(rng, units)
            case(weight, state, direction)
            case(weight, state, -direction)
            case(weight, -state, direction)
    with report("your own network", 3):
        data = network_at_a_fold(own("passage"), 3)
        expect(
            student.value("own_constant"),
            constant(*data),
            "your own_constant",
            rtol=2e-5,
        )


TASKS = {
    "name_point": name_point,
    "fixed_points": fixed_points,
    "find_cycle": find_cycle,
    "boundaries": boundaries,
    "exponents": exponents,
    "basin_edge": basin_edge,
    "passage": passage,
}
