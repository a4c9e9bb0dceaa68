"""The coins, stocks and other things that the simulated venues list.

Prices are the middle of each price's range in USD; open interest is what the largest venue holds,
in millions of USD; `swing` is how far the logarithm of the price can wander.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Thing:
    """Something with a price: `price` in USD, `oi` in millions of USD on the largest venue."""

    ticker: str
    asset: str
    price: float
    oi: float
    swing: float


_COINS = """
BTC 82000 6800 .27      ETH 2700 4100 .36       SOL 150 1150 .42       XRP 2.1 760 .40
DOGE .19 420 .48        BNB 720 690 .28         ADA .55 190 .45        AVAX 19 160 .46
LINK 15 230 .44         LTC 92 150 .36          BCH 480 120 .38        DOT 3.1 85 .45
UNI 7.2 95 .46          AAVE 190 130 .45        TRX .29 80 .25         TON 1.9 70 .42
SUI 2.2 260 .50         APT 3.2 75 .48          ARB .31 70 .50         OP .45 55 .50
NEAR 2.1 90 .48         HYPE 38 520 .48         ENA .34 140 .55        WIF .55 60 .60
PEPE .0000072 210 .58   SHIB .0000105 75 .50    BONK .0000135 65 .60   FLOKI .000062 30 .58
MOG .00000052 9 .60     BABYDOGE 9e-10 6 .60   SATS .000000028 7 .60
KAITO .95 30 .60        KAS .062 28 .50         TRUMP 6.3 95 .50       WLD .82 80 .55
TAO 330 90 .50          JUP .34 40 .55          ONDO .68 60 .50        FARTCOIN .48 85 .65
ZEC 290 240 .60         ETC 17 45 .42           FIL 1.6 60 .48         INJ 8.4 35 .52
SEI .19 40 .52          TIA 1.1 45 .55          LDO .85 35 .52         CRV .55 60 .52
PENDLE 3.1 30 .55       VIRTUAL 1.05 35 .60     PENGU .017 70 .62      PUMP .0038 150 .60
ASTER 1.05 170 .58      1INCH .19 9 .48         2Z .14 12 .55          C98 .035 5 .50
LUNA .11 7 .52          LUNC .000045 8 .52      SPX .72 22 .62         XPL .28 55 .60
BB .085 6 .55           WEN .000031 2 .60       QNT 88 11 .42          MOVE .058 7 .55
FTM .35 8 .50           PURR .12 1 .60         USDC 1 3 .0003         币安人生 .16 18 .65
龙虾 .021 4 .70         USDT 1 3 .0003
"""

_OTHERS = """
stock TSLA 410 60 .20       stock NVDA 185 75 .18       stock AAPL 265 20 .12
stock MSTR 230 55 .30       stock BB 4.6 3 .25          stock WEN 8.9 2 .18
stock QNT 61 4 .30          stock MOVE 27 2 .22         stock COIN 290 30 .28
commodity XAU 4050 140 .10  commodity XAG 51 60 .16     commodity CL 59 25 .15
forex EURUSD 1.16 15 .03    index SPX500 6700 40 .08
"""


def _read_coins() -> dict[str, Thing]:
    words = _COINS.split()
    rows = zip(*(words[n::4] for n in range(4)), strict=True)
    return {t: Thing(t, "crypto", float(p), float(oi), float(s)) for t, p, oi, s in rows}


def _read_others() -> dict[tuple[str, str], Thing]:
    words = _OTHERS.split()
    rows = zip(*(words[n::5] for n in range(5)), strict=True)
    return {(a, t): Thing(t, a, float(p), float(oi), float(s)) for a, t, p, oi, s in rows}


COINS = _read_coins()
"""Every coin by its canonical ticker."""

OTHERS = _read_others()
"""What is no coin, by (asset, ticker); BB, WEN, QNT and MOVE are tickers of coins as well."""


def find_thing(asset: str, ticker: str) -> Thing:
    """The thing a listing is about; KeyError when there is none."""
    return COINS[ticker] if asset == "crypto" else OTHERS[asset, ticker]
