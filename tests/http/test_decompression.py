"""Packed answers, whole, broken and unkind."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from loyalty_relay.http.decompression import CannotUnpack, Unpacker, unpacker

TEXT = b'{"createdId": 600000001}' * 50


def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize("packed", [gzip.compress(TEXT), zlib.compress(TEXT), bare(TEXT)], ids=["gzip", "zlib", "bare"])
@pytest.mark.parametrize("step", [7, 10_000])
def test_a_whole_answer_is_unpacked_whatever_its_chunks(packed: bytes, step: int) -> None:
    unpack = Unpacker()
    parts = [unpack(packed[i : i + step], 1_000_000) for i in range(0, len(packed), step)]
    assert (b"".join(parts), unpack.ended) == (TEXT, True)


def test_a_cut_off_answer_is_known_as_such() -> None:
    unpack = Unpacker()
    unpack(gzip.compress(TEXT)[:-9], 1_000_000)
    assert not unpack.ended


def test_nothing_packed_is_nothing() -> None:
    assert unpacker("") is unpacker("identity") is None
    assert Unpacker().ended


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress"])
def test_a_way_of_packing_that_was_not_requested_is_refused(encoding: str) -> None:
    with pytest.raises(CannotUnpack):
        unpacker(encoding)


def test_what_is_not_as_labelled_is_refused() -> None:
    with pytest.raises(CannotUnpack):
        Unpacker()(b"nope", 1000)


def test_what_goes_wrong_half_way_is_refused() -> None:
    unpack, packed = Unpacker(), gzip.compress(TEXT)
    unpack(packed[:-8], 10_000)
    with pytest.raises(CannotUnpack):
        unpack(b"\x00" * 8, 10_000)


@pytest.mark.attack("vendors", "an answer without end, or one that unpacks into one")
def test_a_bomb_is_unpacked_no_further_than_wanted() -> None:
    packer = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    zeros = b"\x00" * 1_000_000
    bomb = b"".join([*(packer.compress(zeros) for _ in range(60)), packer.flush()])
    assert len(bomb) < 65_536, "it fits one chunk"
    tracemalloc.start()
    unpacked = Unpacker()(bomb, 100_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(unpacked) == 100_000
    assert peak < 2_000_000
