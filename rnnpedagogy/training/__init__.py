r"""Training: optimisers, learning rates, and a loop that can be killed, resumed and looked into.

What is trained is an *objective*, any object with two methods:

``batches(rng)``
    An iterator over the batches of one epoch.
``gradient(params, batch, state, rng)``
    An object with ``value`` (one number), ``params`` (the gradient, with the keys and shapes of
    ``params``) and ``last_state``, such as `Gradient`. ``state`` is the ``last_state`` of the batch
    before, or ``None`` at the start of an epoch: an objective that carries no state ignores it.
    ``rng`` is for what is drawn anew at each step, such as dropout.

`Sequences`, `FreshSequences`, `Mixture` and `LanguageModel` are such objects. A third method,
``fingerprint()``, may return a text that tells objectives apart: then a checkpoint is not resumed
with other data.

All randomness comes from one generator, and one vector ``θ`` holds all parameters: a run is a
function of its arguments, to the last bit.
"""

from rnnpedagogy.training.loop import Recording, Training, train
from rnnpedagogy.training.objectives import FreshSequences, Mixture, Sequences
from rnnpedagogy.training.optimisers import Adam, SlowAtFirst, clip_by_global_norm
from rnnpedagogy.training.recorders import ExponentRecorder, OrbitRecorder
from rnnpedagogy.training.schedules import StepSchedule
