"""What sources that are no venue would tell of the simulated world: funds, treasuries, valuation.

Like the market a pure function of seed and time. Flows are US$ millions of one US session; a fund
reports a few hours after midnight UTC, the largest last, so that a session is incomplete for a
while.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.sim.market import Market
from mmflow_mcp.sim.noise import stream, unit, wave

# (fund, usual size of a day in US$ millions, lean, first day), in the order of the table.
_START = {"bitcoin": date(2024, 1, 11), "ethereum": date(2024, 7, 23)}
_FUNDS: dict[str, tuple[tuple[str, float, float, date | None], ...]] = {
    "bitcoin": (
        ("IBIT", 260.0, 0.30, None),
        ("FBTC", 90.0, 0.10, None),
        ("BITB", 22.0, 0.08, None),
        ("ARKB", 30.0, 0.05, None),
        ("BTCO", 5.0, 0.03, None),
        ("EZBC", 5.0, 0.06, None),
        ("BRRR", 4.0, 0.05, None),
        ("HODL", 8.0, 0.10, None),
        ("BTCW", 3.0, 0.02, None),
        ("MSBT", 9.0, 0.30, date(2026, 4, 8)),
        ("GBTC", 60.0, -0.75, None),
        ("BTC", 16.0, 0.20, None),
    ),
    "ethereum": (
        ("ETHA", 90.0, 0.25, None),
        ("ETHB", 12.0, 0.20, date(2026, 3, 12)),
        ("FETH", 30.0, 0.12, None),
        ("ETHW", 8.0, 0.05, None),
        ("TETH", 3.0, 0.0, None),
        ("ETHV", 4.0, 0.05, None),
        ("QETH", 2.0, 0.03, None),
        ("EZET", 2.0, 0.03, None),
        ("MSSE", 5.0, 0.30, date(2026, 7, 27)),
        ("ETHE", 35.0, -0.65, None),
        ("ETH", 10.0, 0.10, None),
    ),
}
# Days on which US exchanges were or will be shut, Mondays to Fridays.
_SHUT = """
2024 0101 0115 0219 0329 0527 0619 0704 0902 1128 1225
2025 0101 0109 0120 0217 0418 0526 0619 0704 0901 1127 1225
2026 0101 0119 0216 0403 0525 0619 0703 0907 1126 1225
2027 0101 0118 0215 0326 0531 0618 0705 0906 1125 1224
2028 0117 0221 0414 0529 0619 0704 0904 1123 1225
"""
_COMPANIES = (
    # name, ticker, country, coins of bitcoin, cost of one coin (0: not disclosed)
    ("Strategy", "MSTR.US", "US", 815_000.0, 75_100.0),
    ("XXI", "XXI.US", "US", 43_514.0, 0.0),
    ("Metaplanet", "3350.T", "JP", 35_102.0, 104_600.0),
    ("MARA Holdings", "MARA.US", "US", 53_250.5, 69_800.0),
    ("Riot Platforms", "RIOT.US", "US", 19_368.0, 0.0),
    ("Bitcoin Standard Treasury", "CEPO.US", "US", 30_021.0, 0.0),
    ("Coinbase", "COIN.US", "US", 14_548.0, 71_465.0),
    ("Tesla", "TSLA.US", "US", 11_509.0, 33_539.0),
    ("Galaxy Digital", "GLXY.US", "", 6_894.0, 0.0),
    ("Next Technology", "NXTT.US", "CN", 5_833.0, 31_386.0),
)


@dataclass(frozen=True, slots=True)
class Session:
    """One row of a flow table; `values` holds the funds that have reported by now."""

    day: date
    day_ms: int
    values: dict[str, float]
    open: bool
    complete: bool

    @property
    def total(self) -> float:
        """The sum of what is reported, US$ millions."""
        return round(sum(self.values.values()), 1)


@lru_cache
def _shut() -> frozenset[date]:
    found: set[date] = set()
    for line in _SHUT.strip().split("\n"):
        year, *days = line.split()
        found |= {date(int(year), int(d[:2]), int(d[2:])) for d in days}
    return frozenset(found)


def is_open(day: date) -> bool:
    """Whether US exchanges trade on that day."""
    return day.weekday() < 5 and day not in _shut()


def funds(asset: str) -> tuple[str, ...]:
    """The tickers of the table, in its order."""
    return tuple(fund[0] for fund in _FUNDS[asset])


def midnight(day: date) -> int:
    """00:00 UTC of a day, epoch ms."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


