"""Decompression that stops at a limit.

httpx decompresses a whole chunk at once, and 64 KB of compressed zeros are 64 MB: a hostile response would end the
process, and the other records of its batch with it.
"""

from __future__ import annotations

import zlib


class CannotUnpack(ValueError):
    """The body is not in the format that its Content-Encoding names, or is cut off."""


def unpacker(encoding: str) -> Unpacker | None:
    """Return what decompresses a Content-Encoding, None for an identity. Raises CannotUnpack for an unknown one."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return None
    if name not in ("gzip", "x-gzip", "deflate"):
        raise CannotUnpack("its encoding is not supported")
    return Unpacker()


class Unpacker:
    """Decompress gzip, and deflate with and without the zlib frame."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
        self._begun = False

    @property
    def ended(self) -> bool:
        """Whether the compressed body is complete; an empty one is."""
        return self._inflate.eof or not self._begun

    def __call__(self, chunk: bytes, most: int) -> bytes:
        """Return the first ``most`` bytes of a chunk's content; the rest is lost. Raises CannotUnpack."""
        try:
            unpacked = self._inflate.decompress(chunk, most)
        except zlib.error:
            if self._begun:
                raise CannotUnpack("not in the format its label names") from None
            unpacked = self._bare(chunk, most)
        self._begun = self._begun or bool(chunk)
        return unpacked

    def _bare(self, chunk: bytes, most: int) -> bytes:
        """Decompress deflate without the frame that RFC 9110 section 8.4.1.2 requires."""
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            return self._inflate.decompress(chunk, most)
        except zlib.error:
            raise CannotUnpack("not in the format its label names") from None
