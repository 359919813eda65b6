import numpy as np
import pytest
from rnnbook.experiments import words
from rnnbook.language import Grammar, LanguageModel, load_corpus

from rnnpedagogy.cells import LSTM
from rnnpedagogy.stability import contraction_certificate


@pytest.fixture(scope="module")
def model():
    return LanguageModel(LSTM(3, 4), load_corpus("grammar", vocabulary=90), dropout=0.0)


@pytest.fixture
def params(model):
    return model.init_params(np.random.default_rng(0), dtype=np.float64)


def test_smaller_parts_are_the_lines_of_the_files(tmp_path):
    (tmp_path / "valid.txt").write_text("a b\n\nc a\n")
    (tmp_path / "test.txt").write_text("b b a\nc c\na\nb\n")
    corpus = words._smaller_parts(tmp_path, vocabulary=None)
    parts = [corpus.decode(corpus.part(part)) for part in ("train", "valid", "test")]
    # The test part has 11 words with its ends of lines; the line with the middle stays whole.
    assert parts == ["a b\n\nc a\n", "b b a\nc c\n", "a\nb\n"]


def test_excess_of_a_model_that_knows_nothing(model, params):
    """Uniform probabilities: D(true ‖ uniform) = log V − H, exactly."""
    params |= {name: 0 * params[name] for name in ("weight_ho", "bias_o")}
    found = words._excess(model, params)
    grammar = Grammar()
    state, entropies = 0, []
    p = grammar.probabilities
    entropy = -(p * np.log(np.where(p > 0, p, 1))).sum(axis=1)
    place = {word: k for k, word in enumerate(grammar.words)}
    for word in model.corpus.test:
        entropies.append(entropy[state])
        state = grammar.successors[state, place[model.corpus.vocabulary[word]]]
    expected = np.log(len(model.corpus.vocabulary)) - np.mean(entropies)
    np.testing.assert_allclose(found["excess"], expected, rtol=1e-6)  # stored in float32
    # A main verb after a clause is one of four: D = log V − log 4.
    expected = np.log(len(model.corpus.vocabulary) / 4)
    np.testing.assert_allclose(found["excess/clause"], expected, rtol=1e-6)


def test_windows_of_a_network_without_memory(model, params):
    """Without recurrent weights, and with forget gates closed, one word is the whole window."""
    H = model.cell.hidden_size
    params["weight_hh"] = 0 * params["weight_hh"]
    params["weight_ih"][H : 2 * H] = 0
    params["bias"][H : 2 * H] = -800  # σ(−800) is zero in float64
    found = words._windows(model, params, np.random.default_rng(0), places=50)
    # Differences of rounded sums of 90 terms, stored in float32.
    np.testing.assert_allclose(found["window/divergence"], 0, atol=1e-12)
    np.testing.assert_allclose(found["window/perplexity"], found["window/whole"], rtol=1e-6)


def test_the_certified_projection_keeps_inputs_within_one(params):
    params["embedding"] *= 50
    params["weight_hh"] *= 10
    params["bias"] += 5
    project = words.network(words.CONFIG | {"network": "sLSTM certified"}, 3)[1]
    projected = words._project_all(project, params)
    assert np.abs(projected["embedding"]).max() == 1
    assert contraction_certificate(projected, input_bound=1.0).holds
    found = words._certificate(range(1), 0, projected)
    # The published row sums and φ = 0.6 give a rate of at most 0.93.
    assert found[0] <= 0.931
    assert words._certificate(range(1), 1, projected) is None
