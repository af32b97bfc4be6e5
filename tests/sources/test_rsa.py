"""RSA verification against an independent library, OpenSSL, a platform's official vector, and forgeries of old."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from hypothesis import given, settings
from hypothesis import strategies as st

from devkit.signing._sample_keys import public_pem, signature
from loyalty_relay.sources.rsa import PublicKey, public_key, verified

INFO = bytes.fromhex("3031300d060960864801650304020105000420")


def pem_of(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.fixture(scope="module")
def private() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def key(private: rsa.RSAPrivateKey) -> PublicKey:
    return public_key(pem_of(private.public_key()))


def signed(private: rsa.RSAPrivateKey, message: bytes) -> bytes:
    return private.sign(message, padding.PKCS1v15(), hashes.SHA256())


def raw(private: rsa.RSAPrivateKey, encoded: bytes) -> bytes:
    """The signature whose encoded message is exactly this: what only the key's holder could make."""
    numbers = private.private_numbers()
    size = private.key_size // 8
    return pow(int.from_bytes(encoded, "big"), numbers.d, numbers.public_numbers.n).to_bytes(size, "big")


# -- keys -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bits", "exponent"), [(2048, 65537), (2048, 3), (3072, 65537), (2056, 65537)])
def test_a_key_is_read_and_its_signatures_are_verified(bits: int, exponent: int) -> None:
    made = rsa.generate_private_key(exponent, bits)
    read = public_key(pem_of(made.public_key()))
    numbers = made.public_key().public_numbers()
    assert (read.modulus, read.exponent, read.size) == (numbers.n, numbers.e, (bits + 7) // 8)
    assert verified(read, signed(made, b"message"), b"mess", b"age")
    assert not verified(read, signed(made, b"message"), b"massage")


def test_line_ends_and_blanks_around_a_key_do_not_matter() -> None:
    pem = public_pem(1)
    whole = public_key(pem)
    body = "".join(pem.splitlines()[1:-1])
    assert public_key(pem.replace("\n", "\r\n")) == whole
    assert public_key(f"\n  {pem}\n\n") == whole
    assert public_key(f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----") == whole


def test_only_rsa_keys_are_keys() -> None:
    with pytest.raises(ValueError, match="RSA"):
        public_key(pem_of(ec.generate_private_key(ec.SECP256R1()).public_key()))


def der(pem: str) -> bytes:
    return base64.b64decode("".join(pem.splitlines()[1:-1]))


def pem(data: bytes) -> str:
    return f"-----BEGIN PUBLIC KEY-----\n{base64.b64encode(data).decode()}\n-----END PUBLIC KEY-----"


def block(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 128 else bytes([0x82]) + size.to_bytes(2, "big")
    if 128 <= size < 256:
        length = bytes([0x81, size])
    return bytes([tag]) + length + content


def spki(
    modulus: bytes, exponent: bytes, algorithm: str = "06092a864886f70d0101010500", unused: bytes = b"\0"
) -> bytes:
    numbers = block(0x30, block(2, modulus) + block(2, exponent))
    return block(0x30, block(0x30, bytes.fromhex(algorithm)) + block(3, unused + numbers))


GOOD = b"\0" + b"\xff" * 255 + b"\xfd"
E3 = b"\x03"


def test_the_made_up_encoding_is_a_good_one() -> None:
    assert public_key(pem(spki(GOOD, E3))).exponent == 3


def test_a_weak_key_proves_nothing() -> None:
    with pytest.raises(ValueError, match="2048 to 8192 bits; it has 2047"):
        public_key(pem(spki(b"\x7f" + b"\xff" * 255, E3)))
    with pytest.raises(ValueError, match="2048 to 8192 bits; it has 8200"):
        public_key(pem(spki(b"\0" + b"\xff" * 1025, E3)))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x30", id="no length"),
        pytest.param(spki(GOOD, E3) + b"\0", id="something after it"),
        pytest.param(spki(GOOD, E3)[:-1], id="cut off"),
        pytest.param(spki(b"\0" + GOOD, E3), id="a needless zero in the modulus"),
        pytest.param(spki(GOOD[1:], E3), id="a negative modulus"),
        pytest.param(spki(GOOD[:-1] + b"\xfe", E3), id="an even modulus"),
        pytest.param(spki(GOOD, b"\x01"), id="exponent 1: every signature would be its own message"),
        pytest.param(spki(GOOD, b"\x02"), id="an even exponent"),
        pytest.param(spki(GOOD, b"\x00"), id="exponent 0"),
        pytest.param(spki(GOOD, b""), id="an empty integer"),
        pytest.param(spki(GOOD, b"\x01\0\0\0\x01"), id="a very large exponent"),
        pytest.param(spki(GOOD, E3, unused=b"\1"), id="unused bits"),
        pytest.param(spki(GOOD, E3, unused=b""), id="no unused bits"),
        pytest.param(spki(GOOD, E3, algorithm="06092a864886f70d010101"), id="no NULL"),
        pytest.param(spki(GOOD, E3, algorithm="06092a864886f70d01010a0500"), id="RSASSA-PSS"),
        pytest.param(b"\x30\x80" + spki(GOOD, E3)[4:] + b"\0\0", id="an indefinite length"),
        pytest.param(b"\x30\x83\x00" + spki(GOOD, E3)[2:], id="a length with a needless zero"),
        pytest.param(b"\x30\x85" + b"\xff" * 40, id="a length of five bytes"),
        pytest.param(block(0x30, block(2, GOOD) + block(2, E3)), id="PKCS #1, not SPKI"),
    ],
)
def test_what_is_not_the_one_encoding_of_a_key_is_no_key(data: bytes) -> None:
    with pytest.raises(ValueError, match="must"):
        public_key(pem(data))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fake-secret",
        public_pem(1).replace("PUBLIC", "RSA PUBLIC"),
        public_pem(1).replace("PUBLIC", "PRIVATE"),
        public_pem(1) * 2,
        public_pem(1).replace("MII", "M\u00ccI"),
        "-----BEGIN PUBLIC KEY-----\nAAA\n-----END PUBLIC KEY-----",
        "-----BEGIN PUBLIC KEY----------END PUBLIC KEY-----",
    ],
)
def test_what_is_not_pem_is_no_key(text: str) -> None:
    with pytest.raises(ValueError, match="PEM"):
        public_key(text)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=200), st.binary(max_size=400).map(pem)))
