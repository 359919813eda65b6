"""The word language model: predict the next word from all words before it."""

from dataclasses import replace

import numpy as np

from rnnbook.language.corpora import Corpus
from rnnpedagogy._validation import (
    an_instance,
    integer_array,
    non_negative,
    pair_of,
    real_array,
    takes,
)
from rnnpedagogy.cells import readout
from rnnpedagogy.costs import Cost
from rnnpedagogy.gradients import bptt


class LanguageModel:
    r"""A recurrent network that gives each word a probability: an objective for training.

    The input is a row of the embedding :math:`E`, one for each word; the linear readout gives each
    word of the vocabulary a score:

    .. math::

        x_t = f(x_{t-1}, E_{w_{t-1}}; \theta), \qquad
        p(w_t \mid w_1, …, w_{t-1}) = \mathrm{softmax}(W_{ho} h_t + b_o)_{w_t}.

    Training reads the text as ``batch_size`` parallel streams in segments of ``length`` words. The
    state is carried from segment to segment, derivatives are not.

    Dropout, in training only, multiplies each entry of the embedded words by 0 or, with probability
    ``1 − dropout``, by ``1/(1 − dropout)``, and each hidden unit in the readout as well. For a
    hidden unit the factor is drawn once for a segment and serves all its steps and streams, where
    the paper draws anew for each: it is then a factor of a column of ``weight_ho``, and the network
    is one that `bptt` knows.

    Parameters
    ----------
    cell : Cell
        The map ``f``; its input size is the length of an embedded word.
    corpus : Corpus
        The text.
    batch_size, length : int
        Parallel streams, and words in a segment.
    dropout : float
        Probability in ``[0, 1)``.

    References
    ----------
    Ribeiro et al., AISTATS 2020, the task of a word language model. Factors kept for a sequence: Y.
    Gal, Z. Ghahramani, A theoretically grounded application of dropout in recurrent neural
    networks, NeurIPS 2016.
    """

    @takes(corpus=an_instance(Corpus))
    def __init__(self, cell, corpus, *, batch_size=32, length=35, dropout=0.3):
        self.cell, self.corpus = cell, corpus
        self.batch_size, self.length, self.dropout = batch_size, length, dropout
        self._train = corpus.streams("train", self.batch_size)

    @takes
    def init_params(self, rng, *, dtype=np.float32):
        """Parameters of the cell and its readout, and ``embedding``, uniform on ``[−0.1, 0.1]``.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of randomness.
        dtype : {numpy.float32, numpy.float64}
            Type of the parameters.

        Returns
        -------
        dict of numpy.ndarray
            As `Cell.init_params`, and ``embedding``, shape ``(V, m)``.
        """
        size = len(self.corpus.vocabulary)
        params = self.cell.init_params(rng, output_size=size, dtype=dtype)
        embedding = rng.uniform(-0.1, 0.1, size=(size, self.cell.input_size))
        return params | {"embedding": embedding.astype(dtype)}

    def split(self, params):
        """The embedding, and the parameters of the cell with its readout."""
        if "embedding" not in params:
            raise ValueError(f"params must include 'embedding', got {sorted(params)}")
        shape = (len(self.corpus.vocabulary), self.cell.input_size)
        embedding = real_array("embedding", params["embedding"], shape=shape)
        return embedding, {name: params[name] for name in params if name != "embedding"}

    def batches(self, rng):
        """The segments of an epoch, in order: the words before, and the words, ``(T, B)`` each."""
        before, words = self._train
        for k in range(0, len(words), self.length):
            yield before[k : k + self.length], words[k : k + self.length]

    @takes(batch=pair_of(integer_array))
    def gradient(self, params, batch, state, rng):
        """Cost of a segment in nats per word, and its gradient.

        Parameters
        ----------
        params : dict of array
            As from `init_params`.
        batch : pair of array of int, shape (T, B)
            As from `batches`.
        state : array, shape (B, n), or None
            Where the segment before ended; zero for None.
        rng : numpy.random.Generator
            Draws what is dropped.

        Returns
        -------
        Gradient
        """
        before, words = batch
        size = len(self.corpus.vocabulary)
        before = integer_array("batch", before, shape=("T", "B"), below=size)
        embedding, network = self.split(params)
        drop_inputs = self._factors(rng, (*before.shape, self.cell.input_size), embedding.dtype)
        drop_hidden = self._factors(rng, self.cell.hidden_size, embedding.dtype)
        inputs = embedding[before] * drop_inputs
        cost = Cost(self.cell, inputs, words, state=state, loss="cross-entropy")
        thinned = network | {"weight_ho": network["weight_ho"] * drop_hidden}
        found = bptt(cost, thinned, inputs=True)
        by_word = np.zeros_like(embedding)
        np.add.at(by_word, before, found.inputs * drop_inputs)
        by_name = found.params | {
            "weight_ho": found.params["weight_ho"] * drop_hidden,
            "embedding": by_word,
        }
        return replace(found, params={name: by_name[name] for name in params}, inputs=None)

    def _factors(self, rng, shape, dtype):
        """What dropout multiplies with: 0, or ``1/(1 − dropout)``."""
        kept = rng.random(shape, dtype=np.float32) >= self.dropout
        return kept.astype(dtype) / dtype.type(1 - self.dropout)

    def fingerprint(self):
        """A text that tells one objective from another."""
        corpus = f"{self.corpus.checksum} {len(self.corpus.vocabulary)}"
        settings = f"{self.batch_size} {self.length} {self.dropout}"
        return f"LanguageModel {self.cell!r} {corpus} {settings}"

    @takes
    def perplexity(self, params, part="test", *, batch_size=1):
        """``exp`` of the mean cost in nats per word over a part of the corpus, without dropout.

        Parameters
        ----------
        params : dict of array
            As from `init_params`.
        part : {"train", "valid", "test"}
            Which part.
        batch_size : int
            Read the text in so many parallel streams: faster, but each starts from the state zero,
            and a few words at the end are left out.

        Returns
        -------
        float
        """
        embedding, network = self.split(params)
        before, words = self.corpus.streams(part, batch_size)
        cost = Cost(self.cell, embedding[before], words, loss="cross-entropy")
        return float(np.exp(float(cost(network))))  # in float32 it may overflow

    @takes
    def generate(self, params, rng, length, *, temperature=1.0, start=("<eos>",)):
        """Draw words one after the other, each from the probabilities given all before it.

        Parameters
        ----------
        params : dict of array
            As from `init_params`.
        rng : numpy.random.Generator
            Draws one uniform number for each word.
        length : int
            How many words.
        temperature : float
            Divides the scores: below one, likely words become more likely; at zero the most likely
            word is taken.
        start : sequence of str
            Words to begin with; they are not part of what is returned.

        Returns
        -------
        array of int, shape (length,)
            To be read with ``corpus.decode``.
        """
        temperature = non_negative("temperature", temperature)
        embedding, network = self.split(params)
        network, _ = self.cell.check_params(network)
        begin = self.corpus.encode(start)
        if not begin.size:
            raise ValueError(f"start must hold at least one word, got {start!r}")
        state = self.cell.zero_state(dtype=embedding.dtype)
        for word in begin[:-1]:
            state = self.cell.step(network, state, embedding[word])
        words = [begin[-1]]
        for number in rng.random(length):
            state = self.cell.step(network, state, embedding[words[-1]])
            scores = readout(network, self.cell.hidden(state))
            words.append(_draw(scores.astype(np.float64), temperature, number))
        return np.array(words[1:])


def _draw(scores, temperature, number):
    """The place of a uniform ``number`` in the distribution ``softmax(scores / temperature)``."""
    if temperature == 0:
        return scores.argmax()
    sums = np.cumsum(np.exp((scores - scores.max()) / temperature))
    return np.searchsorted(sums, number * sums[-1], side="right")
