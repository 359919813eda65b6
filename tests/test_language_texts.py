import hashlib
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from rnnbook.language import Bigram, Grammar, KneserNey, Unigram, load_corpus

GRAMMAR = Grammar()


def indices(sentence):
    return np.array([GRAMMAR.words.index(word) for word in sentence.split()])


def entropy(p):
    return -sum(q * np.log(q) for q in p)


def test_the_entropy_rate_without_clauses_is_that_of_independent_sentences():
    # Sentences are drawn independently: H is the entropy of a sentence over its mean length. The
    # step of adjective or noun is taken 1/0.7 times on average, an adverb 0.3 times.
    article = entropy([0.5, 0.15, 0.1, 0.15, 0.1])
    # The noun is one of 12, or of 24 after "the", which has no number.
    noun = entropy([0.3, 0.7]) + 0.3 * np.log(6) + 0.7 * (np.log(12) + 0.5 * np.log(2))
    end = entropy([0.3, 0.7]) + 0.3 * np.log(4)
    sentence = article + noun / 0.7 + np.log(4) + end
    length = 1 + 1 / 0.7 + 1 + 0.3 + 1
    np.testing.assert_allclose(Grammar(depth=1).entropy_rate, sentence / length, rtol=1e-13)


def test_a_sentence_has_the_probability_of_its_choices():
    words = indices("the boats that a tall farmer builds sink <eos>")
    noun = 0.7 / 12
    expected = [0.5, noun / 2, 0.4, 0.15, 0.3 / 6, noun, 1 / 4, 1 / 4, 0.7]
    np.testing.assert_allclose(np.exp(GRAMMAR.log_probabilities(words)), expected, rtol=1e-14)


def test_the_path_of_a_sentence_is_that_of_its_places():
    places = [GRAMMAR.states[s][0] for s in GRAMMAR.path(indices("the boats that a farmer builds"))]
    assert places == ["determiner", "noun", "that or verb", "determiner", "noun", "that or verb"]
    assert GRAMMAR.path(indices("the boats sinks today")).tolist()[-1] == -1
    with pytest.raises(ValueError, match="words must lie in"):
        GRAMMAR.path(np.array([len(GRAMMAR.words)]))


@pytest.mark.parametrize("verb", ["sinks", "sing", "speak", "hide"])
def test_a_verb_agrees_with_a_subject_far_before_it(verb):
    sentence = f"the boats that a farmer builds {verb} <eos>"
    logs = GRAMMAR.log_probabilities(indices(sentence))
    assert np.isfinite(logs[:-2]).all()
    assert np.isneginf(logs[-2:]).all()


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_probabilities_add_up_and_the_stationary_ones_stay(depth):
    grammar = Grammar(depth=depth)
    P, to, stationary = grammar.probabilities, grammar.successors, grammar.stationary
    np.testing.assert_allclose(P.sum(axis=1), 1, rtol=1e-14)
    assert ((P > 0) == (to >= 0)).all()
    assert (stationary > 0).all()
    after = np.zeros(len(P))
    for s, w in np.argwhere(P):
        after[to[s, w]] += stationary[s] * P[s, w]
    np.testing.assert_allclose(after, stationary, rtol=1e-11)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_true_model_reaches_the_entropy_rate_on_a_sample(depth):
    grammar = Grammar(depth=depth)
    words = grammar.sample(np.random.default_rng(depth), 60_000)
    ends = np.flatnonzero(words == grammar.words.index("<eos>")) + 1
    surprise = -grammar.log_probabilities(words)
    # Sentences are independent, and the surprise of one minus H times its length has mean zero.
    sums = np.diff(np.append(0, np.cumsum(surprise)[ends - 1]))
    excess = sums - grammar.entropy_rate * np.diff(np.append(0, ends))
    assert abs(excess.mean()) < 4 * excess.std() / np.sqrt(len(ends))
    # The test can tell: a rate that is off by two per cent would fail it.
    off = excess - 0.02 * grammar.entropy_rate * np.diff(np.append(0, ends))
    assert abs(off.mean()) > 4 * off.std() / np.sqrt(len(ends))


