"""The recipes that `prompts.py` serves. Their thresholds are judgement, and stand in the text."""

from collections.abc import Mapping
from typing import Any

from mmflow_mcp.surfaces.prompts import Argument, Recipe, Step

Values = Mapping[str, Any]

# Where a week of funding and open interest can be held against itself soon.
FOUR = ["binance", "bybit", "hyperliquid", "okx"]
ASSETS = {"BTC": "bitcoin", "ETH": "ethereum"}

COINS = Argument(
    "coins", "Coins", "Tickers, comma-separated. Default BTC,ETH,SOL", "coins", "BTC,ETH",
    default="BTC,ETH,SOL",
)  # fmt: skip
COIN = Argument("coin", "Coin", "A ticker such as BTC", "coin", "BTC")
VENUES = Argument(
    "venues", "Venues", "Venue ids, comma-separated, or all. Default all", "venues", "all",
    default="all",
)  # fmt: skip


def _asset(coin: str) -> dict[str, Any] | None:
    return {"asset": ASSETS[coin]} if coin in ASSETS else None


FUNDING = Recipe(
    name="funding_arbitrage_scan",
    title="Funding arbitrage scan",
    description="Where longs pay most and least for the same coin, net of fees, and whether it"
    " has lasted.",
    arguments=(
        COINS,
        VENUES,
        Argument(
            "feeBps", "Fee", "Taker fee of one trade, bps. Default 5", "bps", "5", default="5"
        ),
    ),
    goal="Find the widest funding difference between venues for {coins}, net of fees of {feeBps}"
    " bps a trade, and say whether it has lasted.",
    steps=(
        Step(
            "get_funding",
            lambda v: {"coins": v["coins"], "venues": v["venues"], "limit": 1000},
            "Rates now. apr is percent a year; rate is per periodHours and does not compare.",
        ),
        Step(
            "get_funding_history",
            lambda v: {"coin": v["one"], "venues": v["venues"], "sinceMs": "-7d"},
            "The same in the last week, in apr.",
            each="coins",
        ),
        Step(
            "get_oi",
            lambda v: {"coins": v["coins"], "venues": v["venues"], "limit": 1000},
            "How large each venue is.",
        ),
    ),
    compare=(
        (
            "per coin: the venue with the highest apr and the one with the lowest. Leave out venues"
            " that meta.kinds calls trailing: that rate is over."
        ),
        "spread = highest apr - lowest apr, in points a year.",
        (
            "fees: four trades (in and out on two venues) cost 4 x {feeBps} bps; break-even days ="
            " 4 x {feeBps} / 100 / spread x 365."
        ),
        "lasting: meanApr of the two venues over the week, and their difference.",
        "oiUsd of the smaller of the two venues.",
    ),
    conclude=(
        (
            "the pair with the widest spread: shorts receive on the high venue, longs pay least (or"
            " receive) on the low one."
        ),
        "it pays for its fees if break-even takes less than 30 days; else say that nothing does.",
        (
            "it has lasted if the week's difference has the same sign and is at least half the"
            " spread; else it is a spike."
        ),
    ),
    never=(
        (
            "that a spread stays: predicted rates move until they are paid, and a venue's period"
            " (1 h or 8 h) decides how often"
        ),
        "a profit: slippage, margin, price gaps between the venues and borrowing are not in it",
    ),
    answer="a table of coin, high venue, low venue, spread, break-even days, lasted yes or no; then"
    " two sentences.",
)

OPTIONS = Recipe(
    name="options_positioning_brief",
    title="Options positioning brief",
    description="Dealer gamma, walls, flip, volatility and skew of one underlying, and what they"
    " do not say.",
    arguments=(Argument("underlying", "Underlying", "BTC, ETH, SOL or XRP", "underlying", "BTC"),),
    goal="Describe how options on {underlying} are positioned.",
    steps=(
        Step("get_gex", lambda v: {"underlying": v["underlying"]}, "Gamma by strike, walls, flip."),
        Step("get_skew", lambda v: {"underlying": v["underlying"]}, "Volatility by expiry."),
        Step(
            "get_option_chain",
            lambda v: {"underlying": v["underlying"], "limit": 20},
            "The options with the largest open interest.",
        ),
    ),
    compare=(
        "the sign of totalGex, and how far spot is from gammaFlip.",
        "spot with callWall.strike and putWall.strike.",
        "atmIv of the nearest expiries with the far ones; riskReversal25 by expiry.",
        "which expiries hold the large open interest.",
    ),
    conclude=(
        (
            "totalGex above 0: hedging of dealers would damp moves; below 0: it would amplify them."
            " gammaFlip is the nearest price where that changes: on spot's side of it totalGex's"
            " sign holds, beyond it the other one, be that above or below. gammaFlipMethod"
            " cumulative, or null: nothing within 30 % of spot changes it."
        ),
        (
            "walls are strikes where most exposure sits, above or below spot; a wall on the far"
            " side of spot is no barrier."
        ),
        "atmIv rising with expiry: calm now; falling: stress now.",
        "riskReversal25 below 0: puts are dearer than calls; above 0: calls are.",
    ),
    never=(
        (
            "dealers' real position: calls +, puts - is an assumption, and every sign above turns"
            " with it. Say so in the answer"
        ),
        "a price target from a wall, a flip or maxPain",
        (
            "that a strike that is not shown is empty: 40 strikes are kept (meta.total tells how"
            " many there are)"
        ),
    ),
    answer="five lines: spot and flip, which regime and why, walls, volatility and skew, the"
    " assumption.",
)

