"""The truth of the simulated world: one seeded market, a pure function of time.

Any past or future moment may be asked and always gives the same answer, so that snapshots and
history agree. Prices of a coin come from one index; venues differ by a small basis. `Listing`,
`Perp` and `OptionQuote` (sim/shapes.py) tell what the numbers mean.
"""

from collections.abc import Callable
from functools import lru_cache
from math import exp

from mmflow_mcp.clock import DAY_MS, HOUR_MS
from mmflow_mcp.sim.coins import COINS, find_thing
from mmflow_mcp.sim.expiries import next_last_fridays
from mmflow_mcp.sim.listings import LISTERS
from mmflow_mcp.sim.noise import noise, stream, wave
from mmflow_mcp.sim.options import quote_chain
from mmflow_mcp.sim.shapes import Listing, OptionQuote, Perp
from mmflow_mcp.sim.spot_listings import SPOT_LISTERS

__all__ = ["Listing", "Market", "OptionQuote", "Perp", "market_of"]

REFERENCE_MS = 1_795_478_400_000
"""2026-11-24: the moment whose dated futures `listings` gives when none is asked for."""

_SHARE = {
    "binance": 1.0,
    "bybit": 0.46,
    "okx": 0.38,
    "hyperliquid": 0.41,
    "gateio": 0.36,
    "deribit": 0.17,
    "aster": 0.09,
    "lighter": 0.07,
    "coinbase": 0.55,
    "kraken": 0.15,
    "bitfinex": 0.12,
}
_INVERSE_SHARE = {"deribit": 1.0, "gateio": 0.03}
_QUOTE_SHARE = {"USDT": 1.0, "USDC": 0.12, "USD": 0.1, "USD1": 0.04}
_ORDER = {"USDT": 0, "USDC": 1, "USD": 2, "USD1": 2}
_KEPT = 60_000