def test_two_words_of_memory_are_not_enough():
    orders = [GRAMMAR.conditional_entropy(order) for order in range(4)]
    assert (np.diff(orders) < 0).all()
    # Single words miss two nats, one or two words of context a quarter of a nat.
    assert orders[0] > GRAMMAR.entropy_rate + 2
    assert orders[1] > orders[2] > GRAMMAR.entropy_rate + 0.24
    # Independently: frequencies of a long sample. The entropy of frequencies is biased by (number
    # of pairs − number of words) / 2N = 0.001; a standard error is about 1/√N = 0.002.
    words = GRAMMAR.sample(np.random.default_rng(0), 300_000)
    size = len(GRAMMAR.words)
    pairs = np.bincount(words[:-1] * size + words[1:], minlength=size**2).reshape(size, size)
    single = pairs.sum(axis=1)
    joint, alone = (entropy((c[c > 0] / c.sum()).tolist()) for c in (pairs, single))
    np.testing.assert_allclose(alone, orders[0], atol=0.01)
    np.testing.assert_allclose(joint - alone, orders[1], atol=0.01)


def test_bad_arguments_of_a_grammar_are_named():
    with pytest.raises(ValueError, match="depth must be a positive integer, got 0"):
        Grammar(depth=0)
    with pytest.raises(ValueError, match=r"words must lie in \[0, 89\)"):
        GRAMMAR.log_probabilities(np.array([89]))
    with pytest.raises(ValueError, match="order must be an integer of at least 0"):
        GRAMMAR.conditional_entropy(-1)


@pytest.fixture(scope="module")
def small_language():
    return load_corpus("grammar")


def test_the_small_language_is_the_same_everywhere(small_language):
    corpus = small_language
    assert [len(part) for part in (corpus.train, corpus.valid, corpus.test)] == [100_000] + [
        20_000
    ] * 2
    assert corpus.checksum.startswith("2774aa5a59d2968e")
    assert corpus.vocabulary[:4] == ("<unk>", "<eos>", "the", "that")
    assert set(corpus.vocabulary) == {"<unk>", *GRAMMAR.words}
    place = np.array([0, *indices(" ".join(corpus.vocabulary[1:]))])
    for part in ("train", "valid", "test"):
        assert (corpus.part(part) > 0).all()
        assert np.isfinite(GRAMMAR.log_probabilities(place[corpus.part(part)])).all()


def test_counting_models_stay_above_what_they_can_reach(small_language):
    # Their floors are the conditional entropies; fitted on 100,000 words they come within 2 %.
    for model, order in ((Unigram, 0), (Bigram, 1)):
        floor = np.exp(GRAMMAR.conditional_entropy(order))
        # The test part fluctuates by about 1/√20000, or 0.7 %.
        assert 0.98 * floor < model(small_language).perplexity("test") < 1.03 * floor
    assert Bigram(small_language).perplexity() > 1.25 * np.exp(GRAMMAR.entropy_rate)


def fake_topics(monkeypatch, topics):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", SimpleNamespace(topics=topics))


def test_topics_are_dealt_as_wholes_and_repeated_passages_left_out(monkeypatch):
    topics = {name: f"{name} one.\n\nThe same\n passage.\n\n{name}!" for name in "abcdefghij"}
    fake_topics(monkeypatch, topics)
    corpus = load_corpus("pydoc", vocabulary=None)
    text = {part: corpus.decode(corpus.part(part)) for part in ("train", "valid", "test")}
    # Words are unknown outside the training part; the number of lines is not.
    assert sum(part.count("\n") for part in text.values()) == 21
    assert text["train"].count("the same passage .") == 1
    order = sorted(topics, key=lambda name: hashlib.sha256(name.encode()).digest())
    assert text["train"].startswith(f"{order[0]} one .\nthe same passage .\n{order[0]} !\n")
    assert text["valid"] == "<unk> one .\n<unk> !\n"


def test_rows_of_signs_are_one_word(monkeypatch):
    fake_topics(monkeypatch, {name: f"Title\n*****\n\na != b ==> {name}..." for name in "abc"})
    corpus = load_corpus("pydoc", vocabulary=None)
    assert corpus.decode(corpus.train).startswith("title *\na ! = b = = > ")


def test_the_help_texts_of_python_are_a_corpus():
    corpus, again = load_corpus("pydoc"), load_corpus("pydoc")
    assert corpus.checksum == again.checksum
    assert len(corpus.vocabulary) == 2000
    sizes = np.array([len(corpus.part(part)) for part in ("train", "valid", "test")])
    # Whole topics are dealt, of which the largest is below an eighth of the text.
    np.testing.assert_allclose(sizes / sizes.sum(), [0.8, 0.1, 0.1], atol=0.125)
    assert sizes.sum() > 50_000
    lines = [
        {line for line in corpus.decode(corpus.part(part)).splitlines() if "<unk>" not in line}
        for part in ("train", "valid", "test")
    ]
    assert not lines[0] & lines[1] | lines[0] & lines[2] | lines[1] & lines[2]
    assert Bigram(corpus).perplexity() < Unigram(corpus).perplexity() < 2000


