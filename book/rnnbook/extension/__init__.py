"""What the book needs beyond Jupyter Book.

`execution`: when a notebook has to be run again, and in which environment;
`parallel`: all cores run notebooks, before they are read;
`claims`: the page that lists what the notebooks asserted;
`excerpts`: figures of one page that another shows;
`links`: names in code lead to the reference;
`site`: mathematics without a network, buttons, the versions that built the book.
"""

from rnnbook.extension import claims, excerpts, execution, links, parallel, site


def setup(app):
    """Register all parts with Sphinx."""
    for part in (execution, parallel, claims, excerpts, links, site):
        part.setup(app)
    # Another `env_version` makes Sphinx forget what an older one has noted of the pages.
    return {
        "version": "1",
        "env_version": 2,
        "parallel_read_safe": False,
        "parallel_write_safe": True,
    }