def sessions(market: Market, asset: str, now_ms: int) -> Iterator[Session]:
    """Every row of the table, oldest first: days off on weekdays are rows without a figure.

    A row appears at 02:20 UTC of the day after.
    """
    day = _START[asset]
    while (row_at := midnight(day) + DAY_MS + 140 * 60_000) <= now_ms:
        if day.weekday() < 5:
            said = _flows(market.seed, asset, day.toordinal()) if is_open(day) else {}
            known = {
                name: value
                for n, (name, value) in enumerate(said.items())
                if row_at + (2 * HOUR_MS if n == 0 else n * 10 * 60_000) <= now_ms
            }
            complete = len(known) == len(said) > 0
            yield Session(day, midnight(day), known, is_open(day), complete)
        day += timedelta(days=1)


@lru_cache(maxsize=8192)
def _flows(seed: int, asset: str, ordinal: int) -> dict[str, float]:
    """What the funds that existed that day report; four in ten of the small ones report 0.0."""
    day = date.fromordinal(ordinal)
    mood = wave(stream(seed, f"etf/{asset}"), midnight(day), 9 * DAY_MS)
    out: dict[str, float] = {}
    for name, size, lean, first in _FUNDS[asset]:
        if first is not None and day < first:
            continue
        key = stream(seed, f"etf/{asset}/{name}")
        moved = unit(key, ordinal) * 2 - 1
        quiet = size < 70 and unit(key, ordinal + 1_000_000) < 0.4
        out[name] = 0.0 if quiet else round(size * (lean + 0.5 * mood + 0.7 * moved), 1)
    return out


@dataclass(frozen=True, slots=True)
class Holder:
    """A company: `entry_usd` is what it paid, 0.0 where it does not say."""

    name: str
    symbol: str
    country: str
    coins: float
    entry_usd: float


def holders(market: Market, asset: str, now_ms: int) -> list[Holder]:
    """Companies that hold an asset, the largest first; holdings grow a little every week."""
    weeks = now_ms // (7 * DAY_MS) - 2900
    times = 1.0 if asset == "bitcoin" else 1.6
    per_coin = market.price("ETH", 0) / market.price("BTC", 0) if asset == "ethereum" else 1.0
    rows = [
        Holder(
            name,
            ticker,
            country,
            round(coins * times * (1 + 0.0002 * weeks), 2),
            round(coins * times * cost * per_coin, 0),
        )
        for name, ticker, country, coins, cost in _COMPANIES
    ]
    return sorted(rows, key=lambda row: -row.coins)


def supply(day: date) -> float:
    """Bitcoins there are at the end of a day: 450 a day since the halving of April 2024."""
    return 19_687_500.0 + 450.0 * (day - date(2024, 4, 19)).days


@dataclass(frozen=True, slots=True)
class Valued:
    """Valuation figures of one day, as the source rounds them; caps in USD."""

    day: date
    mvrv_z_score: float
    nupl: float
    puell_multiple: float
    reserve_risk: float
    realized_cap: float


def valuation(market: Market, day: date) -> Valued:
    """The figures at the end of a day: coins last moved at the prices of the 400 days before."""
    end = midnight(day) + DAY_MS
    price = market.price("BTC", end)
    paid = [market.price("BTC", end - n * 20 * DAY_MS) for n in range(1, 21)]
    coins = supply(day)
    realized, cap = coins * sum(paid) / len(paid), coins * price
    year = [market.price("BTC", end - n * 73 * DAY_MS // 5) for n in range(25)]
    return Valued(
        day=day,
        mvrv_z_score=round((cap - realized) / 4.1e11, 4),
        nupl=round(1 - realized / cap, 4),
        puell_multiple=round(price / (sum(year) / len(year)), 4),
        reserve_risk=round(0.0021 * cap / realized, 6),
        realized_cap=round(realized, 0),
    )
