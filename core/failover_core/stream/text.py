"""The text of a stream as it grows, in little memory: many small pieces take ten times the memory of their text."""

from __future__ import annotations

PIECES_IN_A_BLOCK = 1000


class Text:
    """Pieces are put together block by block, so that neither time nor memory suffers."""

    __slots__ = ("_blocks", "_pieces")

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self._pieces: list[str] = []

    def write(self, piece: str) -> None:
        pieces = self._pieces
        pieces.append(piece)
        if len(pieces) >= PIECES_IN_A_BLOCK:
            self._blocks.append("".join(pieces))
            pieces.clear()

    def __len__(self) -> int:
        return sum(map(len, self._blocks)) + sum(map(len, self._pieces))

    def __str__(self) -> str:
        return "".join(self._blocks) + "".join(self._pieces)
