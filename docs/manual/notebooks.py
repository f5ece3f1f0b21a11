"""The notebooks: read from Markdown, executed once for every state of the code, and kept with their outputs.

The site and the tests share what was executed, in ``build/notebooks``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import single_nb_execution
from myst_nb.core.read import read_myst_markdown_notebook

from deploytool.base.digest import digest, file_digest
from manual.sandbox import PROJECT

FOLDER: Final = PROJECT / "docs" / "notebooks"
NOTEBOOKS: Final = tuple(sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "index"))
SECONDS_MAX: Final = 600
"""The time for one cell, on a busy machine."""


def cache_folder() -> Path:
    """The folder of what was executed with the code as it is now."""
    package = PROJECT / "deploytool"
    files = [path for path in sorted(package.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    state = [(path.relative_to(package).as_posix(), file_digest(path)) for path in files]
    return PROJECT / "build" / "notebooks" / digest(state)[:12]


def read(name: str) -> Any:
    """The notebook called ``name``, without outputs."""
    text = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    return read_myst_markdown_notebook(text, code_directive="{code-cell}", raw_directive="{raw-cell}")


def executed(name: str) -> Any:
    """The notebook called ``name`` with its outputs. Raises what a cell raises."""
    notebook, cache = read(name), get_cache(str(cache_folder()))
    try:
        _, found = cache.merge_match_into_notebook(notebook)
    except KeyError:
        pass
    else:
        return found
    with tempfile.TemporaryDirectory() as folder:
        result = single_nb_execution(notebook, cwd=folder, allow_errors=False, timeout=SECONDS_MAX, meta_override=True)
    if result.err is not None:
        raise result.err
    made = CacheBundleIn(notebook, str(FOLDER / f"{name}.md"), data={"execution_seconds": result.time})
    cache.cache_notebook_bundle(made, check_validity=False, overwrite=True)
    return notebook
