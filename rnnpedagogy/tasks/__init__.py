"""What networks are trained on: keep a frequency going, remember symbols, predict the next word."""

from rnnpedagogy.tasks.corpora import Corpus, load_corpus
from rnnpedagogy.tasks.grammar import Grammar
from rnnpedagogy.tasks.language import LanguageModel
from rnnpedagogy.tasks.ngrams import Bigram, Unigram
from rnnpedagogy.tasks.sequences import (
    Task,
    accuracy,
    sine_generation,
    symbol_classification,
    symbol_splits,
)

__all__ = [
    "Bigram",
    "Corpus",
    "Grammar",
    "LanguageModel",
    "Task",
    "Unigram",
    "accuracy",
    "load_corpus",
    "sine_generation",
    "symbol_classification",
    "symbol_splits",
]
