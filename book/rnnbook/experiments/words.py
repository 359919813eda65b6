"""Predicting words (page 11): perplexity, what a repeated word leads to, how much past is used."""

from functools import partial
from pathlib import Path

import numpy as np

from rnnbook.experiments.ends import end_states
from rnnbook.experiments.networks import (
    can_have_certificate,
    first,
    fit,
    float64,
    generators,
    kept,
    network,
    summarise,
)
from rnnbook.experiments.recorders import CertificateRecorder
from rnnbook.language import Bigram, Grammar, LanguageModel, Unigram, load_corpus
from rnnbook.language.corpora import corpus_of, read_part
from rnnbook.language.grammar import END
from rnnpedagogy.dynamics import CellMap, lyapunov_spectrum
from rnnpedagogy.rollout import outputs, rollout
from rnnpedagogy.training import ExponentRecorder

ANALYSIS = 1  # the version of `analyse`, to be raised with every change of what it finds
WINDOWS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 24, 32)  # words that a network may look back
CONFIG = {
    "kind": "words",
    "corpus": "grammar",
    "vocabulary": 90,
    "hidden": 32,
    "embedding": 16,
    "batch": 32,
    "length": 35,
    "dropout": 0.0,
    "epochs": 16,
    "rate": 0.01,
    "factor": 0.3,
    "milestones": [10, 14],
    "clip": 0.25,
    "dtype": "float32",
    "record_every": 4,
    "words": 32,
    "starts": 16,
    "transient": 12000,
    "keep_params": True,
    "forget_bias": None,  # of the LSTM networks at the start; None: drawn like all others
}
PYDOC = CONFIG | {
    "corpus": "pydoc",
    "vocabulary": 1000,
    "hidden": 64,
    "embedding": 32,
    "dropout": 0.3,
    "epochs": 16,
    "rate": 0.005,
    "milestones": [10, 13],
    "keep_params": False,
}
WIKITEXT = PYDOC | {
    "corpus": "WikiText-2, validation part for training, halves of its test part for the others",
    "vocabulary": 2000,
    "epochs": 6,
    "milestones": [4, 5],
}


def train(config, checkpoint=None, wikitext=None):
    """Train a language model; the validation part chooses the epoch.

    Parameters
    ----------
    config : dict
    checkpoint : path, optional
    wikitext : path, optional
        Folder with the parts of WikiText-2; without it the corpus is named by the configuration.

    Returns
    -------
    arrays : dict of array
        ``exponents``: as from `ExponentRecorder`, under the four most frequent words; ``on_text``,
        shape ``(R, 2)``, the same two numbers along the validation part. ``certificate``: as from
        `CertificateRecorder`, with the largest entry of the embedding as the bound on inputs.
    params : dict of array
    """
    _, init_rng, train_rng, start_rng = generators(config)
    model = _model(config, wikitext)
    _, project = network(config, config["embedding"])
    if config["network"] == "sLSTM certified":
        project = partial(_project_all, project)
    params = model.init_params(init_rng, dtype=np.dtype(config["dtype"]).type)
    params = first(params, config, project)
    every = range(config["epochs"] + 1)[:: config["record_every"]]
    starts = _starts(model.cell, start_rng)
    record = {
        "exponents": ExponentRecorder(model.cell, _frequent, starts, 100, 300, epochs=every),
        "on_text": partial(_exponent_on_text, model, every),
    }
    if can_have_certificate(config):
        record["certificate"] = partial(_certificate, every)
    trained = fit(
        model,
        params,
        config,
        train_rng,
        checkpoint=checkpoint,
        project=project,
        validate=partial(model.perplexity, part="valid", batch_size=16),
        record=record,
    )
    arrays = summarise(trained) | {"data": model.corpus.checksum}
    if config["keep_params"]:
        arrays |= kept(trained.best_params)
    return arrays, trained.best_params


def score(config, arrays, params):
    """By what a configuration is chosen: the perplexity on the validation part."""
    model = _model(config, None)
    return {"validation": model.perplexity(params, part="valid", batch_size=16)}


def analyse(config, params, wikitext=None):
    """What a trained language model can do; the test part is looked at once.

    Returns
    -------
    dict of array
        ``perplexity``, ``unigram`` and ``bigram`` on the test part. ``ends/…`` as from
        `end_states`, under the constant words ``ends/words``: the first half are the most frequent
        ones, the second half the rarest. The first half of the starts are states met in the test
        part, the second half random. ``positive_biases``: their share, of an orthogonal network.
        ``window/perplexity`` and ``window/divergence``, shape ``(W,)``: of the network that starts
        from the state zero `WINDOWS` words ago, and ``D(p ‖ q)`` of its probabilities ``q`` from
        those ``p`` of the network that has read all. ``generated``: its own text. For the grammar
        ``floor``, the perplexity of the true probabilities, and ``excess``, see `_excess`.
    """
    *_, rng = generators(config)
    model = _model(config, wikitext)
    _starts(model.cell, rng)  # those of the recorders come first
    arrays = {"perplexity": np.float32(model.perplexity(params))}
    for name, counting in (("unigram", Unigram), ("bigram", Bigram)):
        arrays[name] = np.float32(counting(model.corpus).perplexity())
    if not can_have_certificate(config):  # an orthogonal network: its bias is inside its modReLU
        arrays["positive_biases"] = np.float32((params["bias"] > 0).mean())
    arrays["generated"] = np.array(model.corpus.decode(model.generate(params, rng, 150)))
    params = float64(params)
    arrays |= _windows(model, params, rng)
    if config["corpus"] == "grammar":
        arrays |= _excess(model, params)
    return arrays | _under_constant_words(model, params, rng, config)