def test_python_without_its_help_texts_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(FileNotFoundError, match=r"pydoc_data\.topics.*standard library.*left it"):
        load_corpus("pydoc")


TEXTS = {"train": " \n a b <unk> b\n b c a\n", "valid": "a d\n", "test": "c\n\nb"}


def write(folder, name="{}.txt", **changed):
    for part, text in (TEXTS | changed).items():
        if text is not None:
            content = text if isinstance(text, bytes) else text.encode()
            (folder / name.format(part)).write_bytes(content)
    return folder


@pytest.mark.parametrize("name", ["{}.txt", "{}.tokens", "wiki.{}.tokens"])
@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_a_folder_in_the_layout_of_wikitext(tmp_path, name, kind):
    corpus = load_corpus(kind(write(tmp_path, name)))
    assert corpus.vocabulary == ("<unk>", "<eos>", "b", "a", "c")  # b three times, a twice
    assert corpus.train.tolist() == [1, 3, 2, 0, 2, 1, 2, 4, 3, 1]
    assert corpus.valid.tolist() == [3, 0, 1]
    assert corpus.test.tolist() == [4, 1, 1, 2, 1]
    text = "<eos> a b <unk> b <eos> b c a <eos>\na d <eos>\nc <eos> <eos> b <eos>"
    assert corpus.checksum == hashlib.sha256(text.encode()).hexdigest()
    assert corpus.decode(corpus.test) == "c\n\nb\n"
    assert corpus.encode(["c", "zebra"]).tolist() == [4, 0]
    assert corpus.before(corpus.test).tolist() == [1, 4, 1, 1, 2]


def test_the_rarest_words_become_unknown(tmp_path):
    corpus = load_corpus(write(tmp_path), vocabulary=3)
    assert corpus.vocabulary == ("<unk>", "<eos>", "b")
    assert corpus.train.tolist() == [1, 0, 2, 0, 2, 1, 2, 0, 0, 1]


LAYOUT = r".*train, valid and test.*UTF-8.*WikiText-2 of Merity et al\. \(2016\)"


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        (
            {"valid": None},
            FileNotFoundError,
            r"looked for valid\.txt or valid\.tokens or wiki\.val",
        ),
        ({"test": ""}, ValueError, r"looked for words in '.*test\.txt', found none\."),
        ({"train": " \n\n"}, ValueError, r"looked for words in '.*train\.txt', found none\."),
        (
            {"valid": b"caf\xe9 a"},
            ValueError,
            r"valid\.txt' must be UTF-8, got the byte 0xe9 at pl",
        ),
    ],
)
def test_what_is_wrong_with_a_folder_is_said(tmp_path, changed, error, message):
    write(tmp_path, **changed)
    with pytest.raises(error, match=message + LAYOUT):
        load_corpus(tmp_path)


def test_unknown_names_are_named():
    message = (
        "looked for a folder 'wikitext', which does not exist: name must be 'grammar', 'pydoc'"
    )
    with pytest.raises(FileNotFoundError, match=message + LAYOUT):
        load_corpus("wikitext")
    with pytest.raises(ValueError, match="vocabulary must be an integer of at least 3, got 2"):
        load_corpus("grammar", vocabulary=2)
    with pytest.raises(ValueError, match="part must be one of 'train', 'valid', 'test', got 'dev'"):
        load_corpus("grammar").part("dev")


def test_probabilities_of_words_by_hand(tmp_path):
    write(tmp_path, train="a b a b a c\n", test="a b\n")
    corpus = load_corpus(tmp_path)  # <unk> <eos> a b c
    single = np.array([1, 2, 4, 3, 2]) / 12  # counts 0, 1, 3, 2, 1, and one more each
    every = np.arange(5)
    np.testing.assert_allclose(Unigram(corpus).probability(2, every), single, rtol=1e-15)
    # Pairs: <eos> a, c <eos>, a c once; b a, a b twice: d = 3 / (3 + 2·2).
    model, d = Bigram(corpus), 3 / 7
    assert model.discount == d
    after_a = np.array([0, 0, 0, 2 - d, 1 - d]) / 3 + d * 2 / 3 * single
    np.testing.assert_allclose(model.probability(2, every), after_a, rtol=1e-15)
    np.testing.assert_allclose(model.probability(0, every), single, rtol=1e-15)  # never seen
    after_b = [0, 0, (2 - d) / 2, 0, 0] + d / 2 * single
    after_end = [0, 0, 1 - d, 0, 0] + d * single
    expected = (after_end[2] * after_a[3] * after_b[1]) ** (-1 / 3)
    np.testing.assert_allclose(model.perplexity(), expected, rtol=1e-14)


