"""Packed answers, unpacked no further than they are wanted.

httpx unpacks whatever a chunk holds at once, and 64 KB of packed zeros are 64 MB: an answer of somebody unkind would
end the process, and the other records of its batch with it.
"""

from __future__ import annotations

import zlib


class CannotUnpack(ValueError):
    """The body is not packed as its label says, or is cut off."""


def unpacker(encoding: str) -> Unpacker | None:
    """For a Content-Encoding; None when there is nothing to unpack. Raises CannotUnpack for one that we never asked for
    and do not know.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return None
    if name not in ("gzip", "x-gzip", "deflate"):
        raise CannotUnpack("packed in a way that is not known here")
    return Unpacker()


class Unpacker:
    """gzip, and deflate in both ways in which servers write it."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
        self._begun = False

    @property
    def ended(self) -> bool:
        """Whether the packed body is whole; an empty one is."""
        return self._inflate.eof or not self._begun

    def __call__(self, chunk: bytes, most: int) -> bytes:
        """What a chunk holds, ``most`` bytes of it at most; the rest of it is lost. Raises CannotUnpack."""
        try:
            unpacked = self._inflate.decompress(chunk, most)
        except zlib.error:
            if self._begun:
                raise CannotUnpack("not what its label says") from None
            unpacked = self._bare(chunk, most)
        self._begun = self._begun or bool(chunk)
        return unpacked

    def _bare(self, chunk: bytes, most: int) -> bytes:
        """Deflate without the frame that RFC 9110 section 8.4.1.2 wants around it."""
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            return self._inflate.decompress(chunk, most)
        except zlib.error:
            raise CannotUnpack("not what its label says") from None
