"""What a buyer in won pays above the world's price (METHODS 8). Pure: rows in, rows out."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import NamedTuple

from mmflow_mcp.analytics.fixing import state_of
from mmflow_mcp.analytics.spreads import Spread
from mmflow_mcp.analytics.states import LIVE, NONE, STALE
from mmflow_mcp.rows import maybe, told
from mmflow_mcp.rows.spot import FxRate, SpotRow

UNAVAILABLE = "unavailable"
# A premium beyond that is an inverted rate or the wrong pair.
MAX_PREMIUM_PCT = 30.0
# A venue in maintenance keeps its last price.
MAX_AGE_MS = 120_000
# A rate of another month is no rate of today.
MAX_FX_DAYS = 30
_NET = "the premium is net of USDT's own"


@dataclass(frozen=True, slots=True)
class Premium:
    """The premium and its two legs; `fault` is one beyond belief, and then all others are null.

    `over_usdt_pct`: of the coin against won per USDT; `usdt_pct`: of USDT itself against the rate.
    (1 + over_usdt)(1 + usdt) = 1 + premium.
    """

    local_usd: float | None = None
    premium_pct: float | None = None
    over_usdt_pct: float | None = None
    usdt_pct: float | None = None
    fault: float | None = None


def premium_of(
    local_krw: float | None,
    usd_krw: float | None,
    global_usd: float | None,
    krw_usdt: float | None = None,
) -> Premium:
    """The premium of a price in won over the world's median in USD.

    `usd_krw`: won per dollar; `krw_usdt`: won per USDT on the same venue, for the two legs.
    """
    if not local_krw or not usd_krw:
        return Premium()
    local_usd = local_krw / usd_krw
    if not global_usd:
        return Premium(local_usd)
    percent = (local_usd / global_usd - 1) * 100
    if abs(percent) > MAX_PREMIUM_PCT:
        return Premium(fault=percent)
    if not krw_usdt:
        return Premium(local_usd, percent)
    over = (local_krw / krw_usdt / global_usd - 1) * 100
    usdt = (krw_usdt / usd_krw - 1) * 100
    if max(abs(over), abs(usdt)) > MAX_PREMIUM_PCT:
        return Premium(local_usd, percent)
    return Premium(local_usd, percent, over, usdt)


def interpret(percent: float | None) -> str:
    """A premium in words."""
    if percent is None:
        return UNAVAILABLE
    if percent >= 0.5:
        return "strong_premium" if percent >= 5 else "premium"
    if percent > -0.5:
        return "neutral"
    return "discount" if percent > -5 else "strong_discount"


@dataclass(frozen=True, slots=True)
class Kimchi:
    """The premium of a Korean price, and what it is made of."""

    coin: str = told("as asked")
    region: str = told("KR", brief=False)
    local_venue: str = told("the Korean venue")
    local_pair: str = told("its market", brief=False)
    local_price_krw: float | None = told("last trade, won")
    usd_krw: float | None = told("won per USD, a daily fixing (fxDate)")
    local_price_usd: float | None = told("localPriceKrw / usdKrw", digits="coins")
    global_median_usd: float | None = told("median of the reference venues, none of them Korean")
    premium_pct: float | None = told("local / global - 1, percent", digits="percent")
    premium_bps: float | None = told("the same in basis points", digits="usd")
    bid_ask_pressure: float | None = told("null: the order book is not read", brief=False)
    interpretation: str = told(
        "strong_premium, premium, neutral, discount, strong_discount or unavailable"
    )
    fetched_at: int = told("when the older of both prices was read, epoch ms", brief=False)
    fx_date: str | None = maybe("day of the fixing; Friday's stands on weekends", brief=True)
    fx_stale: bool | None = maybe("true: older than weekends and holidays explain", brief=True)
    fx_state: str | None = maybe("fresh, carried, stale or none")
    fx_source: str | None = maybe("who gave the rate; KRW-USDT: net of USDT's premium", brief=True)
    krw_usdt: float | None = maybe("won per USDT on the Korean venue", brief=True)
    premium_over_usdt_pct: float | None = maybe(
        "premium net of USDT's own: is the coin itself bid", brief=True, digits="percent"
    )
    usdt_premium_pct: float | None = maybe(
        "krwUsdt / usdKrw - 1: is the dollar itself bid", brief=True, digits="percent"
    )
    stale: bool | None = maybe("true: the local price is older than 120 s", brief=True)
    local_time: int | None = maybe("when the last local trade was, epoch ms")
    global_venues: tuple[str, ...] | None = maybe("the venues in the median")

    @property
    def state(self) -> str:
        """live, stale (an old price or an old rate) or none: what METHODS 10 weighs it by."""
        if self.premium_pct is None:
            return NONE
        return STALE if self.stale or self.fx_stale else LIVE


class Note(NamedTuple):
    """Something that needs attention, as `meta.sources` tells it."""

    source: str
    status: str
    reason: str


class _Rate(NamedTuple):
    """Won per dollar, or per USDT where no rate is to be had; `usdt` for the two legs."""

    value: float | None
    source: str | None
    date: str | None
    state: str
    usdt: float | None


def kimchi_of(
    coin: str,
    venue: str,
    local: Iterable[SpotRow],
    rate: FxRate | None,
    spread: Spread,
    now_ms: int | None = None,
) -> tuple[Kimchi, list[Note]]:
    """The kimchi premium of a coin, and what is wrong with it.

    `local`: the Korean venue's rows, USDT among them where the venue told it; `spread`: of the
    venues outside Korea. Ages are counted from `now_ms`, else from when the price was read.
    """
    by_coin = {row.coin: row for row in local}
    price, usdt = by_coin.get(coin), by_coin.get("USDT")
    notes: list[Note] = []
    stale = price is not None and _age(price, now_ms) > MAX_AGE_MS
    if stale:
        notes.append(Note(venue, "stale", f"stale: its last trade of {coin} is old"))
    used = _rate_of(price, usdt, rate, now_ms, notes)
    middle = spread.median
    if price and middle and abs(price.fetched_at - (spread.fetched_at or 0)) > MAX_AGE_MS:
        apart = "missing: prices of one moment; these were read at different times"
        notes.append(Note("flows:kimchi", "missing", apart))
        middle = None
    premium = premium_of(price.price if price else None, used.value, middle, used.usdt)
    if premium.fault is not None:
        fault = f"changed: a premium of {premium.fault:+.0f} % is a fault of a price or the rate"
        notes.append(Note("flows:kimchi", "error", fault))
    read = [at for at in (price and price.fetched_at, spread.fetched_at) if at]
    percent = premium.premium_pct
    answer = Kimchi(
        coin=coin,
        region="KR",
        local_venue=venue,
        local_pair=price.symbol if price else f"KRW-{coin}",
        local_price_krw=price.price if price else None,
        usd_krw=used.value,
        local_price_usd=premium.local_usd,
        global_median_usd=spread.median,
        premium_pct=percent,
        premium_bps=None if percent is None else 100 * percent,
        bid_ask_pressure=None,
        interpretation=interpret(percent),
        fetched_at=min(read, default=rate.fetched_at if rate else 0),
        fx_date=used.date,
        fx_stale=used.state in (STALE, NONE),
        fx_state=used.state,
        fx_source=used.source,
        krw_usdt=usdt.price if usdt else None,
        premium_over_usdt_pct=premium.over_usdt_pct,
        usdt_premium_pct=premium.usdt_pct,
        stale=stale or None,
        local_time=price.venue_time if price else None,
        global_venues=None if spread.median is None else spread.fresh,
    )
    return answer, notes


def _age(row: SpotRow, now_ms: int | None) -> int:
    now = row.fetched_at if now_ms is None else now_ms
    return now - min(row.fetched_at, row.venue_time or row.fetched_at)


def _rate_of(
    price: SpotRow | None,
    usdt: SpotRow | None,
    rate: FxRate | None,
    now_ms: int | None,
    notes: list[Note],
) -> _Rate:
    """The fixing where it is of the time of the price, else won per USDT, which says so."""
    if usdt and (_age(usdt, now_ms) > MAX_AGE_MS or (price and _far(price, usdt))):
        usdt = None
    if rate is not None:
        read_at = price.fetched_at if price else rate.fetched_at
        if -1 <= _days_between(rate.date, read_at) <= MAX_FX_DAYS:
            state = state_of(date.fromisoformat(rate.date), now_ms or read_at)
            if state == STALE:
                newest = f"stale: the newest rate is of {rate.date}"
                notes.append(Note(rate.source, "stale", newest))
            return _Rate(rate.rate, rate.source, rate.date, state, usdt.price if usdt else None)
        other = f"missing: a rate of {rate.date} is not of the time of the price"
        notes.append(Note(rate.source, "missing", other))
    if usdt is None or (price and price.coin == usdt.coin):
        return _Rate(None, None, None, NONE, None)
    proxy = f"{usdt.venue}:{usdt.symbol}"
    # Another quantity than the premium over a rate: who reads only the number must be told.
    notes.append(Note("flows:kimchi", "missing", f"missing: no rate; {proxy} stands in: {_NET}"))
    return _Rate(usdt.price, proxy, None, NONE, None)


def _far(one: SpotRow, other: SpotRow) -> bool:
    return abs(one.fetched_at - other.fetched_at) > MAX_AGE_MS


def _days_between(day: str, at_ms: int) -> int:
    return (datetime.fromtimestamp(at_ms / 1000, UTC).date() - date.fromisoformat(day)).days
