"""HTML error pages: gateways, proxies and bot checks answer with them where an API was asked."""

from __future__ import annotations

import re
from html import unescape

_PAGE = re.compile(r"<(?:!doctype html|html|head|body|title|h1|h2|center|div|p)\b", re.I)
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{1,300})", re.I)
_INVISIBLE = re.compile(r"<(script|style)\b[^>]{0,500}>[^<]*(?:</\1>|\Z)", re.I)
_TAG = re.compile(r"<[^<>]{0,500}>")
_STATUS = re.compile(r"\b([45]\d\d)\b")


def is_page(text: str) -> bool:
    """Whether the text is, or soon turns into, an HTML page."""
    tag = _PAGE.search(text, 0, 1000) if "<" in text else None
    return tag is not None and "{" not in text[: tag.start()]  # not a page inside a JSON string


def plain(text: str) -> str:
    """The text in one line; a page reduced to its title and its first words."""
    if is_page(text):
        title = title_of(text)
        body = unescape(_TAG.sub(" ", _INVISIBLE.sub(" ", text[:4096])))
        text = body if title in body[:300] else f"{title}: {body}"
        text = text[:300]
    return " ".join(text.split())


def title_of(text: str) -> str:
    found = _TITLE.search(text, 0, 4096)
    return " ".join(unescape(found[1]).split()) if found else ""


def status_of(text: str) -> int | None:
    """The status that an error page names in its title or first words, as in "x.com | 524: A timeout occurred"."""
    found = _STATUS.search(title_of(text) or plain(text)[:120])
    return int(found[1]) if found else None
