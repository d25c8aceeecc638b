"""Random numbers by address: known answers, distribution, and the contract as properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sector_risk.kernels.random import (
    fill_words,
    label_hash,
    label_hashes,
    normals_block,
    philox,
    stream_key,
)

# Random123, known-answer vectors of philox4x32 with 10 rounds: counter, key, result.
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF,) * 4,
        (0xFFFFFFFF,) * 2,
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]

codes = st.text(min_size=1, max_size=12)
labels = st.lists(codes, min_size=1, max_size=6, unique=True)
seeds = st.integers(0, 2**64)


def normals(seed, stream, codes, first, n, items=4):
    out = np.empty((len(codes), items, n), np.float32)
    normals_block(stream_key(seed, stream), label_hashes(codes), 0, first, out)
    return out


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_philox_gives_the_published_answers(counter, key, answer):
    assert tuple(int(w) for w in philox(*map(np.uint32, counter), *map(np.uint32, key))) == answer


def test_words_are_philox_at_the_documented_address():
    key, code, draw, group = stream_key(7, "efficiency"), label_hash("G6V2S"), 4_000_000_123, 2
    out = np.empty((4, 1), np.uint32)
    fill_words(key, code, group, draw, out)
    expected = philox(np.uint32(draw), code[0], code[1], np.uint32(group), key[0], key[1])
    assert out[:, 0].tolist() == [int(w) for w in expected]


@settings(max_examples=40, deadline=None)
@given(seeds, labels, st.integers(0, 2**31), st.integers(1, 70), st.integers(0, 69))
def test_any_block_gives_the_same_bits(seed, codes, first, n, cut):
    """Rules 1 and 2: block borders and more draws change nothing, whatever part of a loop a draw falls into."""
    cut = min(cut, n)
    whole = normals(seed, "s", codes, first, n)
    parts = [normals(seed, "s", codes, first, cut), normals(seed, "s", codes, first + cut, n - cut)]
    np.testing.assert_array_equal(whole, np.concatenate(parts, axis=2))


@settings(max_examples=40, deadline=None)
@given(seeds, labels, st.randoms(use_true_random=False))
def test_subset_and_order_of_trusts_change_nothing(seed, codes, random):
    """Rule 3."""
    chosen = random.sample(codes, random.randint(1, len(codes)))
    whole, part = normals(seed, "s", codes, 0, 9), normals(seed, "s", chosen, 0, 9)
    np.testing.assert_array_equal(whole[[codes.index(c) for c in chosen]], part)


@settings(max_examples=40, deadline=None)
@given(st.tuples(seeds, codes), st.tuples(seeds, codes))
def test_streams_differ_when_seed_or_driver_differs(one, other):
    """Rule 6."""
    same = (stream_key(*one) == stream_key(*other)).all()
    assert same == (one == other)


def test_streams_of_many_seeds_never_meet():
    keys = {stream_key(seed, "efficiency").tobytes() for seed in range(20_000)}
    assert len(keys) == 20_000


def test_colliding_hashes_are_refused(monkeypatch):
    monkeypatch.setattr("sector_risk.kernels.random.label_hash", lambda label: np.zeros(2, np.uint32))
    with pytest.raises(ValueError, match="'ZZ1' and 'ZZ2' have the same 64-bit hash"):
        label_hashes(["ZZ1", "ZZ2"])


def test_normals_are_standard_normal():
    """Kolmogorov-Smirnov on 2**20 values an item; correlations within four standard errors of zero."""
    n = 2**20
    z = normals(1, "efficiency", ["ZZ1"], 0, n)[0]
    for item in z:
        assert stats.kstest(item, "norm").pvalue > 1e-4
        assert stats.kurtosis(item) == pytest.approx(0.0, abs=4 * np.sqrt(24 / n))
    correlation = np.corrcoef(z) - np.eye(4)
    assert np.abs(correlation).max() < 4 / np.sqrt(n)
    assert np.abs(np.corrcoef(z[:, 1:], z[:, :-1])[:4, 4:]).max() < 4 / np.sqrt(n)
    assert np.abs(np.corrcoef(z**2) - np.eye(4)).max() < 4 / np.sqrt(n)


def test_tails_reach_beyond_five():
    """P(|z| > 4.5) is 6.8e-6: of 2**22 values 28.5 are expected, and four sd is 21."""
    z = normals(2, "s", ["A", "B"], 0, 2**19)
    assert abs((np.abs(z) > 4.5).sum() - 28.5) < 21.4
    assert np.isfinite(z).all()


def test_extreme_words_stay_finite():
    from sector_risk.kernels.random import _box_muller

    for radius in (0, 1, 2**31, 2**32 - 1):
        for angle in (0, 2**29, 2**30, 2**31, 2**32 - 1):
            assert np.isfinite(_box_muller(np.uint32(radius), np.uint32(angle))).all()
