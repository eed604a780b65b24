"""Pictures and documents in a conversation, by address or by content. Nothing is ever downloaded here."""

from __future__ import annotations

import base64
import mimetypes
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote_to_bytes

from ..failure import ConfigError


@dataclass(frozen=True, slots=True)
class _Media:
    url: str | None = None
    data: bytes | None = field(default=None, repr=False)
    mime: str | None = None

    def __post_init__(self) -> None:
        if (self.url is None) == (self.data is None):
            raise ConfigError(f"{type(self).__name__}: give either url= or data=, and not both")
        if self.url is not None and self.url.startswith("data:"):
            header, _, body = self.url[len("data:") :].partition(",")
            mime, *flags = header.split(";")
            data = base64.b64decode(body) if "base64" in flags else unquote_to_bytes(body)
            object.__setattr__(self, "url", None)
            object.__setattr__(self, "data", data)
            object.__setattr__(self, "mime", self.mime or mime or None)

    def base64(self) -> str:
        """The bytes in base64; only for media that were given as bytes."""
        return base64.b64encode(self.data or b"").decode("ascii")

    def _guessed(self, name: str | None, default: str) -> str:
        return self.mime or mimetypes.guess_type((name or self.url or "").split("?", 1)[0])[0] or default


@dataclass(frozen=True, slots=True)
class Image(_Media):
    """A picture, by address or by content. A `data:` URL counts as content.

    Args:
        url: an address that the provider itself can fetch; nothing is ever downloaded here.
        data: the encoded picture (PNG, JPEG, WebP or GIF are taken by all providers).
        mime: its media type; guessed from the address when left out.
        detail: OpenAI's resolution hint, ignored elsewhere.
    """

    detail: Literal["auto", "low", "high"] | None = None

    @property
    def media_type(self) -> str:
        return self._guessed(None, "image/jpeg" if self.data is None else _sniffed(self.data))


@dataclass(frozen=True, slots=True)
class File(_Media):
    """A document, by address or by content: PDF everywhere, text everywhere, other media on Google.

    Args:
        url: an address that the provider can fetch (Anthropic and Google; OpenAI's chat API takes content only).
        data: the content.
        mime: its media type; guessed from `name` or the address when left out.
        name: a file name to show to the model.
    """

    name: str | None = None

    @property
    def media_type(self) -> str:
        return self._guessed(self.name, "application/pdf")


def _sniffed(data: bytes) -> str:
    """The media type of an encoded picture by its first bytes, since a wrong one is refused by every provider."""
    for magic, mime in ((b"\x89PNG", "image/png"), (b"GIF8", "image/gif"), (b"\xff\xd8", "image/jpeg")):
        if data.startswith(magic):
            return mime
    return "image/webp" if data[8:12] == b"WEBP" else "image/png"
