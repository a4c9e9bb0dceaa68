"""Coins whose ticker is a stock's, a fund's or an index's as well.

Venues list stocks and metals beside coins, and only their list of contracts tells which is which.
While that list cannot be had, a symbol alone is not enough for these tickers. The largest coins
are not here: no venue has their symbol to spare.
"""

from mmflow_mcp.venues.coins import KNOWN_COINS

NAMESAKES = frozenset(
    """
    A ACE ACT AI ALT APE APEX AR ARC B BAND BAR BB BIO BLUE BLUR CAT CELO COMP CVX DAR DASH DEEP
    EDGE EDU EPIC ERA FLOW FLUX GIGA GLM GMT H HIGH HOME HOOK HOT ID ILV INIT IO IP JOE KNC LA
    LAYER LEO LIT LPT LRC MASK MAV ME MET MEW MNT MON MOVE MTL MYRO NIL NMR NOT NS OM OMNI ONE
    OP ORCA OXT PERP PIXEL PROM PUMP QNT QUICK RAD RARE RAY RED REZ RON ROSE RPL S SAGA SAND SCR
    SHELL SIGN SKL SKY SNS SNX SOPH SPK SPX STG STO STX SUN SUPER SYN SYS T TLM TREE TRU TWT UMA
    USUAL VANA W WAL WCT WEN XAI ZEN PAXG XAUT
    """.split()  # noqa: SIM905 - a table of words reads better as words
)


def is_surely_coin(coin: str) -> bool:
    """Whether a bare ticker can only mean the coin."""
    return coin in KNOWN_COINS and coin not in NAMESAKES
