"""Language models that count: what a network has to beat."""

import numpy as np

from rnnpedagogy._validation import integer_array


class Unigram:
    r"""Single words, whatever came before: :math:`p(w) = (c_w + 1) / (N + |V|)`.

    Parameters
    ----------
    corpus : Corpus
        Its training part, ``N`` words, gives the counts ``c``.
    """

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

    def __init__(self, corpus):
        super().__init__(corpus)
        size = len(self.single)
        before = corpus.before(corpus.train)
        self.pairs, self.counts = np.unique(before * size + corpus.train, return_counts=True)
        once, twice = (np.count_nonzero(self.counts == k) for k in (1, 2))
        self.discount = once / (once + 2 * twice) if once else 0.5
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
