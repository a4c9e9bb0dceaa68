"""What requests to the simulated okx say, and how they are refused."""

from mmflow_mcp.sim.wire import SimRequest


class Refused(Exception):
    """What okx answers with a code other than "0"."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def read_required(request: SimRequest, name: str) -> str:
    """A member of the query that must be there."""
    text = request.query.get(name, "")
    if not text:
        raise Refused("50014", f"Parameter {name} can not be empty.")
    return text


def read_whole(request: SimRequest, name: str, default: int) -> int:
    """A whole number of the query."""
    text = request.query.get(name, "")
    if not text:
        return default
    if not text.isdecimal():
        raise Refused("51000", f"Parameter {name} error")
    return int(text)


def refuse_unknown(name: str) -> Refused:
    """The refusal of an instrument that is not there."""
    return Refused(
        "51001", f"Instrument ID, Instrument ID code, or Spread ID {name} doesn't exist."
    )
