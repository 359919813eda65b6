"""A small language whose entropy rate is known exactly.

A sentence is a subject and its verb. A relative clause may come between the two, with a subject and
a verb of its own: *the boats that a tall farmer builds sink*. A verb agrees with its subject in
number and in kind: people sing, boats sink, farmers build what horses only follow. To predict a
verb, one has to remember the subjects that still wait for theirs, the last one first.
"""

import math
from bisect import bisect

import numpy as np

from rnnpedagogy._validation import integer_array, positive_integer, takes

END = "<eos>"
LARGEST_TABLE = 10**8  # numbers: of contexts, words and states
NUMBERS = ("singular", "plural")
DETERMINERS = {"the": 0.5, "a": 0.15, "every": 0.1, "some": 0.15, "all": 0.1}
NUMBER_OF = {"a": "singular", "every": "singular", "some": "plural", "all": "plural"}
ADJECTIVES = ("tall", "small", "green", "quiet", "famous", "strange")
ADVERBS = ("today", "again", "often", "alone")
# For each kind its nouns in the singular, its verbs in main and in relative clauses in the plural:
# the other number is the one with an s.
LEXICON = {
    "person": (
        ("farmer", "sailor", "teacher", "neighbour"),
        ("sing", "laugh", "speak", "write"),
        ("build", "paint", "buy", "describe"),
    ),
    "animal": (
        ("horse", "dog", "bird", "bear"),
        ("sleep", "eat", "run", "breathe"),
        ("follow", "hear", "bite", "guard"),
    ),
    "thing": (
        ("boat", "wall", "river", "tower"),
        ("sink", "fall", "shine", "tremble"),
        ("hide", "surround", "support", "block"),
    ),
}


