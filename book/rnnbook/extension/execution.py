"""When a notebook has to be run again, and in which environment.

Jupyter's execution cache compares notebooks only. Here it has a folder of its own for each state of
the two packages, the pins and Python, so that a change of any of them runs every notebook again.
"""

import hashlib
import os
import shutil
import sys
from pathlib import Path

from rnnbook._environment import ENVIRONMENT

__all__ = ["setup"]

KERNELS = ENVIRONMENT | {
    "RNNBOOK_STATIC": "1",  # prerendered sliders
    "JUPYTER_PREFER_ENV_PATH": "1",  # the kernel of this environment, not one of the user's
    "PYTHONHASHSEED": "0",
}


def fingerprint(root):
    """Hash what the numbers in a notebook depend on, apart from the notebook."""
    digest = hashlib.sha256(sys.version.encode())
    packages = (root / "rnnpedagogy", root / "book" / "rnnbook")
    sources = [path for package in packages for path in package.rglob("*") if path.is_file()]
    for path in [*sorted(sources), root / "requirements.txt"]:
        if "__pycache__" not in path.parts and path.exists():
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def prepare(app, config):
    """Choose the folder of the cache, delete older ones, set the kernels' environment."""
    os.environ.update(KERNELS)
    caches = Path(app.outdir).parent / "executions"
    current = caches / fingerprint(Path(app.srcdir))
    current.mkdir(parents=True, exist_ok=True)
    for old in caches.iterdir():
        if old.is_dir() and old != current:
            shutil.rmtree(old)
    config.nb_execution_cache_path = str(current)


def outdated(app, env, added, changed, removed):
    """Read every notebook again if its outputs come from another cache than the last ones."""
    used = getattr(env, "rnnbook_cache", None)
    env.rnnbook_cache = app.config.nb_execution_cache_path
    if used == env.rnnbook_cache:
        return []
    return [name for name in env.found_docs if env.doc2path(name).endswith(".ipynb")]


def setup(app):
    """Register with Sphinx."""
    app.connect("config-inited", prepare)
    app.connect("env-get-outdated", outdated)
