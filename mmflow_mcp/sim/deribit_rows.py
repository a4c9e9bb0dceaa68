"""Deribit's rows: summaries and instruments of futures, spot pairs and options.

https://docs.deribit.com: open interest is USD for inverse futures and coins for everything else.
"""

from typing import Any

from mmflow_mcp.sim.market import Listing, OptionQuote, Perp

FOREVER_MS = 32_503_708_800_000
_INVERSE = ("BTC", "ETH")


def settlement_of(item: Listing) -> str:
    """The currency that an instrument settles in."""
    return item.coin if item.margin == "inverse" else item.quote


def kind_of(item: Listing) -> str:
    """Perpetuals are futures here."""
    return "spot" if item.kind == "spot" else "future"


def summary(perp: Perp, now_ms: int) -> dict[str, Any]:
    """A future's, perpetual's or spot pair's summary row."""
    item = perp.listing
    row: dict[str, Any] = {
        "instrument_name": item.symbol,
        "base_currency": item.coin,
        "quote_currency": item.quote,
        "bid_price": perp.bid,
        "ask_price": perp.ask,
        "mid_price": round((perp.bid + perp.ask) / 2, item.price_digits + 1),
        "mark_price": perp.mark,
        "last": perp.last,
        "high": perp.high_24h,
        "low": perp.low_24h,
        "price_change": round((perp.last / perp.open_24h - 1.0) * 100.0, 4),
        "volume": round(perp.volume_coins, 8),
        "volume_usd": round(perp.turnover_usd, 2),
        "volume_notional": round(perp.turnover_usd, 2),
        "estimated_delivery_price": perp.index,
        "creation_timestamp": now_ms,
    }
    if item.kind != "spot":
        row["open_interest"] = amount(perp)
    if item.kind == "perp":
        row |= {"funding_8h": perp.funding_rate, "current_funding": instant(perp)}
    return row


def amount(perp: Perp) -> float:
    """Open interest as this venue gives it: USD when inverse, coins when linear."""
    return round(perp.open_interest * perp.listing.contract_size, 8)


def instant(perp: Perp) -> float:
    """The rate of this instant: often exactly zero, inside the dead band."""
    premium = perp.mark / perp.index - 1.0
    outside = max(0.0, abs(premium) - 0.0005)
    return round(outside if premium > 0 else -outside, 8) if outside else 0.0


def _middle(quote: OptionQuote) -> float | None:
    """Between bid and ask; None when a side is empty."""
    if quote.bid is None or quote.ask is None:
        return None
    return round((quote.bid + quote.ask) / 2, 6)


def option_summary(quote: OptionQuote, dated: frozenset[str], now_ms: int) -> dict[str, Any]:
    """One row of a chain; prices in coins (inverse) or in USDC per coin (linear).

    `dated` names the futures there are: other expiries have a synthetic underlying.
    """
    inverse = quote.underlying in _INVERSE
    coin = quote.underlying.removesuffix("_USDC")
    usd = quote.mark_price * (quote.forward if inverse else 1.0)
    last = quote.mark_price if quote.volume else None
    future = "-".join(quote.instrument.split("-")[:2])
    return {
        "instrument_name": quote.instrument,
        "base_currency": coin,
        "quote_currency": coin if inverse else "USDC",
        "underlying_index": future if future in dated else f"SYN.{future}",
        "underlying_price": quote.forward,
        "mark_iv": quote.mark_iv,
        "mark_price": quote.mark_price,
        "bid_price": quote.bid,
        "ask_price": quote.ask,
        "mid_price": _middle(quote),
        "last": last,
        "high": last,
        "low": last,
        "price_change": 0.0 if quote.volume else None,
        "volume": quote.volume,
        "volume_usd": round(quote.volume * usd, 2),
        "open_interest": quote.oi,
        "interest_rate": 0.0,
        "estimated_delivery_price": quote.index,
        "creation_timestamp": now_ms,
    }


def instrument(item: Listing) -> dict[str, Any]:
    """A future or spot pair as get_instruments lists it."""
    tick = 10.0**-item.price_digits
    row: dict[str, Any] = {
        "instrument_name": item.symbol,
        "kind": kind_of(item),
        "base_currency": item.coin,
        "quote_currency": item.quote,
        "counter_currency": item.quote,
        "settlement_currency": settlement_of(item),
        "price_index": f"{item.coin.lower()}_{item.quote.lower()}",
        "contract_size": item.contract_size,
        "min_trade_amount": item.contract_size,
        "tick_size": tick,
        "tick_size_steps": [],
        "instrument_type": "reversed" if item.margin == "inverse" else "linear",
        "is_active": True,
        "state": "open",
        "maker_commission": 0.0,
        "taker_commission": 0.0005,
        "creation_timestamp": 1_534_242_287_000,
    }
    if item.kind != "spot":
        perpetual = item.kind == "perp"
        row["settlement_period"] = "perpetual" if perpetual else "month"
        row["expiration_timestamp"] = FOREVER_MS if perpetual else item.expiry_ms
        row["max_leverage"] = 50
    return row


def option_instrument(quote: OptionQuote) -> dict[str, Any]:
    """An option as get_instruments lists it."""
    inverse = quote.underlying in _INVERSE
    coin = quote.underlying.removesuffix("_USDC")
    size = {"SOL": 10.0, "XRP": 1000.0, "AVAX": 100.0}.get(coin, 1.0)
    return {
        "instrument_name": quote.instrument,
        "kind": "option",
        "base_currency": coin,
        "quote_currency": coin if inverse else "USDC",
        "counter_currency": "USD" if inverse else "USDC",
        "settlement_currency": coin if inverse else "USDC",
        "price_index": f"{coin.lower()}_{'usd' if inverse else 'usdc'}",
        "contract_size": 1.0 if inverse else size,
        "min_trade_amount": 0.1 if coin == "BTC" else 1.0,
        "tick_size": 0.0001 if inverse else 0.01,
        "tick_size_steps": [{"above_price": 0.005, "tick_size": 0.0005}] if inverse else [],
        "instrument_type": "reversed" if inverse else "linear",
        "is_active": True,
        "state": "open",
        "maker_commission": 0.0003,
        "taker_commission": 0.0003,
        "creation_timestamp": quote.expiry_ms - 7_776_000_000,
        "settlement_period": "month",
        "expiration_timestamp": quote.expiry_ms,
        "strike": quote.strike,
        "option_type": "call" if quote.type == "C" else "put",
    }
