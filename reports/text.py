"""Text from a dispatcher, made harmless in HTML."""

from __future__ import annotations

import re

_NO_ANCHOR = re.compile(r"[^A-Za-z0-9_.-]").sub
_CODE = re.compile(r"`([^`]+)`").sub
_SPECIAL = re.compile("[&<>\"']").search
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})


def escape(text: str) -> str:
    """The text with every character that means something in HTML replaced; also good within quoted attributes.

    As ``html.escape``, but quick where there is nothing to replace: a large report escapes millions of texts.
    """
    return text.translate(_ENTITIES) if _SPECIAL(text) else text


def anchor(name: str) -> str:
    """A name as it stands in a link within the page."""
    return _NO_ANCHOR("-", name)


def prose(text: str) -> str:
    """A sentence of ours as HTML: escaped, with `words between backticks` as code."""
    return _CODE(r"<code>\1</code>", escape(text))
