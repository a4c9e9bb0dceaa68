"""CME: licensed data, planned. It stands in the catalogue and can be asked nothing yet.

https://www.cmegroup.com/market-data.html
"""

from mmflow_mcp.venues.base import Venue


class Cme(Venue):
    """CME futures and options."""

    id = "cme"
    name = "CME"
    kind = "tradfi"
    aliases = ("CME_GROUP",)
    status = "planned"
    data_source = "CME Market Data Platform (licensed): integration planned"
