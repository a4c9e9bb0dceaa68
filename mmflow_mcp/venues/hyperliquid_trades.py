"""Recent trades of Hyperliquid: a small window of the newest, without paging.

https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/info-endpoint

The rows are those of the WebSocket. How far back they go depends on how busy the coin is: what
they do not reach is said, never taken for silence.
"""

from functools import cache

from mmflow_mcp.errors import VenueChanged
from mmflow_mcp.rows.spot import TradePrint
from mmflow_mcp.upstream.wire import Call, Wire, ask_json
from mmflow_mcp.venues.ask import Ask
from mmflow_mcp.venues.hyperliquid_feed import read_trades
from mmflow_mcp.venues.windows import say_second

INFO = "https://api.hyperliquid.xyz/info"


@cache
def recent(symbol: str) -> Call:
    """The newest trades of a perpetual; 20 of weight and one more for every 20 rows."""
    asked = {"type": "recentTrades", "coin": symbol}
    return ask_json(INFO, asked, label="recentTrades", fresh=2, weight=22)


async def fetch_trades(ask: Ask, coin: str, symbol: str) -> list[TradePrint]:
    """What the window holds, newest first; where it does not reach `since_ms` that is said."""
    wire = await ask.get(recent(symbol))
    prints, bad = wire.parsed(parse_trades)
    ask.unread(bad)
    since: int | None = ask.options.get("since_ms")
    if since is None:
        return prints
    if not prints or prints[-1].ts >= since:
        back = f" only to {say_second(prints[-1].ts)}" if prints else " not at all"
        ask.short(f"missing: the tape of {symbol} reaches back{back}", coin=coin)
    return [one for one in prints if one.ts >= since]


def parse_trades(wire: Wire) -> tuple[list[TradePrint], int]:
    """Trades, newest first, each once."""
    if not isinstance(wire.doc, list):
        raise VenueChanged("changed: a list of trades was expected")
    found = read_trades(wire.doc)
    rows = {
        one.trade_id: TradePrint(
            coin=one.coin,
            venue=one.venue,
            ts=one.ts,
            side=one.side,
            price=one.price,
            size=one.size,
            trade_id=str(one.trade_id),
        )
        for one in found
    }
    if found.bad and found.bad * 2 > len(wire.doc):
        raise VenueChanged(f"changed: {found.bad} trades could not be read")
    return sorted(rows.values(), key=lambda one: -one.ts), found.bad
