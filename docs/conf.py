"""Sphinx: pages in Markdown, filled from the code, with examples that run while the site is built."""

from __future__ import annotations

import contextlib
import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from manual.examples import shown
from manual.notebooks import SECONDS_MAX, cache_folder
from manual.pages import filled
from manual.sandbox import Sandbox, sandbox

project = "deploytool"
author = "the deploytool authors"
version = release = version_of("deploytool")
html_title = "deploytool"
extensions = ["myst_nb", "sphinx_copybutton"]
exclude_patterns = ["manual"]
myst_enable_extensions = ["attrs_inline", "deflist", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_cache_path = str(cache_folder())
nb_execution_in_temp = True
nb_output_folder = "build/notebooks/pages"
nb_execution_timeout = SECONDS_MAX
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_output_stderr = "remove"
html_theme = "furo"
html_static_path = ["static"]
html_extra_path = ["../deploytool/recipe/recipe.schema.json"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_use_index = False
copybutton_prompt_text = "$ "


def setup(app: Any) -> None:
    """Fills pages as they are read; the sandbox of the examples is made by the first page that has one."""
    resources = contextlib.ExitStack()
    made: list[Sandbox] = []

    def prepared_once() -> Sandbox:
        if not made:
            made.append(resources.enter_context(sandbox()))
        return made[0]

    def fill(_app: Any, page: str, source: list[str]) -> None:
        source[0] = filled(source[0])
        if "```" in source[0]:
            prepared = prepared_once()
            source[0] = shown(source[0], prepared.copy(prepared.folder.parent / page.replace("/", "-")))

    app.connect("source-read", fill)
    app.connect("build-finished", lambda *_: resources.close())
