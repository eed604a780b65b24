"""The text of a stream as it grows, kept once: many small pieces take ten times the memory of their text."""

from __future__ import annotations

PIECES_IN_A_BLOCK = 1000


class Text:
    """Pieces are put together block by block, so that neither time nor memory suffers. Where somebody else keeps the
    same text as a whole, as some frameworks do in each chunk, theirs is kept instead of another one (`becomes`).
    """

    __slots__ = ("_pieces", "_text")

    def __init__(self) -> None:
        self._text = ""
        self._pieces: list[str] = []

    def write(self, piece: str) -> None:
        pieces = self._pieces
        pieces.append(piece)
        if len(pieces) >= PIECES_IN_A_BLOCK:
            self._gather()

    def becomes(self, whole: str | None, piece: str) -> bool:
        """Is `whole` this text with `piece` after it? Then it is from now on."""
        if whole is None or self._pieces or len(whole) != len(self._text) + len(piece) or not whole.endswith(piece):
            return False
        self._text = whole
        return True

    @property
    def is_gathered(self) -> bool:
        """False while there are loose pieces, with which it becomes nothing else."""
        return not self._pieces

    def _gather(self) -> None:
        text, self._text = self._text, ""  # held by nobody else, it grows where it is, without a copy
        text += "".join(self._pieces)
        self._text = text
        self._pieces.clear()

    def __len__(self) -> int:
        return len(self._text) + sum(map(len, self._pieces))

    def __str__(self) -> str:
        if self._pieces:
            self._gather()
        return self._text
