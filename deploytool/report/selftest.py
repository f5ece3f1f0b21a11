"""The page of a self-test: one self-contained file."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from deploytool.ir.self_test import SelfTest

HERE: Final = Path(__file__).parent


def render_selftest(result: SelfTest, made_by: str) -> str:
    """The page as HTML. It loads nothing, and equal results give equal bytes."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    css = f"\n{(HERE / 'page.css').read_text(encoding='utf-8')}"
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode("ascii")
    cores = sorted({case.core for case in result.cases})
    by_test = {case.tests: [other for other in result.cases if other.id == case.id] for case in result.cases}
    return environment.get_template("selftest.html").render(
        css=Markup(css),
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        result=result,
        made_by=made_by,
        cores=cores,
        known=[(tests, sorted(row, key=lambda case: case.core)) for tests, row in by_test.items()],
    )
