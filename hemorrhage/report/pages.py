"""Self-contained HTML pages: everything escaped, images embedded, nothing fetched."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

__all__ = ["number", "percent", "render"]


def number(value: Any, digits: int = 3) -> str:
    """A number for people; "-" where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, float) and math.isinf(value):
        return "infinite"
    return f"{value:.{digits}f}"


def percent(value: Any) -> str:
    """A share in percent; "-" where there is none."""
    return "-" if value is None or math.isnan(value) else f"{100 * value:.0f} %"


def _base64(data: bytes) -> Markup:
    return Markup(base64.b64encode(data).decode("ascii"))  # letters, digits, + / = alone


_ENVIRONMENT = Environment(
    loader=PackageLoader("hemorrhage.report"),
    autoescape=True,  # names of files and text of warnings come from outside
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters.update(number=number, percent=percent, base64=_base64)


def render(template: str, values: Mapping[str, Any]) -> str:
    """A page from ``templates/TEMPLATE.html``.

    Args:
        template: name without ending.
        values: what the template names; anything missing is an error.

    Returns:
        HTML.
    """
    return _ENVIRONMENT.get_template(f"{template}.html").render(values)
