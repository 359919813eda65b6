"""Texts for the word language model: three corpora behind one loader."""

import re
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from rnnbook.language.grammar import END, Grammar
from rnnpedagogy._validation import a_path, choice, integer_array, positive_integer, takes

UNKNOWN = "<unk>"
SHARES = {"train": 0.8, "valid": 0.1, "test": 0.1}
PARTS = tuple(SHARES)
ABOUT_FOLDERS = (
    "A folder holds the parts train, valid and test as .txt or .tokens: UTF-8, words between "
    "spaces, for instance the word-level WikiText-2 of Merity et al. (2016), archive wikitext-2-v1."
)


@dataclass(frozen=True)
class Corpus:
    """A text in three parts, as indices into a vocabulary.

    Attributes
    ----------
    train, valid, test : array of int, shape (N,)
        The words of each part, as places in ``vocabulary``.
    vocabulary : tuple of str
        ``"<unk>"``, which stands for all words that are not in it, ``"<eos>"``, which ends each
        line, and the other words, the most frequent ones of the training part first.
    checksum : str
        SHA-256 of the words of all parts, before rare ones are replaced: records of results hold
        it.
    """

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    vocabulary: tuple
    checksum: str

    def part(self, name):
        """The words of ``"train"``, ``"valid"`` or ``"test"``."""
        return getattr(self, choice("part", name, PARTS))

    def before(self, words):
        """The word before each of ``words``; a text begins after the end of a line."""
        return np.concatenate([self.encode([END]), words[:-1]])

    def streams(self, part, batch_size):
        """Cut a part into streams of equal length, to be read side by side.

        Parameters
        ----------
        part : {"train", "valid", "test"}
            Which part.
        batch_size : int
            Number ``B`` of streams; up to ``B − 1`` words at the end are left over.

        Returns
        -------
        before, words : array of int, shape (L, B)
            Each word and the one before it, which for the first word of a stream is the last one
            of the stream to the left.
        """
        words = self.part(part)
        B = positive_integer("batch_size", batch_size)
        if len(words) < B:
            raise ValueError(
                f"batch_size must be at most {len(words)}, the words of {part}, got {B}"
            )
        used = len(words) // B * B
        pair = self.before(words)[:used], words[:used]
        return tuple(array.reshape(B, -1).T for array in pair)

    @takes
    def encode(self, words):
        """Places of words in the vocabulary; that of ``"<unk>"`` for those that are not in it."""
        if not all(isinstance(word, str) for word in words):
            raise TypeError(f"words must be a list of words, got {words!r}")
        return _encode(words, self.vocabulary)

    def decode(self, indices):
        """The text with these places in the vocabulary, one line up to each ``"<eos>"``."""
        indices = integer_array("indices", indices, shape=("N",), below=len(self.vocabulary))
        text = " ".join(self.vocabulary[k] for k in indices)
        return re.sub(f" ?{END} ?", "\n", text)


@takes(name=a_path)
def load_corpus(name, *, vocabulary=2000):
    r"""Load a text by name, or from a folder.

    - ``"grammar"``: 100,000 words of training text and 20,000 each for validation and test, drawn
      from `Grammar` with a fixed seed: the same on every machine, with a known entropy rate.
    - ``"pydoc"``: the help texts of Python's own language reference, ``pydoc_data.topics``, as the
      running interpreter has them. Topics are dealt to the parts as wholes, and a passage that has
      occurred before is left out. The text, under Python's own licence, differs between versions.
    - a folder with the files ``train``, ``valid`` and ``test``, ``.txt`` or ``.tokens``, with or
      without ``wiki.`` in front, as WikiText-2 has them: UTF-8, words between spaces. Every line,
      an empty one as well, ends with ``"<eos>"``, which gives the published numbers of words.

    Parameters
    ----------
    name : str or path
        ``"grammar"``, ``"pydoc"`` or the path of a folder.
    vocabulary : int or None
        Size of the vocabulary, ``"<unk>"`` and ``"<eos>"`` included; None for all words of the
        training part. Words as frequent as each other are taken in alphabetical order.

    Returns
    -------
    Corpus

    Raises
    ------
    FileNotFoundError
        If there is neither a corpus nor a folder of that name, or a file is missing.
    ValueError
        If a part is empty or not UTF-8.

    References
    ----------
    WikiText-2: S. Merity, C. Xiong, J. Bradbury, R. Socher, Pointer sentinel mixture models,
    arXiv:1609.07843 (2016).
    """
    if vocabulary is not None:
        vocabulary = positive_integer("vocabulary", vocabulary, minimum=3)
    if name == "grammar":
        parts = _grammar_text()
    elif name == "pydoc":
        parts = _pydoc_text()
    else:
        parts = _folder_text(Path(name))
    return corpus_of(parts, vocabulary)