def test_any_text_is_a_key_or_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        public_key(text)


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, 293), bit=st.integers(0, 7))
def test_one_changed_bit_makes_another_key_or_none(at: int, bit: int) -> None:
    data = bytearray(der(public_pem(1)))
    data[at] ^= 1 << bit
    try:
        changed = public_key(pem(bytes(data)))
    except ValueError:
        return
    assert changed != public_key(public_pem(1))


# -- signatures -----------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(message=st.binary(max_size=200), other=st.binary(max_size=200))
def test_agrees_with_an_independent_library(message: bytes, other: bytes) -> None:
    pem_text = public_pem(1)
    theirs = load_pem_public_key(pem_text.encode())
    assert isinstance(theirs, rsa.RSAPublicKey)
    made = signature(pem_text, message)
    for tried in (message, other):
        try:
            theirs.verify(made, tried, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            expected = False
        else:
            expected = True
        assert verified(public_key(pem_text), made, tried) is expected


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 512])
def test_a_signature_of_another_length_is_none(key: PublicKey, size: int) -> None:
    assert not verified(key, b"\x01" * size, b"message")


def test_numbers_that_are_congruent_to_a_signature_are_none(private: rsa.RSAPrivateKey, key: PublicKey) -> None:
    number = int.from_bytes(signed(private, b"message"), "big")
    for same in (number + key.modulus, key.modulus - number, 0, 1, key.modulus, key.modulus - 1):
        assert not verified(
            key, same.to_bytes(257, "big")[1:] if same < 2**2048 else same.to_bytes(257, "big"), b"message"
        )
    assert not verified(key, b"\0" + signed(private, b"message"), b"message")


def encoded(message: bytes, shape: Callable[[bytes, int], bytes]) -> bytes:
    return shape(INFO + hashlib.sha256(message).digest(), 256)


