"""Text from a dispatcher, made harmless in HTML."""

from __future__ import annotations

import re

_SPECIAL = re.compile("[&<>\"']").search
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})


def escape(text: str) -> str:
    """The text with every character that means something in HTML replaced; also good within quoted attributes.

    As ``html.escape``, but quick where there is nothing to replace: a large report escapes millions of texts.
    """
    return text.translate(_ENTITIES) if _SPECIAL(text) else text