def _model(config, wikitext):
    source = config["corpus"] if wikitext is None else wikitext
    load = load_corpus if wikitext is None else _smaller_parts
    corpus = load(source, vocabulary=config["vocabulary"])
    cell, _ = network(config, config["embedding"])
    settings = {name: config[name] for name in ("length", "dropout")}
    return LanguageModel(cell, corpus, batch_size=config["batch"], **settings)


def _starts(cell, rng):
    """Where the orbits start that are recorded in training."""
    return rng.normal(size=(1, cell.state_size))


def _smaller_parts(folder, vocabulary):
    """WikiText-2 without its training part: for a trial only."""
    valid, test = (read_part(Path(folder), part) for part in ("valid", "test"))
    middle = test.index(END, len(test) // 2) + 1
    parts = {"train": valid, "valid": test[:middle], "test": test[middle:]}
    return corpus_of(parts, vocabulary)


def _project_all(project, params):
    """The projection that keeps a certificate for inputs of at most one, and such inputs."""
    return project(params) | {"embedding": np.clip(params["embedding"], -1, 1)}


def _frequent(params):
    return params["embedding"][1:5]


def _certificate(epochs, epoch, params):
    largest = float(np.abs(params["embedding"]).max())
    return CertificateRecorder(epochs, largest)(epoch, params)


def _exponent_on_text(model, epochs, epoch, params, steps=300):
    """Largest exponent, and mean logarithm of the norm of Jacobians, along the validation part."""
    if epoch not in epochs:
        return None
    embedding, params = model.split(params)
    inputs = embedding[model.corpus.valid[: 2 * steps]]
    start = model.cell.zero_state(dtype=inputs.dtype)
    system = CellMap(model.cell, params, inputs)
    found = lyapunov_spectrum(system, start, steps=steps, transient=steps, exponents=1, blocks=1)
    middle = system.run(start, 0, steps)[-1]
    _, jacobians = system.linearise(middle, steps, 2 * steps)
    norms = np.linalg.norm(jacobians, 2, axis=(-2, -1))
    return np.array([found.exponents[0], np.log(norms).mean()])


def _read_text(model, params, part="test"):
    """States after each word of a part, and the words."""
    embedding, network = model.split(params)
    before, words = model.corpus.streams(part, 1)
    states = rollout(model.cell, network, model.cell.zero_state(), embedding[before])
    return states[:, 0], before[:, 0], words[:, 0]


def _log_probabilities(model, params, states):
    """Logarithms of the softmax of the readout."""
    scores = outputs(model.cell, model.split(params)[1], states)
    scores = scores - scores.max(axis=-1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))


def _windows(model, params, rng, places=2000):
    embedding, network = model.split(params)
    states, before, words = _read_text(model, params)
    at = np.sort(rng.choice(np.arange(max(WINDOWS), len(words)), places, replace=False))
    full = _log_probabilities(model, params, states[at])
    perplexity, divergence = [], []
    for k in WINDOWS:
        last = before[at - np.arange(k)[::-1, np.newaxis]]
        short = rollout(model.cell, network, model.cell.zero_state(), embedding[last])[-1]
        logs = _log_probabilities(model, params, short)
        perplexity.append(np.exp(-logs[np.arange(places), words[at]].mean()))
        divergence.append((np.exp(full) * (full - logs)).sum(axis=-1).mean())
    whole = np.exp(-full[np.arange(places), words[at]].mean())
    return {
        "window/words": np.array(WINDOWS),
        "window/perplexity": np.float32(perplexity),
        "window/divergence": np.float32(divergence),
        "window/whole": np.float32(whole),
    }


def _excess(model, params):
    """What the network's probabilities cost more than the true ones, in nats per word.

    Returns
    -------
    dict of array
        ``floor``, the perplexity of the true probabilities on the test part; ``excess``, the mean
        divergence ``D(true ‖ network)`` over all words, ``excess/clause`` over main verbs that
        follow a relative clause, ``excess/other`` over all others.
    """
    grammar = Grammar()
    states, _, words = _read_text(model, params)
    place = model.corpus.encode(grammar.words)
    number = np.empty(len(model.corpus.vocabulary), int)
    number[place] = np.arange(len(place))
    at = grammar.path(number[words])
    true = grammar.probabilities[at]
    floor = np.exp(-np.log(true[np.arange(len(words)), number[words]]).mean())
    logs = _log_probabilities(model, params, states)[:, place]
    divergence = (true * (np.log(np.where(true > 0, true, 1)) - logs)).sum(axis=-1)
    after_clause = np.array([state[0] == "verb" for state in grammar.states])[at]
    return {
        "floor": np.float32(floor),
        "excess": np.float32(divergence.mean()),
        "excess/clause": np.float32(divergence[after_clause].mean()),
        "excess/other": np.float32(divergence[~after_clause].mean()),
    }


def _under_constant_words(model, params, rng, config):
    embedding, network = model.split(params)
    half = config["words"] // 2
    size = len(embedding)
    constant = np.concatenate([np.arange(1, half + 1), np.arange(size - half, size)])
    met = _read_text(model, params)[0]
    count = config["starts"] // 2
    starts = np.concatenate(
        [met[rng.choice(len(met), count)], rng.normal(size=(count, model.cell.state_size))]
    )
    arrays, _ = end_states(
        model.cell,
        network,
        embedding[constant],
        starts,
        transient=config["transient"],
        steps=400,
    )
    names = np.array([model.corpus.vocabulary[k] for k in constant])
    return arrays | {"ends/words": names}