class Grammar:
    r"""A probabilistic grammar in which the words so far determine the state.

    The state is what the future depends on: the place in the sentence, and number and kind of each
    subject that waits for its verb. From a state ``s`` a word ``w`` leads to one state only. So the
    state can be read off the words, and their entropy rate is the mean entropy of the next word,

    .. math:: H = -\sum_s \pi_s \sum_w p(w \mid s) \log p(w \mid s),

    with the stationary probabilities ``π`` of the states. No model has a smaller expected
    cross-entropy: ``exp(H)`` is the floor of every perplexity.

    Parameters
    ----------
    depth : int
        How many subjects may wait at the same time: 1 for sentences without relative clauses.

    Attributes
    ----------
    words : tuple of str
        All words, ``"<eos>"`` at the end of a sentence among them.
    states : tuple
        All states; the first one is the start of a sentence.
    probabilities : array, shape (states, words)
        ``p(w | s)``.
    successors : array of int, shape (states, words)
        The state that follows; −1 where the word is impossible.
    stationary : array, shape (states,)
        ``π``.

    References
    ----------
    C. E. Shannon, A mathematical theory of communication, Bell System Technical Journal 27 (1948),
    section 7: the entropy of a source whose state follows from what it has sent.
    """

    def __init__(self, *, depth=2):
        self.depth = positive_integer("depth", depth)
        rules = {}
        reached = [("determiner", None, ())]
        for state in reached:  # grows while it is read
            rules[state] = self._rules(*state)
            found = dict.fromkeys(to for _, to in rules[state].values())
            reached += [to for to in found if to not in reached]
        self.states = tuple(rules)
        self.words = tuple(dict.fromkeys(word for rule in rules.values() for word in rule))
        row = {state: s for s, state in enumerate(self.states)}
        column = {word: w for w, word in enumerate(self.words)}
        self.probabilities = np.zeros((len(row), len(column)))
        self.successors = np.full((len(row), len(column)), -1)
        for state, rule in rules.items():
            for word, (probability, to) in rule.items():
                self.probabilities[row[state], column[word]] = probability
                self.successors[row[state], column[word]] = row[to]
        self.stationary = self._stationary()

    def _rules(self, place, number, waiting):
        """From each word that may come in a state to its probability and the next state."""
        start = ("determiner", None, ())
        if place == "determiner":
            return {
                word: (p, ("noun", NUMBER_OF.get(word), waiting)) for word, p in DETERMINERS.items()
            }
        if place == "noun":
            numbers = [number] if number else NUMBERS
            rule = _alike(ADJECTIVES, 0.3, (place, number, waiting))
            for kind, (nouns, _, _) in LEXICON.items():
                for each in numbers:
                    forms = nouns if each == "singular" else [word + "s" for word in nouns]
                    to = ("that or verb", None, (*waiting, (each, kind)))
                    rule |= _alike(forms, 0.7 / (len(numbers) * len(LEXICON)), to)
            return rule
        if place == "that or verb" and len(waiting) < self.depth:
            verbs = self._rules("verb", None, waiting)
            rule = {word: (0.6 * p, to) for word, (p, to) in verbs.items()}
            return rule | {"that": (0.4, ("determiner", None, waiting))}
        if place in ("that or verb", "verb"):
            *others, (each, kind) = waiting
            _, main, relative = LEXICON[kind]
            verbs = relative if others else main
            forms = [word + "s" for word in verbs] if each == "singular" else verbs
            to = ("verb", None, tuple(others)) if others else ("adverb or end", None, ())
            return _alike(forms, 1.0, to)
        if place == "adverb or end":
            return _alike(ADVERBS, 0.3, ("end", None, ())) | {END: (0.7, start)}
        return {END: (1.0, start)}

    def _stationary(self):
        """``π``: a distribution that the transition matrix ``M`` of the states leaves as it is."""
        s, w = np.nonzero(self.probabilities)
        M = np.zeros((len(self.states), len(self.states)))
        np.add.at(M, (s, self.successors[s, w]), self.probabilities[s, w])
        # πᵀ(M − 1) = 0 leaves one equation too many; πᵀ 1 = 1 takes its place.
        equations = M.T - np.eye(len(M))
        equations[0] = 1
        return np.linalg.solve(equations, np.eye(len(M))[0])

    @property
    def entropy_rate(self):
        """``H`` in nats per word, the end of a sentence counted as a word."""
        return float(self.stationary @ _entropy(self.probabilities))

    def conditional_entropy(self, order):
        """The entropy of a word given the ``order`` words before it, in nats: what an n-gram needs.

        It falls from the entropy of single words, ``order = 0``, towards the entropy rate.

        Parameters
        ----------
        order : int
            Length of the context, at least 0. The number of contexts grows with it exponentially.

        Returns
        -------
        float
        """
        order = positive_integer("order", order, minimum=0)
        contexts = self.stationary[np.newaxis]  # of each context, joint with each state after it
        for k in range(order):
            shape = len(contexts), len(self.words), len(self.states)
            if math.prod(shape) > LARGEST_TABLE:
                raise ValueError(f"order must be at most {k} for this grammar, got {order}")
            longer = np.zeros(shape)
            for s, w in np.argwhere(self.probabilities):
                longer[:, w, self.successors[s, w]] += contexts[:, s] * self.probabilities[s, w]
            contexts = longer.reshape(-1, len(self.states))
            contexts = contexts[contexts.any(axis=1)]
        joint = contexts @ self.probabilities
        share = joint.sum(axis=1, keepdims=True)
        return float(share[:, 0] @ _entropy(joint / share))

    @takes
    def sample(self, rng, length):
        """Draw words from the start of a sentence on.

        Parameters
        ----------
        rng : numpy.random.Generator
            Draws one uniform number for each word.
        length : int
            How many words.

        Returns
        -------
        array of int, shape (length,)
            Places in ``words``.
        """
        uniform = rng.random(positive_integer("length", length)).tolist()
        sums = self.probabilities.cumsum(axis=1)
        sums[sums >= sums[:, -1:]] = np.inf  # rounded, they may end below one
        edges, successors = sums.tolist(), self.successors.tolist()
        words, state = [], 0
        for number in uniform:
            words.append(bisect(edges[state], number))
            state = successors[state][words[-1]]
        return np.array(words)

    def path(self, words):
        """The state before each word, from the start of a sentence on.

        Parameters
        ----------
        words : array of int, shape (N,)
            Places in ``words``.

        Returns
        -------
        array of int, shape (N,)
            Places in ``states``; −1 after a word that is not possible where it stands.
        """
        path, state = [], 0
        for word in integer_array("words", words, shape=("N",), below=len(self.words)):
            path.append(state)
            state = self.successors[state, word] if state >= 0 else -1
        return np.array(path)

    def log_probabilities(self, words):
        """``log p`` of each word given all words before it, from the start of a sentence on.

        Parameters
        ----------
        words : array of int, shape (N,)
            Places in ``words``.

        Returns
        -------
        array, shape (N,)
            In nats; −∞ from a word on that is not possible where it stands.
        """
        words = integer_array("words", words, shape=("N",), below=len(self.words))
        with np.errstate(divide="ignore"):
            logs = np.log(self.probabilities[self.path(words), words])
        return np.where(np.logical_or.accumulate(np.isneginf(logs)), -np.inf, logs)


def _alike(words, share, to):
    """Words that share a probability in equal parts and lead to the same state."""
    return {word: (share / len(words), to) for word in words}


def _entropy(distributions):
    """``−Σ p log p`` along the last axis."""
    logs = np.log(np.where(distributions > 0, distributions, 1))
    return -(distributions * logs).sum(axis=-1)
