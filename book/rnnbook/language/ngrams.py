"""Language models that count: what a network has to beat."""

from collections import Counter, defaultdict

import numpy as np

from rnnbook.language.corpora import Corpus
from rnnpedagogy._validation import (
    a_collection,
    an_instance,
    integer_array,
    positive_integer,
    takes,
)


def _discount(counts):
    """``n_1 / (n_1 + 2 n_2)``, from how many counts are one and two; ½ where none is one."""
    once, twice = (sum(count == k for count in counts) for k in (1, 2))
    return once / (once + 2 * twice) if once else 0.5


class Unigram:
    r"""Single words, whatever came before: :math:`p(w) = (c_w + 1) / (N + |V|)`.

    Parameters
    ----------
    corpus : Corpus
        Its training part, ``N`` words, gives the counts ``c``.
    """

    @takes(corpus=an_instance(Corpus))
    def __init__(self, corpus):
        self.corpus = corpus
        counts = np.bincount(corpus.train, minlength=len(corpus.vocabulary)) + 1.0
        self.single = counts / counts.sum()

    def probability(self, previous, words):
        """``p(w | v)`` for words ``w`` after words ``v``: indices that broadcast."""
        size = len(self.single)
        words = integer_array("words", words, below=size)
        previous = integer_array("previous", previous, below=size)
        return np.broadcast_to(self.single[words], np.broadcast_shapes(words.shape, previous.shape))

    def perplexity(self, part="test"):
        """``exp(−mean log p)`` over all words of a part of the corpus."""
        words = self.corpus.part(part)
        return float(np.exp(-np.log(self.probability(self.corpus.before(words), words)).mean()))


class Bigram(Unigram):
    r"""Pairs of words that back off to single ones, by absolute discounting.

    After a word ``v`` that occurs, every pair gives up a discount ``d``, which goes to the
    frequencies of single words:

    .. math::

        p(w \mid v) = \frac{\max(c_{vw} - d, 0)}{c_v} + \frac{d\, n_v}{c_v}\, p(w),

    where ``n_v`` is the number of different words after ``v``. After any other, it is ``p(w)``.

    Parameters
    ----------
    corpus : Corpus
        Its training part gives the counts ``c``.

    Attributes
    ----------
    discount : float
        :math:`d = n_1 / (n_1 + 2 n_2)`, with the numbers of pairs that occur once and twice; ½ if
        there are none.

    References
    ----------
    H. Ney, U. Essen, R. Kneser, On structuring probabilistic dependences in stochastic language
    modelling, Computer Speech and Language 8 (1994).
    """

    @takes(corpus=an_instance(Corpus))
    def __init__(self, corpus):
        super().__init__(corpus)
        size = len(self.single)
        before = corpus.before(corpus.train)
        self.pairs, self.counts = np.unique(before * size + corpus.train, return_counts=True)
        self.discount = _discount(self.counts.tolist())
        self.occurrences = np.bincount(before, minlength=size)
        self.followers = np.bincount(self.pairs // size, minlength=size)

    def probability(self, previous, words):
        single = super().probability(previous, words)
        pairs = np.multiply(previous, len(self.single), dtype=np.int64) + words
        place = np.minimum(np.searchsorted(self.pairs, pairs), len(self.pairs) - 1)
        counts = np.where(self.pairs[place] == pairs, self.counts[place], 0)
        occurrences = self.occurrences[previous]
        often = np.maximum(counts - self.discount, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            mixed = (often + self.discount * self.followers[previous] * single) / occurrences
        return np.where(occurrences > 0, mixed, single)


class KneserNey:
    r"""Interpolated Kneser–Ney counting: longer contexts lean on shorter ones.

    With ``h`` the last ``n − 1`` words and ``h'`` these without the first,

    .. math::

        p_n(w \mid h) = \frac{\max(c_n(hw) - d_n, 0) + d_n\, m_n(h)\, p_{n-1}(w \mid h')}
                             {\sum_v c_n(hv)},

    where ``m_n(h)`` is the number of different words after ``h``, :math:`p_0 = 1/|V|`, and
    :math:`p_n = p_{n-1}` after an ``h`` that never occurred. For the largest ``n``, the order,
    ``c`` counts occurrences; below it, it counts how many different words precede ``hw``.

    Parameters
    ----------
    corpus : Corpus
        Its training part gives the counts.
    order : int
        Number of words in the longest count: the context and the word itself.

    Attributes
    ----------
    discounts : list of float
        :math:`d_n = n_1 / (n_1 + 2 n_2)` for n = 1 … order, with the numbers of counts that are one
        and two; ½ where no count is one.

    References
    ----------
    H. Ney, U. Essen, R. Kneser (1994) for discounting by a constant; S. F. Chen, J. Goodman, An
    empirical study of smoothing techniques for language modeling, Computer Speech and Language 13
    (1999).
    """

    @takes(corpus=an_instance(Corpus))
    def __init__(self, corpus, order):
        self.corpus, self.order = corpus, positive_integer("order", order)
        words = self._padded("train")
        counts = Counter(zip(*(words[k:] for k in range(order)), strict=False))
        self.discounts, self._after = [], []
        for _ in range(order):
            after = defaultdict(dict)
            for gram, count in counts.items():
                after[gram[:-1]][gram[-1]] = count
            self.discounts.insert(0, _discount(counts.values()))
            self._after.insert(0, {h: (sum(c.values()), c) for h, c in after.items()})
            counts = Counter(gram[1:] for gram in counts)

    def probability(self, context, word):
        """``p(w | context)``; of the words of the context the last ``order − 1`` count."""
        words = [*a_collection("context", context), word]
        words = integer_array("context and word", words, below=len(self.corpus.vocabulary))
        return self._probability(words[:-1].tolist(), words[-1])

    def _probability(self, context, word):
        context, p = tuple(context), 1 / len(self.corpus.vocabulary)
        for n, (discount, after) in enumerate(zip(self.discounts, self._after, strict=True)):
            if n > len(context) or (seen := after.get(context[len(context) - n :])) is None:
                break
            total, counts = seen
            p = (max(counts.get(word, 0) - discount, 0) + discount * len(counts) * p) / total
        return p

    def perplexity(self, part="test"):
        """``exp(−mean log p)`` over all words of a part of the corpus."""
        words, reach = self._padded(part), self.order - 1
        p = [self._probability(words[k - reach : k], words[k]) for k in range(reach, len(words))]
        return float(np.exp(-np.log(p).mean()))

    def _padded(self, part):
        """A part, and enough ends of a sentence before it."""
        words = self.corpus.part(part)
        return [int(self.corpus.before(words)[0])] * (self.order - 1) + words.tolist()
