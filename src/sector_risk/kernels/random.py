"""Random numbers by address: Philox4x32-10 words and the Normals made from them.

The number of *draw d, trust t, driver v, year y, item m under seed s* is a pure function of that address:

* key      64 bits from (seed, driver name),
* counter  draw (32 bits), hash of the trust's or group's label (64 bits), year (16 bits) and item group (16 bits),
* word     item modulo four: one counter gives four 32-bit words, hence four items (months, quarters, ...).

Nothing is stateful, so threads, block size, order and subsets cannot change a number.

References
----------
Salmon, Moraes, Dror, Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3", SC'11.
Box and Muller (1958), "A note on the generation of random normal deviates".
"""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sector_risk.kernels._jit import kernel, step

STREAM_VERSION = "philox4x32-10/box-muller-f32/1"
"""Changes whenever the same address would give another number."""

MAX_DRAWS = 2**32 - 1
"""Draws are numbered, and counted, in 32 bits."""

YEAR = 2**16
"""Item groups of one year: group g of year y is addressed as y * YEAR + g; the panel's own year is year 0."""

_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_WEYL_0 = np.uint32(0x9E3779B9)
_WEYL_1 = np.uint32(0xBB67AE85)
_ROUNDS = 10

_ONE_BIT = np.uint32(1)
_TWO = np.uint32(2)
_HALF_QUADRANT = np.uint32(1 << 29)
_QUADRANT_SHIFT = np.uint32(30)
_WORD_TO_UNIT = np.float32(2.0**-32)
_WORD_TO_ANGLE = np.float32(2.0 * np.pi * 2.0**-32)
_HALF = np.float32(0.5)
_ONE = np.float32(1.0)
_SQRT_HALF_BITS = np.int32(0x3F3504F3)
_MANTISSA_BITS = np.int32(23)
_LN_2 = np.float32(0.6931471805599453)


def stream_key(seed: int, driver: str) -> NDArray[np.uint32]:
    """Philox key (two words) of a driver's stream under a seed.

    Examples
    --------
    >>> stream_key(0, "efficiency").dtype, bool((stream_key(0, "a") == stream_key(1, "a")).all())
    (dtype('uint32'), False)
    """
    return _two_words(f"{STREAM_VERSION}\x1f{seed}\x1f{driver}")


def label_hash(label: str) -> NDArray[np.uint32]:
    """Return the 64-bit hash (two words) of a trust's code or a group's label, of any length."""
    return _two_words(label)


def group_label(name: str) -> str:
    """Label of a group's or the sector's own numbers; no trust's code can be the same."""
    return f"group\x1f{name}"


def label_hashes(labels: list[str]) -> NDArray[np.uint32]:
    """Hashes of many labels, shape (len(labels), 2); raises ValueError if two labels collide."""
    hashes = np.array([label_hash(label) for label in labels], dtype=np.uint32).reshape(-1, 2)
    seen: dict[bytes, str] = {}
    for label, words in zip(labels, hashes, strict=True):
        other = seen.setdefault(words.tobytes(), label)
        if other != label:
            raise ValueError(f"labels {other!r} and {label!r} have the same 64-bit hash: rename one of them")
    return hashes


