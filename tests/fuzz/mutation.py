"""Damaged copies of valid inputs: what a broken disk, a cut download or an attacker makes of a file."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

EXTREMES = (0, 1, 0x7F, 0x80, 0xFF)
VARINTS = (
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # 2^64 - 1
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x10",  # 2^60
    b"\xff\xff\xff\xff\x0f",  # 2^32 - 1
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",  # no varint at all
)
WORDS = (
    b"{",
    b"}",
    b"<",
    b">",
    b"[",
    b"]",
    b":",
    b'"',
    b"'",
    b"\\",
    b"#",
    b"\n",
    b"-",
    b"inf",
    b"1e999",
    b"0x",
    b"layer {",
)


def flip_bit(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def set_byte(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] = rng.choice(EXTREMES) if rng.random() < 0.5 else rng.randrange(256)


def cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def remove(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    del data[start : start + rng.randrange(1, 17)]


def repeat(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    piece = data[start : start + rng.randrange(1, 65)]
    at = rng.randrange(len(data))
    data[at:at] = piece * rng.choice((1, 1, 2, 50))


def insert(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    data[at:at] = rng.choice(VARINTS + WORDS)


def overwrite(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    word = rng.choice(VARINTS + WORDS)
    data[at : at + len(word)] = word


MUTATIONS: Sequence[Callable[[bytearray, random.Random], None]] = (
    flip_bit,
    flip_bit,
    set_byte,
    cut,
    remove,
    repeat,
    insert,
    overwrite,
)


def mutated(seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """One of the seeds with one to eight injuries; one time in ten the head of one joined to the tail of another."""
    data = bytearray(rng.choice(seeds))
    if rng.random() < 0.1:
        other = rng.choice(seeds)
        data[rng.randrange(len(data) + 1) :] = other[rng.randrange(len(other)) :]
    for _ in range(1 if rng.random() < 0.5 else rng.randrange(2, 9)):
        if data:
            rng.choice(MUTATIONS)(data, rng)
    return bytes(data)
