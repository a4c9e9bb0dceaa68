"""Every answer has at least the keys and JSON types of the specification's example block."""

from typing import Any

import pytest
from rests import Asker

from mmflow_mcp.fleet.lease import OwnLease
from mmflow_mcp.metrics.declare import samplings
from mmflow_mcp.metrics.recorder import Recorder
from mmflow_mcp.series.store import cell

TEXT, NUMBER, INTEGER, FLAG, ANY = "text", "number", "integer", "flag", "any"


class OrNull:
    """What may be null: the specification says null, or what it says cannot always be known."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape


class Each:
    """An object whose keys are data: every value has the shape."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape


META = {"fetchedAt": INTEGER, "source": TEXT}
FLOW_META = {**META, "partial": FLAG, "sources": [ANY]}
COVERAGE = {"globalSpot": TEXT, "kimchi": TEXT, "etfProxy": TEXT, "hlMicro": TEXT}
WALL = {"strike": NUMBER, "gex": NUMBER}
SPOT_ROW = {
    "venue": TEXT,
    "bid": NUMBER,
    "ask": NUMBER,
    "volume24h": NUMBER,
    "change24hPct": NUMBER,
    "fetchedAt": INTEGER,
}
SIGNAL = {
    "id": TEXT,
    "coin": TEXT,
    "layer": TEXT,
    "severity": TEXT,
    "title": TEXT,
    "message": TEXT,
    "confidence": TEXT,
    "ts": INTEGER,
}
CAPABILITIES = ("oi", "funding", "spot", "liquidations", "options", "predictions")
VENUE = {
    "id": TEXT,
    "name": TEXT,
    "kind": TEXT,
    "status": TEXT,
    "capabilities": dict.fromkeys(CAPABILITIES, FLAG),
    "dataSource": TEXT,
}