@pytest.mark.parametrize("model", [Unigram, Bigram])
def test_distributions_add_up_to_one(model):
    corpus = load_corpus("pydoc")
    every = np.arange(len(corpus.vocabulary))
    some = every[::10, np.newaxis]
    probability = model(corpus).probability(some, every)
    assert (probability > 0).all()
    # A sum of 2000 terms with rounding errors of eps each.
    np.testing.assert_allclose(probability.sum(axis=-1), 1, rtol=1e-12)
    # Numbers of pairs are beyond the type in which the words came.
    narrow = model(corpus).probability(some.astype(np.int16), every.astype(np.int16))
    np.testing.assert_array_equal(narrow, probability)
    with pytest.raises(ValueError, match=r"words must lie in \[0, 2000\)"):
        model(corpus).probability(0, 2000)


def test_kneser_ney_by_hand(tmp_path):
    write(tmp_path, train="a b a b a c\n", test="a b\n")
    corpus = load_corpus(tmp_path)  # <unk> <eos> a b c: the text is e e a b a b a c e
    end, a, b, c = corpus.encode(["<eos>", "a", "b", "c"]).tolist()
    model = KneserNey(corpus, 2)
    # Five different pairs: ea, ab twice, ba twice, ac, ce. Before a: e and b; before e, b, c one.
    assert model.discounts == [3 / (3 + 2 * 1), 3 / (3 + 2 * 2)]
    low, d = model.discounts
    single = {w: (n - low) / 5 + low * 4 / 5 / 5 for w, n in ((end, 1), (a, 2), (b, 1), (c, 1))}
    assert model.probability((a,), b) == pytest.approx((2 - d + d * 2 * single[b]) / 3, rel=1e-14)
    assert model.probability((a,), a) == pytest.approx(d * 2 * single[a] / 3, rel=1e-14)
    # A word that never occurred has only what is left of the uniform distribution, and after it
    # nothing is known but single words.
    assert model.probability((a,), 0) == pytest.approx(d * 2 / 3 * low * 4 / 25, rel=1e-14)
    assert model.probability((0,), c) == pytest.approx(single[c], rel=1e-14)
    chain = [model.probability((v,), w) for v, w in ((end, a), (a, b), (b, end))]
    assert model.perplexity() == pytest.approx(np.prod(chain) ** (-1 / 3), rel=1e-14)


def test_kneser_ney_without_a_count_of_one(tmp_path):
    write(tmp_path, train="a a\n" * 3, test="a\n")
    corpus = load_corpus(tmp_path)
    model = KneserNey(corpus, 1)  # a six times, the end three times: d = 0/0
    assert model.discounts == [0.5]
    a = int(corpus.encode(["a"])[0])
    assert model.probability((), a) == pytest.approx((5.5 + 0.5 * 2 / 3) / 9, rel=1e-14)
    with pytest.raises(ValueError, match="order must be a positive integer, got 0"):
        KneserNey(corpus, 0)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_kneser_ney_adds_up_to_one(small_language, order):
    model, words = KneserNey(small_language, order), small_language.test[:200].tolist()
    for end in (0, 1, 4, 50, 120, 200):  # also contexts that are short, or were never seen
        p = [model.probability(words[:end], w) for w in range(90)]
        assert sum(p) == pytest.approx(1, rel=1e-12)
        assert min(p) > 0


def test_kneser_ney_is_above_what_its_order_can_reach(small_language):
    for order, factor in ((2, 1.02), (3, 1.1), (4, 1.2)):  # it sees less and less of a context
        floor = np.exp(GRAMMAR.conditional_entropy(order - 1))
        assert floor < KneserNey(small_language, order).perplexity() < factor * floor
    # A context that was never seen changes nothing: one that is too long falls back.
    model = KneserNey(small_language, 3)
    assert model.probability((0, 0, 2, 5), 7) == model.probability((0, 2, 5), 7)