def _two_words(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(hashlib.blake2b(text.encode(), digest_size=8).digest(), dtype="<u4").astype(np.uint32)


@step
def philox(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    """Ten rounds of Philox4x32: four words for a counter (four words) and a key (two words)."""
    for _ in range(_ROUNDS):
        p0 = _MULTIPLIER_0 * np.uint64(c0)
        p1 = _MULTIPLIER_1 * np.uint64(c2)
        c0 = np.uint32(p1 >> np.uint64(32)) ^ c1 ^ k0
        c1 = np.uint32(p1)
        c2 = np.uint32(p0 >> np.uint64(32)) ^ c3 ^ k1
        c3 = np.uint32(p0)
        k0 = np.uint32(k0 + _WEYL_0)
        k1 = np.uint32(k1 + _WEYL_1)
    return c0, c1, c2, c3


@step
def _log(x: Any) -> Any:
    """Natural logarithm of a positive float32 as a polynomial: the library's would stop vectorisation."""
    bits = np.float32(x).view(np.int32)
    exponent = np.int32(np.int32(bits - _SQRT_HALF_BITS) >> _MANTISSA_BITS)
    f = np.int32(bits - np.int32(exponent << _MANTISSA_BITS)).view(np.float32) - _ONE
    p = np.float32(7.0376836292e-2)
    p = p * f + np.float32(-1.1514610310e-1)
    p = p * f + np.float32(1.1676998740e-1)
    p = p * f + np.float32(-1.2420140846e-1)
    p = p * f + np.float32(1.4249322787e-1)
    p = p * f + np.float32(-1.6668057665e-1)
    p = p * f + np.float32(2.0000714765e-1)
    p = p * f + np.float32(-2.4999993993e-1)
    p = p * f + np.float32(3.3333331174e-1)
    square = f * f
    return f + (square * f * p - _HALF * square) + np.float32(exponent) * _LN_2


@step
def _sin_cos(word: Any) -> Any:
    """Sine and cosine of the angle 2 pi word / 2**32, by quadrant and a polynomial on +-pi/4."""
    quadrant = np.uint32(np.uint32(word + _HALF_QUADRANT) >> _QUADRANT_SHIFT)
    rest = np.uint32(word - np.uint32(quadrant << _QUADRANT_SHIFT))
    x = np.float32(np.int32(rest)) * _WORD_TO_ANGLE
    z = x * x
    s = ((np.float32(-1.9515295891e-4) * z + np.float32(8.3321608736e-3)) * z + np.float32(-1.6666654611e-1)) * z
    s = s * x + x
    c = (np.float32(2.443315712e-5) * z + np.float32(-1.388731625e-3)) * z + np.float32(4.166664568e-2)
    c = c * z * z - _HALF * z + _ONE
    odd = (quadrant & _ONE_BIT) != 0
    sine = c if odd else s
    cosine = s if odd else c
    sine = -sine if quadrant >= _TWO else sine
    cosine = -cosine if (quadrant == _ONE_BIT) or (quadrant == _TWO) else cosine
    return sine, cosine


@step
def _box_muller(radius_word: Any, angle_word: Any) -> Any:
    u = (np.float32(radius_word) + _HALF) * _WORD_TO_UNIT
    radius = np.sqrt(np.float32(-2.0) * _log(u))
    sine, cosine = _sin_cos(angle_word)
    return radius * cosine, radius * sine


@step
def fill_words(key: Any, label: Any, item_group: Any, first_draw: Any, out: Any) -> None:
    """Fill `out` (4, n) with the words of items 4*item_group .. +3 for draws first_draw .. first_draw+n-1."""
    k0, k1, h0, h1, group = key[0], key[1], label[0], label[1], np.uint32(item_group)
    out0, out1, out2, out3 = out[0], out[1], out[2], out[3]
    for j in range(out0.size):
        out0[j], out1[j], out2[j], out3[j] = philox(np.uint32(first_draw + j), h0, h1, group, k0, k1)


@step
def fill_normals(key: Any, label: Any, item_group: Any, first_draw: Any, out: Any) -> None:
    """Fill `out` (4, n), float32, with the standard Normals at the same addresses as `fill_words`."""
    k0, k1, h0, h1, group = key[0], key[1], label[0], label[1], np.uint32(item_group)
    out0, out1, out2, out3 = out[0], out[1], out[2], out[3]
    for j in range(out0.size):
        w0, w1, w2, w3 = philox(np.uint32(first_draw + j), h0, h1, group, k0, k1)
        out0[j], out1[j] = _box_muller(w0, w1)
        out2[j], out3[j] = _box_muller(w2, w3)


@step
def fill_normal_pair(key: Any, label: Any, item_group: Any, first_draw: Any, out: Any) -> None:
    """Fill `out` (2, n) with the first two of the four items that `fill_normals` gives: half the work."""
    k0, k1, h0, h1, group = key[0], key[1], label[0], label[1], np.uint32(item_group)
    out0, out1 = out[0], out[1]
    for j in range(out0.size):
        w0, w1, _, _ = philox(np.uint32(first_draw + j), h0, h1, group, k0, k1)
        out0[j], out1[j] = _box_muller(w0, w1)


@kernel
def normals_block(key: Any, labels: Any, first_group: Any, first_draw: Any, out: Any) -> None:
    """Fill `out` (label, item, draw) with standard Normals from an item group on; item count a multiple of four."""
    for i in range(labels.shape[0]):
        for group in range(out.shape[1] // 4):
            fill_normals(key, labels[i], first_group + group, first_draw, out[i, 4 * group : 4 * group + 4])


@kernel
def words_block(key: Any, labels: Any, first_group: Any, first_draw: Any, out: Any) -> None:
    """Fill `out` (label, item, draw), uint32, with the words at the same addresses as `normals_block`."""
    for i in range(labels.shape[0]):
        for group in range(out.shape[1] // 4):
            fill_words(key, labels[i], first_group + group, first_draw, out[i, 4 * group : 4 * group + 4])