# A question to the shape of its `data`; a list with one shape is a list of such, never empty.
SHAPES: dict[str, Any] = {
    "/perps/oi?coins=BTC&venues=hl,bybit,okx,binance": [
        {
            "coin": TEXT,
            "venue": TEXT,
            "oiUsd": NUMBER,
            "oiContracts": NUMBER,
            "fetchedAt": INTEGER,
        }
    ],
    "/perps/funding?coins=BTC&venues=hl,binance,bybit": [
        {
            "coin": TEXT,
            "venue": TEXT,
            "rate": NUMBER,
            "periodHours": NUMBER,
            "fetchedAt": INTEGER,
        }
    ],
    # What Hyperliquid had is known from recording only, so the past of another is asked.
    "/perps/oi/history?coin=BTC&venues=binance&sinceMs=-24h": {
        "coin": TEXT,
        "venue": TEXT,
        "points": [{"t": INTEGER, "v": NUMBER}],
        "cadenceMs": INTEGER,
        "retention": TEXT,
        "enabled": FLAG,
        "fetchedAt": INTEGER,
    },
    "/perps/funding/history?coin=BTC&sinceMs=-24h&venues=hl,okx": {
        "coin": TEXT,
        "points": [{"ts": INTEGER, "byVenue": Each(NUMBER)}],
        "cadenceMs": INTEGER,
        "retention": TEXT,
        "enabled": FLAG,
        "fetchedAt": INTEGER,
    },
    "/options/chain?underlying=BTC": [
        {
            "instrument": TEXT,
            "underlying": TEXT,
            "strike": NUMBER,
            "expiryMs": INTEGER,
            "type": TEXT,
            "oi": NUMBER,
            "volume24h": NUMBER,
            "markIv": OrNull(NUMBER),
            "markPrice": OrNull(NUMBER),
            "underlyingPrice": NUMBER,
        }
    ],
    "/options/gex?underlying=BTC": {
        "underlying": TEXT,
        "spot": NUMBER,
        "totalGex": NUMBER,
        "callWall": WALL,
        "putWall": WALL,
        "gammaFlip": NUMBER,
        "strikes": [{"strike": NUMBER, "callOi": NUMBER, "putOi": NUMBER, "gex": NUMBER}],
        "fetchedAt": INTEGER,
    },
    "/options/skew?underlying=BTC": {
        "underlying": TEXT,
        "smileByExpiry": Each(
            [{"strike": NUMBER, "iv": NUMBER, "type": TEXT, "moneyness": NUMBER}]
        ),
        "termStructure": [
            {"expiryMs": INTEGER, "expiryLabel": TEXT, "dteDays": NUMBER, "atmIv": NUMBER}
        ],
        "fetchedAt": INTEGER,
    },
    "/perps/positioning?coins=BTC": [
        {
            "coin": TEXT,
            "venue": TEXT,
            "view": TEXT,
            "longFraction": NUMBER,
            "longShortRatio": NUMBER,
            "fetchedAt": INTEGER,
        }
    ],
    "/perps/liquidations?coins=BTC": [
        {
            "coin": TEXT,
            "long24hUsd": NUMBER,
            "short24hUsd": NUMBER,
            "max24hUsd": NUMBER,
            "venues": [TEXT],
            "fetchedAt": INTEGER,
        }
    ],
    "/onchain/etf-flows?asset=bitcoin": {
        "asset": TEXT,
        "tickers": [TEXT],
        "rows": [{"dateLabel": TEXT, "dateMs": INTEGER, "values": Each(NUMBER), "total": NUMBER}],
        "latestTotalUsdm": NUMBER,
        "cumulativeUsdm": NUMBER,
        "fetchedAt": INTEGER,
    },
    "/onchain/treasuries?asset=bitcoin": {
        "asset": TEXT,
        "totalHoldings": NUMBER,
        "totalValueUsd": NUMBER,
        "marketCapDominance": NUMBER,
        "companies": [
            {
                "name": TEXT,
                "symbol": TEXT,
                "country": OrNull(TEXT),
                "totalHoldings": NUMBER,
                "totalEntryValueUsd": OrNull(NUMBER),
                "totalCurrentValueUsd": NUMBER,
                "percentageOfTotalSupply": NUMBER,
            }
        ],
        "fetchedAt": INTEGER,
    },
    "/onchain/valuation": {
        "asset": TEXT,
        "mvrvZScore": NUMBER,
        "nupl": NUMBER,
        "puellMultiple": NUMBER,
        "reserveRisk": NUMBER,
        "realizedCap": NUMBER,
        "asOfDate": TEXT,
        "fetchedAt": INTEGER,
    },
    "/markets/spot?coins=BTC": [{"coin": TEXT, "price": NUMBER, **SPOT_ROW}],
    "/flows/venue-spreads?coins=BTC": [
        {
            "coin": TEXT,
            "globalMedianUsd": NUMBER,
            "rows": [{"priceUsd": NUMBER, "basisBps": NUMBER, "stale": FLAG, **SPOT_ROW}],
            "strongestPremiumVenue": TEXT,
            "strongestDiscountVenue": TEXT,
            "fetchedAt": INTEGER,
        }
    ],
    "/flows/kimchi?coin=BTC": {
        "coin": TEXT,
        "region": TEXT,
        "localVenue": TEXT,
        "localPair": TEXT,
        "localPriceKrw": NUMBER,
        "usdKrw": NUMBER,
        "localPriceUsd": NUMBER,
        "globalMedianUsd": NUMBER,
        "premiumPct": NUMBER,
        "premiumBps": NUMBER,
        "bidAskPressure": OrNull(NUMBER),
        "interpretation": TEXT,
        "fetchedAt": INTEGER,
    },
    "/flows/etf?asset=bitcoin": {
        "asset": TEXT,
        "daily": {
            "latestTotalUsdm": NUMBER,
            "cumulativeUsdm": NUMBER,
            "latestDateMs": INTEGER,
            "source": TEXT,
        },
        "coinbaseProxy": {
            "coinbasePremiumBps": NUMBER,
            "coinbaseVolumeShare": NUMBER,
            "coinbaseTapeDeltaUsd5m": NUMBER,
            "coinbaseNetTradeUsd5m": NUMBER,
            "confidence": TEXT,
            "label": TEXT,
        },
        "fetchedAt": INTEGER,
    },
    "/flows/signals?coins=BTC,ETH,SOL": [SIGNAL],
    "/flows/summary?coins=BTC": {
        "coins": [TEXT],
        "rows": [
            {"coin": TEXT, "coverage": COVERAGE, "flowPressureScore": INTEGER, "headline": TEXT}
        ],
        "signals": [SIGNAL],
        "fetchedAt": INTEGER,
    },
    "/flows/history?coin=BTC&metric=flowPressureScore": {
        "coin": TEXT,
        "metric": TEXT,
        "interval": TEXT,
        "points": [
            {
                "t": INTEGER,
                "v": NUMBER,
                "partial": FLAG,
                "stale": FLAG,
                "source": TEXT,
                "sources": ANY,
                "coverage": COVERAGE,
            }
        ],
        "retention": TEXT,
        "enabled": FLAG,
        "fetchedAt": INTEGER,
    },
    "/markets?exchange=polymarket&pageSize=20": {
        "venues": [VENUE],
        "exchange": TEXT,
        "markets": [
            {"exchange": TEXT, "symbol": TEXT, "coin": OrNull(TEXT), "kind": TEXT, "label": TEXT}
        ],
        "page": INTEGER,
        "pageSize": INTEGER,
        # A venue that does not tell how many markets it has has an unknown total.
        "total": OrNull(INTEGER),
    },
    "/markets": {"venues": [VENUE]},
    (
        "/points?type=OI_AGG&exchange=binance&exchange=bybit&coin=BTC"
        "&transform.groupBy.type=GROUP_BY_TYPE_SUM"
    ): {
        "type": TEXT,
        "exchanges": [TEXT],
        "groupBy": TEXT,
        "rows": [
            {
                "type": TEXT,
                "coin": TEXT,
                "exchange": TEXT,
                "value": NUMBER,
                "unit": TEXT,
                "byExchange": Each(NUMBER),
                "fetchedAt": INTEGER,
            }
        ],
    },
}


