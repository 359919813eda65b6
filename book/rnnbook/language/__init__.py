"""The language of page 11: a grammar and other texts, models that count, and the network."""

from rnnbook.language.corpora import Corpus, load_corpus
from rnnbook.language.grammar import Grammar
from rnnbook.language.model import LanguageModel
from rnnbook.language.ngrams import Bigram, KneserNey, Unigram

__all__ = ["Bigram", "Corpus", "Grammar", "KneserNey", "LanguageModel", "Unigram", "load_corpus"]
