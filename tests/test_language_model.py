from dataclasses import replace

import numpy as np
import pytest
from rnnbook.language import Grammar, LanguageModel, load_corpus
from strategies import CELLS, assert_equal_to_rounding, assert_same_params, every_cell

from rnnpedagogy.cells import LSTM, Elman
from rnnpedagogy.costs import Cost
from rnnpedagogy.gradients import bptt


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    for part, text in {
        "train": "a b c a b\nb a c c\na a b c b a c\n",
        "valid": "c b a\na b\n",
        "test": "b b a c\n",
    }.items():
        (folder / f"{part}.txt").write_text(text)
    return load_corpus(folder)


def model_of(corpus, kind="LSTM", *, batch_size=2, **settings):
    model = LanguageModel(CELLS[kind](3, 4), corpus, batch_size=batch_size, **settings)
    return model, model.init_params(np.random.default_rng(0), dtype=np.float64)


def test_streams_are_the_text_side_by_side(corpus):
    before, words = corpus.streams("train", 3)
    assert before.shape == words.shape == (6, 3)  # 19 words: one is left over
    np.testing.assert_array_equal(words.T.ravel(), corpus.train[:18])
    np.testing.assert_array_equal(before.T.ravel(), [1, *corpus.train[:17]])
    model, _ = model_of(corpus, batch_size=3, length=4)
    batches = list(model.batches(None))
    assert [len(pair[0]) for pair in batches] == [4, 2]
    for whole, parts in zip((before, words), zip(*batches, strict=True), strict=True):
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_without_a_network_every_word_is_as_likely_as_any_other(corpus):
    model, params = model_of(corpus)
    params |= {name: 0 * params[name] for name in ("weight_ho", "bias_o")}
    np.testing.assert_allclose(model.perplexity(params), 5, rtol=1e-14)


def test_a_readout_of_logarithms_is_a_model_of_single_words(corpus):
    model, params = model_of(corpus)
    share = np.array([0.1, 0.2, 0.3, 0.25, 0.15])
    params |= {"weight_ho": 0 * params["weight_ho"], "bias_o": np.log(share)}
    expected = np.exp(-np.log(share[corpus.test]).mean())
    np.testing.assert_allclose(model.perplexity(params), expected, rtol=1e-14)
    drawn = model.generate(params, np.random.default_rng(0), 4000)
    # Frequencies of 4000 independent words: standard deviation at most ½/√4000 = 0.0079.
    assert np.abs(np.bincount(drawn, minlength=5) / 4000 - share).max() < 4 * 0.0079
    colder = model.generate(params, np.random.default_rng(0), 4000, temperature=0.5)
    np.testing.assert_allclose(
        np.bincount(colder, minlength=5) / 4000, share**2 / (share**2).sum(), atol=4 * 0.0079
    )
    assert set(model.generate(params, np.random.default_rng(0), 20, temperature=0)) == {2}


def test_the_words_of_a_bigram_network_are_those_before(corpus):
    # A network with no memory that adds up nothing: x_t = E_{w_{t-1}}, one-hot, and the readout
    # gives the successor of each word a high score. Free running repeats the cycle a b c.
    cell = Elman(5, 5, activation="identity")
    model = LanguageModel(cell, corpus, batch_size=1)
    a, b, c = corpus.encode(["a", "b", "c"])
    after = np.zeros((5, 5))
    after[[b, c, a, a], [a, b, c, 1]] = 50
    params = {
        "weight_ih": np.eye(5),
        "weight_hh": np.zeros((5, 5)),
        "bias": np.zeros(5),
        "weight_ho": after,
        "bias_o": np.zeros(5),
        "embedding": np.eye(5),
    }
    drawn = model.generate(params, np.random.default_rng(0), 7)
    assert corpus.decode(drawn) == "a b c a b c a"
    drawn = model.generate(params, np.random.default_rng(0), 3, start=["a", "b"])
    assert corpus.decode(drawn) == "c a b"


@every_cell
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_the_gradient_is_that_of_the_cost_with_factors_written_out(corpus, kind, dropout):
    model, params = model_of(corpus, kind, batch_size=2, length=5, dropout=dropout)
    batch = next(model.batches(None))
    before, words = batch
    state = np.random.default_rng(1).normal(size=(2, model.cell.state_size))
    found = model.gradient(params, batch, state, np.random.default_rng(2))
    assert list(found.params) == list(params)

    # The same draws, and the derivative along a direction in all parameters by a central
    # difference: truncation h²/6 ≈ 2e-11 and rounding eps/h ≈ 2e-11, times derivatives of a few.
    def cost(params):
        rng = np.random.default_rng(2)
        keep = 1 - dropout
        factors = (rng.random((5, 2, 3), dtype=np.float32) >= dropout) / keep
        hidden = (rng.random(4, dtype=np.float32) >= dropout) / keep
        network = {name: params[name] for name in params if name != "embedding"}
        network["weight_ho"] = network["weight_ho"] * hidden
        inputs = params["embedding"][before] * factors
        return Cost(model.cell, inputs, words, state=state, loss="cross-entropy")(network)

    rng, h = np.random.default_rng(3), 1e-5
    np.testing.assert_allclose(found.value, cost(params), rtol=1e-14)
    for name in params:
        v = rng.normal(size=params[name].shape)
        ends = [cost(params | {name: params[name] + s * h * v}) for s in (1, -1)]
        difference = (ends[0] - ends[1]) / (2 * h)
        np.testing.assert_allclose((found.params[name] * v).sum(), difference, atol=1e-9)


