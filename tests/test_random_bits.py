"""Random numbers against Philox4x32-10 written out in Python integers, on the CPU and on a card: the same bits everywhere."""

import numpy as np
import pytest

import numtape as nt

MASK = 0xFFFFFFFF


def philox(counter, key):
    """Salmon et al., SC 2011: ten rounds on four 32-bit words."""
    a, b, c, d = counter
    k, m = key
    for _ in range(10):
        p, q = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = (q >> 32) ^ b ^ k, q & MASK, (p >> 32) ^ d ^ m, p & MASK
        k, m = (k + 0x9E3779B9) & MASK, (m + 0xBB67AE85) & MASK
    return a, b, c, d


def words(seed, draw, blocks):
    """The words of a stream's draw number `draw`, in order."""
    return [w for i in range(blocks) for w in philox((i & MASK, i >> 32, draw & MASK, draw >> 32), (seed & MASK, (seed >> 32) & MASK))]


def test_the_known_answer():
    assert [f"{w:08x}" for w in philox((0, 0, 0, 0), (0, 0))] == ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("seed", [0, 3, 2**63 - 1, -5])
def test_draws(device, seed):
    nt.manual_seed(seed)
    generator = nt.Generator(device).manual_seed(seed)
    drawn = [nt.rand(7, device=device), nt.rand(5, dtype=nt.float64, device=device), nt.randint(-3, 9, (7,), device=device)]
    again = [nt.rand(7, device=device, generator=generator), nt.rand(5, dtype=nt.float64, device=device, generator=generator)]
    first = np.array([(w >> 8) * 2.0**-24 for w in words(seed, 1, 2)][:7], np.float32)
    w = words(seed, 2, 3)
    second = np.array([((w[2 * i] >> 5) * 67108864 + (w[2 * i + 1] >> 6)) * 2.0**-53 for i in range(5)])
    w = words(seed, 3, 4)
    third = [-3 + ((w[2 * i] << 32 | w[2 * i + 1]) * 12 >> 64) for i in range(7)]
    assert (drawn[0].cpu().numpy() == first).all() and (drawn[1].cpu().numpy() == second).all() and drawn[2].tolist() == third
    assert all((a == b).all() for a, b in zip(again, drawn))


def test_integers_of_a_wide_range_and_permutations():
    """64 random bits times the range, of which the upper 64 bits of the product are drawn: by 32-bit products as by Python's integers."""
    nt.manual_seed(5)
    low, high = -(2**62) - 12345, 2**62 + 2**33 + 7
    w = words(5, 1, 70)
    assert nt.randint(low, high, (139,)).tolist() == [low + ((w[2 * i] << 32 | w[2 * i + 1]) * (high - low) >> 64) for i in range(139)]
    expected = list(range(300))
    for i in range(299, 0, -1):  # Fisher and Yates; the draw of step i is block i of the counter
        a, b, _, _ = philox((i, 0, 2, 0), (5, 0))
        j = (a << 32 | b) * (i + 1) >> 64
        expected[i], expected[j] = expected[j], expected[i]
    assert nt.randperm(300).tolist() == expected


def test_draws_of_more_than_a_batch():
    """The CPU makes 64 blocks of words at a time; also the last, incomplete ones are element for element what Philox gives."""
    nt.manual_seed(5)
    uniform, normal = nt.rand(523).numpy(), nt.randn(523).numpy()
    assert (uniform == np.array([(w >> 8) * 2.0**-24 for w in words(5, 1, 131)][:523], np.float32)).all()
    top = np.array([w >> 8 for w in words(5, 2, 131)]).reshape(-1, 2)
    radius, turn = np.sqrt(-2 * np.log((top[:, 0] + 1) * 2.0**-24)), top[:, 1] * 2 * np.pi * 2.0**-24
    np.testing.assert_allclose(normal, np.stack([radius * np.cos(turn), radius * np.sin(turn)], 1).reshape(-1)[:523], rtol=2e-5, atol=2e-6)


def test_normal_draws_have_the_same_bits_on_a_card():
    for kind in (nt.float32, nt.float64):
        draws = []
        for device in ("cpu", "cuda"):
            nt.manual_seed(11)
            draws.append(nt.randn(9, dtype=kind, device=device).cpu())
        assert (draws[0] == draws[1]).all()


@pytest.mark.parametrize("kind", [nt.int8, nt.int16, nt.int32, nt.int64, nt.uint8], ids=str)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_integers_wrap_around(kind, device):
    low, high = nt.iinfo(kind).min, nt.iinfo(kind).max
    x = np.array([low, low + 1, -1 if low else 1, 0, 1, high - 1, high], kind.numpy)
    t = nt.from_numpy(x).to(device)
    with np.errstate(all="ignore"):
        for mine, theirs in [(t + t, x + x), (t * t, x * x), (t - 3 * t, x - kind.numpy.type(3) * x), (-t, -x), (t * 2 > t, x * kind.numpy.type(2) > x), ((t + 1) * (t - 1), (x + kind.numpy.type(1)) * (x - kind.numpy.type(1)))]:
            assert mine.tolist() == theirs.tolist()