FORGED: dict[str, Callable[[bytes, int], bytes]] = {
    "something after the digest (Bleichenbacher 2006)": lambda info, size: (
        b"\0\1" + b"\xff" * 8 + b"\0" + info + b"\xaa" * (size - 11 - len(info))
    ),
    "too little padding in front": lambda info, size: b"\0\1\xff\0" + info + b"\0" * (size - 4 - len(info)),
    "padding of another byte": lambda info, size: b"\0\1" + b"\xfe" * (size - 3 - len(info)) + b"\0" + info,
    "one padding byte of another value": lambda info, size: (
        b"\0\1" + b"\xff" * 9 + b"\x7f" + b"\xff" * (size - 13 - len(info)) + b"\0" + info
    ),
    "block type 2": lambda info, size: b"\0\2" + b"\xff" * (size - 3 - len(info)) + b"\0" + info,
    "block type 0": lambda info, size: b"\0\0" + b"\xff" * (size - 3 - len(info)) + b"\0" + info,
    "no separator": lambda info, size: b"\0\1" + b"\xff" * (size - 2 - len(info)) + info,
    "no NULL parameters": lambda info, size: (
        b"\0\1"
        + b"\xff" * (size - 3 - len(info) + 2)
        + b"\0"
        + bytes.fromhex("302f300b0609608648016503040201")
        + info[17:]
    ),
    "parameters full of garbage (BERserk)": lambda info, size: (
        b"\0\1\xff\xff\xff\xff\xff\xff\xff\xff\0"
        + bytes.fromhex("30")
        + b"\x80"
        + info[2:]
        + b"\0" * (size - 11 - len(info))
    ),
    "a digest of another kind": lambda info, size: (
        b"\0\1" + b"\xff" * (size - 3 - len(info)) + b"\0" + info[:14] + b"\2" + info[15:]
    ),
    "the digest alone": lambda info, size: b"\0\1" + b"\xff" * (size - 35) + b"\0" + info[-32:],
}


@pytest.mark.parametrize("name", FORGED)
def test_an_encoding_that_differs_anywhere_is_refused(private: rsa.RSAPrivateKey, key: PublicKey, name: str) -> None:
    forged = encoded(b"message", FORGED[name])
    assert len(forged) == 256
    assert not verified(key, raw(private, forged), b"message")


def test_the_right_encoding_is_accepted(private: rsa.RSAPrivateKey, key: PublicKey) -> None:
    right = encoded(b"message", lambda info, size: b"\0\1" + b"\xff" * (size - 3 - len(info)) + b"\0" + info)
    assert verified(key, raw(private, right), b"message")


@pytest.mark.parametrize("digest", [hashes.SHA224(), hashes.SHA384(), hashes.SHA512()])
def test_another_digest_is_another_signature(
    private: rsa.RSAPrivateKey, key: PublicKey, digest: hashes.HashAlgorithm
) -> None:
    assert not verified(key, private.sign(b"message", padding.PKCS1v15(), digest), b"message")


def test_pss_is_another_signature(private: rsa.RSAPrivateKey, key: PublicKey) -> None:
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    assert not verified(key, private.sign(b"message", pss, hashes.SHA256()), b"message")


@settings(max_examples=200, deadline=None)
@given(made=st.binary(max_size=300) | st.binary(min_size=256, max_size=256), message=st.binary(max_size=50))
def test_no_invented_signature_raises_or_is_accepted(made: bytes, message: bytes) -> None:
    assert not verified(public_key(public_pem(1)), made, message)


def test_openssl_signs_what_is_verified_here(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    assert openssl, "openssl is part of every platform this runs on"
    (tmp_path / "body").write_bytes("Zoë".encode())
    run = [openssl, "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "key.pem"]
    for command in (
        run,
        [openssl, "pkey", "-in", "key.pem", "-pubout", "-out", "public.pem"],
        [openssl, "dgst", "-sha256", "-sign", "key.pem", "-out", "signature", "body"],
    ):
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    key = public_key((tmp_path / "public.pem").read_text())
    assert verified(key, (tmp_path / "signature").read_bytes(), "Zoë".encode())
    assert not verified(key, (tmp_path / "signature").read_bytes(), b"Zoe")