def test_a_word_that_occurs_twice_collects_both_derivatives(corpus):
    model, params = model_of(corpus, batch_size=2, length=4, dropout=0.0)
    before, words = batch = next(model.batches(None))
    found = model.gradient(params, batch, None, np.random.default_rng(0))
    embedding, network = model.split(params)
    cost = Cost(model.cell, embedding[before], words, loss="cross-entropy")
    by_input = bptt(cost, network, inputs=True).inputs
    for word in range(5):
        expected = by_input[before == word].sum(axis=0)
        assert_equal_to_rounding(found.params["embedding"][word], expected)


def test_carried_states_join_the_segments(corpus):
    model, params = model_of(corpus, batch_size=3, length=2, dropout=0.0)
    state, values, rng = None, [], np.random.default_rng(0)
    for batch in model.batches(rng):
        found = model.gradient(params, batch, state, rng)
        state = found.last_state
        values.append(found.value)
    # Three segments of equal length: their mean is the cost of the three streams as wholes.
    mean = np.exp(np.mean(values))
    np.testing.assert_allclose(model.perplexity(params, "train", batch_size=3), mean, rtol=1e-14)


def test_dropout_keeps_the_mean_and_is_off_for_the_perplexity(corpus):
    model, params = model_of(corpus, batch_size=2, length=4, dropout=0.3)
    batch = next(model.batches(None))
    first, same, other = (
        model.gradient(params, batch, None, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    assert first.value == same.value != other.value
    assert_same_params(first.params, same.params, units=0)
    assert model.perplexity(params) == model_of(corpus, dropout=0.0)[0].perplexity(params)
    # 30,000 ± 145 of 100,000 entries are dropped, the others make up for them.
    factors = model._factors(np.random.default_rng(0), 100_000, np.dtype(np.float64))
    values, counts = np.unique(factors, return_counts=True)
    np.testing.assert_allclose(values, [0, 1 / 0.7])
    assert abs(counts[0] - 30_000) < 4 * 145


def test_a_fingerprint_tells_objectives_apart(corpus):
    variants = [
        {},
        {"kind": "GRU"},
        {"batch_size": 3},
        {"length": 34},
        {"dropout": 0.2},
        {"corpus": replace(corpus, checksum="another")},
        {"corpus": replace(corpus, vocabulary=corpus.vocabulary[:4])},
    ]
    texts = [model_of(**{"corpus": corpus} | settings)[0].fingerprint() for settings in variants]
    assert len(set(texts)) == len(texts)
    assert model_of(corpus)[0].fingerprint() == texts[0]


def test_float32_stays_float32(corpus):
    model, _ = model_of(corpus, batch_size=2)
    params = model.init_params(np.random.default_rng(0))
    rng = np.random.default_rng(0)
    found = model.gradient(params, next(model.batches(rng)), None, rng)
    arrays = [found.value, found.last_state, *found.params.values()]
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}


def test_a_small_network_learns_the_small_language():
    # One epoch of plain gradient descent: far below what single words allow, above the floor.
    corpus = load_corpus("grammar")
    model = LanguageModel(LSTM(8, 16), corpus, batch_size=50, length=20, dropout=0.0)
    rng = np.random.default_rng(0)
    params, state = model.init_params(rng), None
    for batch in model.batches(rng):
        found = model.gradient(params, batch, state, rng)
        state = found.last_state
        params = {name: params[name] - 4 * found.params[name] for name in params}
    reached = model.perplexity(params, "valid", batch_size=20)
    assert np.exp(Grammar().entropy_rate) < reached < np.exp(Grammar().conditional_entropy(0)) / 2


def test_bad_arguments_are_named(corpus):
    cell = LSTM(3, 4)
    with pytest.raises(ValueError, match="batch_size must be a positive integer, got 0"):
        LanguageModel(cell, corpus, batch_size=0)
    with pytest.raises(
        ValueError, match="batch_size must be at most 19, the words of train, got 20"
    ):
        LanguageModel(cell, corpus, batch_size=20)
    with pytest.raises(ValueError, match="length must be a positive integer"):
        LanguageModel(cell, corpus, batch_size=1, length=0)
    for dropout, message in ((1.0, "below 1, got 1.0"), (-0.1, "at least 0, got")):
        with pytest.raises(ValueError, match=f"dropout must be .*{message}"):
            LanguageModel(cell, corpus, batch_size=1, dropout=dropout)
    model, params = model_of(corpus, batch_size=1)
    rng = np.random.default_rng(0)
    with pytest.raises(TypeError, match="words must be a collection, got 'the end'"):
        model.generate(params, rng, 3, start="the end")
    _, network = model.split(params)
    with pytest.raises(ValueError, match="params must include 'embedding', got"):
        model.perplexity(network)
    with pytest.raises(ValueError, match=r"got embedding of shape \(5, 2\), expected \(5, 3\)"):
        model.perplexity(params | {"embedding": np.zeros((5, 2))})
    with pytest.raises(ValueError, match="part must be one of"):
        model.perplexity(params, "dev")
    with pytest.raises(ValueError, match="temperature must be a finite number of at least 0"):
        model.generate(params, rng, 5, temperature=-1)
    with pytest.raises(ValueError, match="start must hold at least one word"):
        model.generate(params, rng, 5, start=[])