FLOWS = Recipe(
    name="flow_brief",
    title="Flow brief",
    description="Who buys and sells: Coinbase, Korea, ETFs, perpetuals, and whether they agree.",
    arguments=(
        COINS,
        Argument(
            "metric",
            "Metric over time",
            "A flow metric. Default flowPressureScore",
            "metric",
            "flowPressureScore",
            default="flowPressureScore",
        ),
    ),
    goal="Tell who buys and who sells {coins} now, and whether the parts agree.",
    steps=(
        Step(
            "get_flow_summary",
            lambda v: {"coins": v["coins"]},
            "One score a coin and the parts of it; coverage tells how good each part is.",
        ),
        Step(
            "get_etf_proxy",
            lambda v: _asset(v["one"]),
            "US demand now beside the last ETF session (BTC and ETH only).",
            each="coins",
            sketch={"asset": "bitcoin for BTC, ethereum for ETH"},
        ),
        Step(
            "get_venue_spreads",
            lambda v: {"coins": v["coins"], "quote": "usd"},
            "Which venue pays more or less than the median.",
        ),
        Step("get_kimchi", lambda v: {"coin": v["first"]}, "The premium in Korea."),
        Step(
            "get_flow_history",
            lambda v: {"coin": v["first"], "metric": v["metric"], "sinceMs": "-24h"},
            "How {metric} moved; empty until something was recorded here.",
        ),
    ),
    compare=(
        "coinbasePremiumBps (+ = US buys) with basisBps of coinbase in the spreads.",
        "the newest ETF total (US$ millions, daily: its date matters) with the premium now.",
        "premiumPct in Korea, and how much of it is usdtPremiumPct.",
    ),
    conclude=(
        (
            "flowPressureScore 20 or more: buying, -20 or less: selling, between: balanced. Parts"
            " that disagree with the score are named."
        ),
        "a premium within 5 bps, or a Korean premium within 0.5 %, is nothing.",
    ),
    never=(
        "a forecast: the score is a judgement of what is",
        "that a part is 0 where coverage is none: it is unknown",
        "live demand from the ETF total: it is yesterday's or older",
    ),
    answer="one line a coin (score, the strongest part, what disagrees), then what is missing.",
)

SQUEEZE = Recipe(
    name="squeeze_check",
    title="Squeeze check",
    description="Whether one side of a coin's perpetuals is crowded: funding, open interest,"
    " positioning, liquidations.",
    arguments=(COIN,),
    goal="Judge whether {coin} perpetuals are set up for a long or a short squeeze.",
    steps=(
        Step(
            "get_funding",
            lambda v: {"coins": [v["coin"]], "venues": ["all"]},
            "What the sides pay, by venue.",
        ),
        Step("get_oi", lambda v: {"coins": [v["coin"]], "venues": ["all"]}, "How much is open."),
        Step(
            "get_funding_regime",
            lambda v: {"coins": [v["coin"]], "venues": FOUR},
            "Whether that is unusual against the last week.",
        ),
        Step(
            "get_positioning",
            lambda v: {"coins": [v["coin"]], "period": "1h"},
            "Shares that are long.",
        ),
        Step(
            "get_liquidations",
            lambda v: {"coins": [v["coin"]]},
            "What was closed by force in 24 h: a lower bound.",
        ),
    ),
    compare=(
        (
            "cost = mean of apr over venues, weighted by their oiUsd. Points for longs: cost above"
            " 20; for shorts: below 0. (10.95 is the resting rate of most venues.)"
        ),
        "crowd = mean of longFraction where view is global. Longs: above 0.6; shorts: below 0.4.",
        "unusual = regime on at least half of the venues: longs_crowded or shorts_crowded.",
        "building = mean of oiChange24hPct above 2.",
        (
            "relief = liquidations of the crowded side (long24hUsd or short24hUsd) as percent of"
            " all oiUsd."
        ),
    ),
    conclude=(
        (
            "a side with two points or three of cost, crowd and unusual is crowded: its squeeze is"
            " possible (crowded longs: a long squeeze, price down). With building too, the risk is"
            " high; else moderate."
        ),
        "no side with two points: no squeeze setup. Say which single points there are.",
        "relief above 1 %: part of it has happened already.",
    ),
    never=(
        "when: crowding can last for weeks",
        (
            "levels of positioning across venues as one number of people: each venue counts its own"
            " accounts; global and top are different questions"
        ),
        "that few liquidations mean calm: venues publish a part, and meta.covered tells since when",
    ),
    answer="the verdict in one line (none, moderate or high; which side), then the points with"
    " their numbers.",
)