@pytest.fixture(scope="module")
def asker(rest_world: Asker) -> Asker:
    """A world in which the flow metrics were recorded once."""

    async def record() -> None:
        core = rest_world.app.core()
        recorder = Recorder(core, "full", OwnLease())
        one = samplings()["flows"]
        await recorder.sample(one, cell(core.clock.now_ms(), one.every_ms))

    rest_world.run(record)
    return rest_world


def faults(shape: Any, value: Any, where: str = "") -> list[str]:
    """Where a value does not have a shape; more keys than the shape's are welcome."""
    if isinstance(shape, OrNull):
        return [] if value is None else faults(shape.shape, value, where)
    if isinstance(shape, Each):
        if not (isinstance(value, dict) and value):
            return [f"{where} is no object with members"]
        return [f for k, v in value.items() for f in faults(shape.shape, v, f"{where}.{k}")]
    if isinstance(shape, list):
        if not isinstance(value, list) or not (value or shape == [ANY]):
            return [f"{where} is no list with items"]
        return [f for i, v in enumerate(value) for f in faults(shape[0], v, f"{where}[{i}]")]
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return [f"{where} is no object"]
        lost = [f"{where}.{key} is missing" for key in shape if key not in value]
        return lost + [
            f for k, s in shape.items() if k in value for f in faults(s, value[k], f"{where}.{k}")
        ]
    if shape == ANY:
        return []
    kinds: dict[str, tuple[type, ...]] = {
        TEXT: (str,),
        NUMBER: (int, float),
        INTEGER: (int,),
        FLAG: (bool,),
    }
    fits = isinstance(value, kinds[shape]) and (shape == FLAG or not isinstance(value, bool))
    return [] if fits else [f"{where} is no {shape}: {value!r}"]


@pytest.mark.parametrize("question", SHAPES)
def test_an_answer_has_the_shape_of_the_specifications_example(asker: Asker, question: str) -> None:
    """All keys of the example are there with its JSON types, in `data` and in `meta`."""
    answer = asker.get(f"/api/v1{question}")
    assert 200 == answer.status_code, answer.text
    document = answer.json()
    assert ["data", "meta"] == list(document)
    meta = FLOW_META if question.startswith("/flows") else META
    assert [] == faults({"data": SHAPES[question], "meta": meta}, document)


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        (TEXT, 1),
        (NUMBER, "1"),
        (NUMBER, True),
        (NUMBER, None),
        (INTEGER, 1.5),
        (FLAG, 0),
        ([NUMBER], []),
        ([NUMBER], [1, "2"]),
        (Each(NUMBER), {}),
        (Each(NUMBER), {"a": None}),
        ({"a": NUMBER}, {"b": 1}),
        ({"a": [{"b": TEXT}]}, {"a": [{"b": None}]}),
    ],
)
def test_what_has_another_shape_is_found(shape: Any, value: Any) -> None:
    """The comparison itself fails on missing keys, other types, nulls and empty lists."""
    assert 1 == len(faults(shape, value))
