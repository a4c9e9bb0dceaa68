"""Value noise: numbers that look random, move smoothly and depend on nothing but seed and time.

A stream is named by a text and a seed (`stream`), its value at a moment is `noise`, in -1..1.
Lattice points come from splitmix64; no global generator and no `hash()` is involved, so every
process on every machine computes the same world.
"""

from functools import lru_cache
from hashlib import blake2b

from mmflow_mcp.clock import DAY_MS

_MASK = (1 << 64) - 1
_OCTAVES = tuple((octave, 64 * DAY_MS >> (2 * octave), 0.5**octave) for octave in range(6))
_NORM = sum(weight for _, _, weight in _OCTAVES)


def splitmix64(state: int) -> int:
    """One output of splitmix64 for a 64-bit state (Steele, Lea, Flood 2014)."""
    z = (state + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


@lru_cache(maxsize=65_536)
def stream(seed: int, name: str) -> int:
    """The 64-bit key of a named stream."""
    return int.from_bytes(blake2b(f"{seed}/{name}".encode(), digest_size=8).digest(), "big")


def unit(key: int, index: int) -> float:
    """The lattice value of a stream at a whole index, in 0..1."""
    return splitmix64(key ^ splitmix64(index & _MASK)) / _MASK


@lru_cache(maxsize=65_536)
def _lattice(key: int, octave: int, index: int) -> float:
    return unit(key + octave * 0x632BE59BD9B4E019 & _MASK, index) * 2.0 - 1.0


def wave(key: int, at_ms: int, period_ms: int, octave: int = 0) -> float:
    """One octave: smooth between independent values `period_ms` apart, in -1..1."""
    index, rest = divmod(at_ms, period_ms)
    x = rest / period_ms
    x = x * x * (3.0 - 2.0 * x)
    return _lattice(key, octave, index) * (1.0 - x) + _lattice(key, octave, index + 1) * x


def noise(key: int, at_ms: int) -> float:
    """Six octaves from 64 days to 90 minutes, each half as strong as the one before; -1..1."""
    total = 0.0
    for octave, period, weight in _OCTAVES:
        # `wave`, without a call for each: prices are made of little else.
        index, rest = divmod(at_ms, period)
        x = rest / period
        x = x * x * (3.0 - 2.0 * x)
        low, high = _lattice(key, octave, index), _lattice(key, octave, index + 1)
        total += (low * (1.0 - x) + high * x) * weight
    return total / _NORM