HEALTH = Recipe(
    name="venue_health",
    title="Venue health",
    description="Which venues answer now, which fail and why, and what is missing for it.",
    arguments=(VENUES,),
    goal="Tell which venues answer now ({venues}).",
    steps=(
        Step("get_markets", lambda _: {}, "Every venue, its status and what it can answer."),
        Step(
            "get_funding",
            lambda v: {"coins": ["BTC"], "venues": v["venues"]},
            "meta.sources names those that did not answer, with the reason.",
        ),
        Step("get_oi", lambda v: {"coins": ["BTC"], "venues": v["venues"]}, "The same."),
        Step("get_spot", lambda v: {"coins": ["BTC"], "venues": v["venues"]}, "The same."),
    ),
    compare=(
        (
            "venues in the rows with venues in meta.sources, over the three answers. Where"
            " resources can be read, mmflow://status has the latency and mmflow://venues/ID one"
            " venue's notes."
        ),
    ),
    conclude=(
        (
            "ok: rows in every answer that it can give (column can). failing: status error in"
            " meta.sources, with its reason (timeout, http 503, geo, blocked, changed ...). closed"
            " or planned: as get_markets says."
        ),
        "geo and blocked are this place's fault and last; timeout and http 5xx pass.",
        "changed: the venue's format is not what this server knows: that is worth a bug report.",
    ),
    never=(
        "that a venue is down for all: it did not answer here, now",
        (
            "that a venue without rows fails: it may not list BTC (meta.notListed) or not have the"
            " capability. An error that names such a venue is no failure of it: ask again without"
            " it"
        ),
    ),
    answer="one line: how many are ok; then a line for each that fails, with its reason.",
)

WEEK = Recipe(
    name="weekly_recap",
    title="Weekly recap",
    description="A coin's week: price, funding, open interest, flows and ETFs, in one paragraph.",
    arguments=(COIN,),
    goal="Recap the last seven days of {coin}.",
    steps=(
        Step(
            "get_candles",
            lambda v: {"coin": v["coin"], "interval": "4h", "sinceMs": "-7d"},
            "Price: 42 bars; the one marked running is not over.",
        ),
        Step(
            "get_funding_history",
            lambda v: {"coin": v["coin"], "sinceMs": "-7d"},
            "What longs paid, apr by venue.",
        ),
        Step(
            "get_oi_history",
            lambda v: {"coin": v["coin"], "venues": ["binance", "bybit"], "sinceMs": "-7d"},
            "Open interest in coins: bucket means with lo and hi.",
        ),
        Step(
            "get_funding_regime",
            lambda v: {"coins": [v["coin"]], "venues": FOUR},
            "Whether now is unusual against the week.",
        ),
        Step("get_flow_summary", lambda v: {"coins": [v["coin"]]}, "Who buys and sells now."),
        Step(
            "get_etf_flows",
            lambda v: {**asset, "limit": 5} if (asset := _asset(v["coin"])) else None,
            "The last five sessions, US$ millions.",
            sketch={"asset": "bitcoin for BTC, ethereum for ETH", "limit": 5},
        ),
    ),
    compare=(
        "price: close of the last bar / open of the first - 1; highest high, lowest low.",
        "funding: meanApr by venue; the highest and the lowest.",
        (
            "open interest: last bucket / first bucket - 1 by venue, in coins, so that price is not"
            " in it."
        ),
    ),
    conclude=(
        (
            "price up and open interest up: new longs came; up and down: shorts closed; down and"
            " up: new shorts came; down and down: longs closed. Within 2 % call it flat."
        ),
        "funding: dear above 15 % a year, cheap below 5 %, negative below 0.",
        "ETF flows: the sum of the complete sessions.",
    ),
    never=(
        "cause from what came together",
        "a value for a stretch without points: gaps are missing, not flat",
        "a trend of flows: get_flow_summary tells now only",
    ),
    answer="one paragraph of five sentences with numbers, then what is missing.",
)

RECIPES = (FUNDING, OPTIONS, FLOWS, SQUEEZE, HEALTH, WEEK)