class Market:
    """One market of 60 coins on nine venues, and a few things that are no coins."""

    def __init__(self, seed: int = 1) -> None:
        self.seed = seed
        self.coins: tuple[str, ...] = tuple(COINS)
        self._perps: dict[tuple[str, str, str, int], Perp] = {}
        self._prices: dict[tuple[str, str, int], float] = {}
        self._listed: dict[tuple[str, tuple[int, ...]], tuple[Listing, ...]] = {}
        self._chains: dict[tuple[str, int], tuple[OptionQuote, ...]] = {}

    def venues(self) -> tuple[str, ...]:
        """The venues with perpetuals that can be simulated."""
        return tuple(LISTERS)

    def listings(self, venue: str, at_ms: int = REFERENCE_MS) -> tuple[Listing, ...]:
        """Everything a venue lists at a moment; only dated futures depend on it."""
        quarters = next_last_fridays(at_ms, 3, 2)
        key = (venue, tuple(day.toordinal() for day in quarters))
        if key not in self._listed:
            list_all = LISTERS.get(venue) or SPOT_LISTERS[venue]
            self._listed[key] = tuple(list_all(quarters))
        return self._listed[key]

    def price(self, coin: str, at_ms: int) -> float:
        """Index price of a coin, USD."""
        return self._index("crypto", coin, at_ms)

    def index(self, listing: Listing, at_ms: int) -> float:
        """The index of a listing, USD per symbol unit, not rounded."""
        return self._index(listing.asset, listing.coin, at_ms) * listing.multiplier

    def perp(self, listing: Listing, at_ms: int) -> Perp:
        """The state of a listing at a moment, rounded as its venue prints it."""
        key = (listing.venue, listing.symbol, listing.kind, at_ms)
        found = self._perps.get(key)
        if found is None:
            if len(self._perps) > _KEPT:
                self._perps.clear()
            found = self._perps[key] = self._state(listing, at_ms)
        return found

    def held(self, listing: Listing, at_ms: int) -> tuple[float, float]:
        """(open interest, mark) as `perp` has them, without the rest: for histories."""
        mark = self._mark(listing, at_ms)
        return self._open_interest(listing, mark, at_ms), mark

    def mark(self, listing: Listing, at_ms: int) -> float:
        """The mark as `perp` has it, without the rest: candles and prints read many."""
        return self._mark(listing, at_ms)

    def settled_funding(self, listing: Listing, settlement_ms: int) -> float:
        """What the predicted rate converged to at a settlement (deribit: the 8 h before it)."""
        return self._funding_rate(listing, settlement_ms)

    def hourly_interest(self, listing: Listing, hour_ms: int) -> float:
        """Deribit only: interest of the hour that ends at `hour_ms`; eight make `interest_8h`."""
        key = stream(self.seed, f"interest/{listing.symbol}")
        return round(wave(key, hour_ms, 6 * HOUR_MS) * 9e-6 + 2e-6, 10)

    def accrued(self, listing: Listing, first_ms: int, until_ms: int) -> float:
        """Deribit only: interest between two moments, cut hours by their share."""
        total = 0.0
        for end in range(first_ms - first_ms % HOUR_MS + HOUR_MS, until_ms + HOUR_MS, HOUR_MS):
            inside = min(end, until_ms) - max(end - HOUR_MS, first_ms)
            total += self.hourly_interest(listing, end) * inside / HOUR_MS
        return round(total, 10)

    def chain(self, underlying: str, at_ms: int) -> tuple[OptionQuote, ...]:
        """Deribit's options on BTC, ETH (inverse), SOL or XRP (linear) at a moment.

        BTC_USDC, ETH_USDC and AVAX_USDC are linear chains of their own.
        """
        key = (underlying, at_ms)
        if key not in self._chains:
            if len(self._chains) > 64:
                self._chains.clear()
            self._chains[key] = quote_chain(self.seed, underlying, at_ms, self._spot(underlying))
        return self._chains[key]

    def open_interest(self, venue: str, coin: str, at_ms: int) -> tuple[float, float] | None:
        """(USD, coins) over the venue's live perpetuals of a coin; None when it lists none."""
        perps = [
            self.perp(item, at_ms)
            for item in self.listings(venue, at_ms)
            if item.coin == coin and item.counted
        ]
        if not perps:
            return None
        return sum(p.oi_usd for p in perps), sum(p.oi_coins for p in perps)

    def funding(self, venue: str, coin: str, at_ms: int) -> Perp | None:
        """The main perpetual of a coin on a venue; None when it lists none."""
        found = [i for i in self.listings(venue, at_ms) if i.coin == coin and i.counted]
        inverse_first = venue == "deribit"

        def rank(item: Listing) -> tuple[bool, int]:
            return (item.margin == "inverse") != inverse_first, _ORDER[item.quote]

        return self.perp(min(found, key=rank), at_ms) if found else None

    def _spot(self, underlying: str) -> Callable[[int], float]:
        return lambda at_ms: self.price(underlying.removesuffix("_USDC"), at_ms)

    def _wave(self, name: str, at_ms: int, period_ms: int) -> float:
        return wave(stream(self.seed, name), at_ms, period_ms)

    def _index(self, asset: str, ticker: str, at_ms: int) -> float:
        key = (asset, ticker, at_ms)
        found = self._prices.get(key)
        if found is None:
            if len(self._prices) > _KEPT:
                self._prices.clear()
            thing = find_thing(asset, ticker)
            own = noise(stream(self.seed, f"price/{asset}/{ticker}"), at_ms)
            if asset == "crypto" and ticker not in ("BTC", "USDC"):
                own = 0.55 * own + 0.45 * noise(stream(self.seed, "price/crypto/BTC"), at_ms)
            found = self._prices[key] = thing.price * exp(own * thing.swing)
        return found

    def _funding_rate(self, listing: Listing, at_ms: int) -> float:
        """Premium plus a clamped interest, as the venues compute it; a fraction per period."""
        if listing.venue == "deribit":
            return self.accrued(listing, at_ms - 8 * HOUR_MS, at_ms)
        common = self._wave(f"premium/{listing.coin}", at_ms, 36 * HOUR_MS)
        own = self._wave(f"premium/{listing.venue}/{listing.symbol}", at_ms, 7 * HOUR_MS)
        premium = 0.00006 + 0.0003 * common + 0.00025 * own
        rate_8h = premium + min(0.0001, max(-0.0001, 0.0001 - premium))
        digits = 10 if listing.venue == "hyperliquid" else 8
        return round(rate_8h * listing.period_hours / 8, digits)

    def _open_interest(self, listing: Listing, mark: float, at_ms: int) -> float:
        """One-sided, in the listing's natural unit, rounded as the venue prints it."""
        kept = listing.status == "delisted" and listing.venue == "lighter"
        if listing.kind == "spot" or (listing.status != "live" and not kept):
            return 0.0
        moved = noise(stream(self.seed, f"oi/{listing.venue}/{listing.symbol}"), at_ms)
        usd = _scale(listing) * (0.05 if listing.kind == "future" else 1.0) * exp(0.35 * moved)
        per_unit = 1.0 if listing.margin == "inverse" else mark
        return round(usd / (per_unit * listing.contract_size), listing.size_digits)

    def _mark(self, listing: Listing, at_ms: int) -> float:
        price = self.index(listing, at_ms) * self._basis(listing, at_ms)
        return round(price, listing.price_digits)

    def _state(self, listing: Listing, at_ms: int) -> Perp:
        index = self.index(listing, at_ms)
        basis = self._basis(listing, at_ms)
        mark = self._mark(listing, at_ms)
        tick = 10.0**-listing.price_digits
        drift = self._wave(f"last/{listing.venue}/{listing.symbol}", at_ms, 20_000)
        last = round(mark * (1.0 + 0.0002 * drift), listing.price_digits)
        step = max(tick, mark * 0.00004)
        opened = round(self.index(listing, at_ms - DAY_MS) * basis, listing.price_digits)
        swept = [self.index(listing, t) * basis for t in _hours_before(at_ms)]
        high = max(round(max(swept), listing.price_digits), last, opened)
        low = min(round(min(swept), listing.price_digits), last, opened)
        held = self._open_interest(listing, mark, at_ms)
        size = listing.contract_size
        usd = held * size if listing.margin == "inverse" else held * size * mark
        coins = held * size / mark if listing.margin == "inverse" else held * size
        volume, turnover = self._volume(listing, mark, (opened + last) / 2, at_ms)
        period = listing.paid_hours * HOUR_MS
        perp = listing.kind == "perp"
        return Perp(
            listing=listing,
            mark=mark,
            index=round(index, listing.price_digits),
            last=last,
            bid=round(last - step, listing.price_digits),
            ask=round(last + step, listing.price_digits),
            funding_rate=self._funding_rate(listing, at_ms) if perp else 0.0,
            next_funding_ms=(at_ms // period + 1) * period if perp else 0,
            open_interest=held,
            oi_coins=coins * (1 if listing.margin == "inverse" else listing.multiplier),
            oi_usd=usd,
            volume_coins=volume,
            turnover_usd=turnover,
            open_24h=opened,
            high_24h=high,
            low_24h=low,
        )

    def _basis(self, listing: Listing, at_ms: int) -> float:
        """Mark over index: a few hundredths of a percent; a dated future carries 5 % a year."""
        wander = self._wave(f"basis/{listing.venue}/{listing.symbol}", at_ms, 3 * HOUR_MS)
        if listing.kind == "spot":
            return 1.0 + 0.0001 * wander + self._us_demand(listing, at_ms)
        carry = 0.0
        if listing.expiry_ms is not None:
            carry = max(0.0, listing.expiry_ms - at_ms) / (365 * DAY_MS) * 0.05
        return 1.0 + 0.0004 * wander + carry

    def _us_demand(self, listing: Listing, at_ms: int) -> float:
        """What buyers on Coinbase pay more or less than elsewhere, over hours."""
        if listing.venue != "coinbase":
            return 0.0
        return 0.0009 * self._wave(f"us demand/{listing.coin}", at_ms, 9 * HOUR_MS)

    def _volume(
        self, listing: Listing, mark: float, mean: float, at_ms: int
    ) -> tuple[float, float]:
        """(coins, USD) traded in 24 h."""
        if listing.status != "live":
            return 0.0, 0.0
        wander = self._wave(f"volume/{listing.venue}/{listing.symbol}", at_ms, DAY_MS)
        usd = 1.8 * exp(wander) * _scale(listing) * (0.05 if listing.kind == "future" else 1.0)
        if listing.margin == "inverse":
            contracts = round(usd / listing.contract_size)
            usd = contracts * listing.contract_size
            return usd / mean, usd
        units = round(usd / (mark * listing.contract_size), listing.size_digits)
        units = round(units * listing.contract_size, 8)
        return units * listing.multiplier, round(units * mean, 4)


@lru_cache(maxsize=4)
def market_of(seed: int) -> Market:
    """The market of a seed, one for all worlds of a process: it is a pure function of time."""
    return Market(seed)


def _scale(listing: Listing) -> float:
    """The usual open interest of a listing's kind on its venue, USD."""
    usd = find_thing(listing.asset, listing.coin).oi * 1e6 * _SHARE[listing.venue]
    if listing.margin == "inverse":
        return usd * _INVERSE_SHARE.get(listing.venue, 0.15)
    if listing.venue in ("hyperliquid", "lighter"):
        return usd
    return usd * _QUOTE_SHARE[listing.quote]


def _hours_before(at_ms: int) -> range:
    """The whole hours of the last 24."""
    first = at_ms - DAY_MS
    return range(first - first % HOUR_MS + HOUR_MS, at_ms + 1, HOUR_MS)