def corpus_of(parts, vocabulary):
    """The `Corpus` of three lists of words, in a vocabulary taken from those for training."""
    counts = Counter(parts["train"])
    del counts[END], counts[UNKNOWN]
    by_frequency = sorted(counts, key=lambda word: (-counts[word], word))
    kept = (UNKNOWN, END, *by_frequency[: None if vocabulary is None else vocabulary - 2])
    return Corpus(
        **{part: _encode(words, kept) for part, words in parts.items()},
        vocabulary=kept,
        checksum=sha256("\n".join(map(" ".join, parts.values())).encode()).hexdigest(),
    )


def _encode(words, vocabulary):
    place = {word: k for k, word in enumerate(vocabulary)}
    return np.array([place.get(word, place[UNKNOWN]) for word in words], int)


def _grammar_text():
    grammar = Grammar()
    streams = np.random.default_rng(0).spawn(3)
    return {
        part: [grammar.words[k] for k in grammar.sample(rng, length)]
        for part, length, rng in zip(PARTS, (100_000, 20_000, 20_000), streams, strict=True)
    }


def _pydoc_text():
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise FileNotFoundError(
            "looked for the module pydoc_data.topics, which belongs to Python's standard library: "
            "this installation has left it out; take another one, or another corpus"
        ) from None
    parts, seen = {part: [] for part in PARTS}, set()
    # An order that depends on nothing but the names: the topics of a part are of all sorts.
    for topic in sorted(topics, key=lambda name: sha256(name.encode()).digest()):
        part = min(PARTS, key=lambda part: len(parts[part]) / SHARES[part])
        for passage in re.split(r"\n\s*\n", topics[topic].lower()):
            # A row of one sign, such as the line under a title, is one word, however long it is.
            passage = re.sub(r"([^\w\s])\1{2,}", r" \1 ", passage)
            words = tuple(re.findall(r"\w+|[^\w\s]", passage))
            if words and words not in seen:
                seen.add(words)
                parts[part] += [*words, END]
    return parts


def _folder_text(folder):
    if not folder.is_dir():
        raise FileNotFoundError(
            f"looked for a folder {str(folder)!r}, which does not exist: name must be 'grammar', "
            f"'pydoc' or a folder. {ABOUT_FOLDERS}"
        )
    return {part: read_part(folder, part) for part in PARTS}


def read_part(folder, part):
    """The words of one part of a folder in the layout of WikiText-2, an end after each line."""
    names = [f"{front}{part}{end}" for front in ("", "wiki.") for end in (".txt", ".tokens")]
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"looked for {' or '.join(names)} in {str(folder)!r}, found none. {ABOUT_FOLDERS}"
        )
    try:
        with path.open(encoding="utf-8") as lines:
            words = [word for line in lines for word in (*line.split(), END)]
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{str(path)!r} must be UTF-8, got the byte {error.object[error.start]:#04x} at place "
            f"{error.start}: save it as UTF-8. {ABOUT_FOLDERS}"
        ) from None
    if set(words) <= {END}:
        raise ValueError(f"looked for words in {str(path)!r}, found none. {ABOUT_FOLDERS}")
    return words
