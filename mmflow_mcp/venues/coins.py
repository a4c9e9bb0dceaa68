"""Canonical tickers: what a venue's base asset is called everywhere else."""

import re
from functools import cache

# Tickers that end or begin in digits and are whole names.
_WHOLE = frozenset({"1INCH", "2Z", "C98", "4STOCK", "A2Z", "B3", "H2O", "L3", "0G", "4", "42"})
_RENAMED = {"XBT": "BTC", "LUNA2": "LUNA"}
_MULTIPLIERS = {"1M": 1_000_000}
_PREFIX = re.compile(r"^(10{3,}|1M)([A-Z].*)$")
_SUFFIX = re.compile(r"^([A-Z]+)(10{3,})$")
_HYPERLIQUID_K = re.compile(r"^k[A-Z]")
_QUOTES = ("USDT", "USDC", "USD1", "USD", "PERP")
_DOLLARS = frozenset(
    {
        *("USD", "USDT", "USDC", "USD1", "FDUSD", "TUSD", "BUSD", "PYUSD", "RLUSD", "GUSD"),
        *("SUSD", "LUSD", "CUSD", "FRAXUSD"),
    }
)
# What may follow a ticker and a space.
_OF_A_MARKET = frozenset(
    {*_DOLLARS, "PERP", "PERPS", "PERPETUAL", "SWAP", "FUTURES", "SPOT", "KRW", "EUR", ""}
)
_BETWEEN = re.compile(r"[-_/:\s]+")
_SEPARATED = re.compile(r"^([^-_/: ]+)[-_/: ].+$")


@cache
def canonical(base: str) -> tuple[str, int]:
    """A base asset as (coin, how many coins one unit of it is): 1000PEPE -> (PEPE, 1000).

    The lower-case `k` of Hyperliquid is handled by `from_hyperliquid`: elsewhere K is a letter.
    """
    name = base.upper()
    if name in _WHOLE:
        return name, 1
    prefixed = _PREFIX.match(name)
    if prefixed:
        return _RENAMED.get(prefixed[2], prefixed[2]), _times(prefixed[1])
    suffixed = _SUFFIX.match(name)
    if suffixed:
        return suffixed[1], _times(suffixed[2])
    return _RENAMED.get(name, name), 1


def _times(text: str) -> int:
    return _MULTIPLIERS.get(text) or int(text)


@cache
def from_hyperliquid(name: str) -> tuple[str, int]:
    """Hyperliquid's rule: a lower-case k before a capital is 1000 coins, KAS and KAITO are not."""
    if _HYPERLIQUID_K.match(name):
        return name[1:].upper(), 1000
    return canonical(name)


def understand(text: str) -> str:
    """A coin as people and models write it: btc, BTC-USDT, BTCUSDT, BTC/USDT:USDT, 1000PEPE.

    Returns the canonical ticker; whether it exists only the venues can tell.
    """
    name = text.strip()
    separated = _SEPARATED.match(name)
    if separated:
        name = separated[1]
    coin, times = from_hyperliquid(name)
    quote = next((quote for quote in _QUOTES if _is_pair(coin, quote)), None)
    if quote is None:
        return coin
    base = coin.removesuffix(quote)
    return canonical(base)[0] if times == 1 else base


def _is_pair(name: str, quote: str) -> bool:
    """Whether a name ends in a quote: WUSDT is W in USDT, but AUSD is a dollar of its own."""
    least = 1 if quote in ("USDT", "USDC") else 2
    return name.endswith(quote) and len(name) >= len(quote) + least and name not in _DOLLARS


def is_several(text: str) -> bool:
    """Whether a text has words that are no words of one market: "BTC ETH", but not "BTC PERP"."""
    _, _, others = text.partition(" ")
    return not _OF_A_MARKET.issuperset(_BETWEEN.split(others.upper()))


# Coins known as coins. Used only where a venue mixes them with stocks and metals and says nothing
# of the kind (Lighter), or while its list of contracts cannot be had: what is not here is then
# left out rather than taken for a coin.
KNOWN_COINS = frozenset(
    """
    BTC ETH SOL XRP BNB DOGE ADA TRX AVAX LINK DOT TON SHIB LTC BCH XLM HBAR SUI APT NEAR ICP
    ETC UNI AAVE ATOM FIL ARB OP INJ STX IMX TIA SEI RUNE FTM S ALGO VET GRT MKR SKY LDO RENDER
    FET TAO KAS PEPE BONK WIF FLOKI POPCAT MEME BOME MEW MOG TURBO NEIRO PNUT GOAT MOODENG
    FARTCOIN TRUMP MELANIA HYPE JUP PYTH JTO W ENA ETHFI EIGEN PENDLE ONDO STRK ZK ZRO BLAST
    MANTA DYM ALT PIXEL PORTAL ORDI SATS RATS 1INCH CRV CVX SNX COMP SUSHI YFI BAL GMX DYDX PERP
    BLUR APE SAND MANA AXS GALA ENJ CHZ FLOW THETA EOS A XTZ NEO ZEC DASH XMR IOTA KAVA ROSE
    CELO ONE ZIL QTUM ONT ICX WAVES KSM EGLD MINA CFX ANKR STORJ LPT AR BAT ZRX ENS SSV RPL FXS
    FRAX MASK MAGIC GMT HOOK ID EDU ARKM WLD CYBER BIGTIME MAV PENGU VIRTUAL AIXBT GRIFFAIN
    ZEREBRO AI16Z SWARMS SPX SPX6900 FWOG MOVE ME USUAL BIO VANA KAITO IP BERA LAYER SHELL RED
    NIL PARTI BABY INIT SIGN WCT HAEDAL SYRUP PUMP XPL WLFI ASTER 2Z AVNT MNT CRO OKB LEO PAXG
    XAUT POL MATIC LUNC LUNA USTC JASMY HOT IOST CELR CKB COTI DENT RSR SXP TRB BAND API3 UMA
    REZ IO NOT DOGS CATI HMSTR BANANA SAGA TNSR OMNI MERL BB LISTA RARE SLERF MYRO DEGEN BRETT
    TOSHI PONKE GIGA MOTHER CHILLGUY ACT PROMPT GRASS SCR ORCA DRIFT RAY CETUS DEEP WAL BLUE
    NAVX NS SNS ANIME STO OM ACE XAI NFP AI SUPER FIDA LOOKS RAD ALICE TLM DAR AUDIO BAKE C98
    ALPHA BEL CTSI DODO DUSK EPIC FLUX GLM HIGH ILV JOE KNC LQTY LRC MTL NMR OGN OXT PEOPLE PHB
    POLYX POWR PROM QNT QUICK RLC RVN SKL SLP STEEM STG SUN SYN SYS T TRU TWT VOXEL WOO XEC XEM
    XVG XVS YGG ZEN ZORA LINEA LIT APEX EDGE GLMR CHEEMS CAT WHY BABYDOGE PIPPIN ARC AVAAI B
    USELESS H SAHARA NEWT RESOLV HOME SOPH SPK TAIKO ZETA AEVO BEAMX RON STBL 0G MET MON ZKP
    PROVE TREE ERA CROSS TOWNS ESPORTS SOMI LA
    """.split()  # noqa: SIM905 - a table of words reads better as words
)
