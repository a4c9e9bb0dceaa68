"""On-chain valuation identities (METHODS 15), to check third-party numbers with.

    MVRV = market cap / realised cap        NUPL = 1 - 1 / MVRV

MVRV-Z is another number: (market cap - realised cap) / sd of all market caps so far.
Mahmudov and Puell (2018); Puell (2019).
"""

from datetime import date

# More than this is not rounding, percent.
MAX_OFF = 3.0
# A NUPL nearer to zero says nothing about the sign.
_NEAR_ZERO = 0.01
# Halvings: day, coins issued until then, coins a day from then on (144 blocks).
_HALVINGS = (
    (date(2020, 5, 11), 18_375_000.0, 900.0),
    (date(2024, 4, 20), 19_687_500.0, 450.0),
    (date(2028, 4, 15), 20_343_750.0, 225.0),
)


def mvrv_of(nupl: float) -> float:
    """MVRV that a NUPL implies; ValueError where there is none (NUPL of 1 or more)."""
    if nupl >= 1:
        msg = "no market cap has such a NUPL"
        raise ValueError(msg)
    return 1 / (1 - nupl)


def market_cap_of(nupl: float, realized_cap: float) -> float:
    """Market cap that NUPL and realised cap imply, in the unit of the latter."""
    return realized_cap * mvrv_of(nupl)


def supply_on(day: date) -> float:
    """Bitcoins issued by a day, from the schedule: right to some 0.1 %."""
    began, issued, daily = next(
        (step for step in reversed(_HALVINGS) if step[0] <= day), _HALVINGS[0]
    )
    return issued + (day - began).days * daily


def price_of(nupl: float, realized_cap: float, coins: float) -> float:
    """USD per coin that NUPL and realised cap imply."""
    return market_cap_of(nupl, realized_cap) / coins


def percent_off(found: float, expected: float) -> float:
    """How far a number is from the one it should be, percent of the latter; signed."""
    return (found / expected - 1) * 100


def signs_agree(mvrv_z_score: float, nupl: float) -> bool:
    """Both are positive exactly when the market cap is above the realised cap."""
    return abs(nupl) < _NEAR_ZERO or (mvrv_z_score > 0) == (nupl > 0)
