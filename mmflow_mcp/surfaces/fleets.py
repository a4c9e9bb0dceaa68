"""How this replica stands to the others of its fleet, for `/status`, `/readyz` and `/metrics`."""

from typing import Any

from mmflow_mcp.app import App
from mmflow_mcp.checks import Check


def fleet_facts(app: App) -> dict[str, Any] | None:
    """Whether it is one of a fleet, and what it is to each shared feed; None where there is none.

    `state`: together or alone, with the `reason` and `since` when (epoch ms). `asks`: what was
    looked for in the shared cache, `hits`: found there. `feeds`: role (starting, leader, follower
    or alone) and `lagMs`, how old the leader's last entry was on arrival.
    """
    core = app.built
    link = app.link
    if core is None or link is None:
        return None
    relay = core.tape.relay
    standing = None if relay is None else relay.standing()
    of_tape = "" if standing is None else standing.reason or ""
    reason = link.reason or of_tape.removeprefix("alone: ")
    told: dict[str, Any] = {
        "state": "alone" if reason else "together",
        "since": link.since if link.reason or standing is None else standing.since_ms,
        "asks": link.asks,
        "hits": link.hits,
        "feeds": [
            {
                "venue": one.venue,
                "channel": one.channel,
                "role": one.role,
                **({} if one.lag_ms is None else {"lagMs": one.lag_ms}),
            }
            for one in (() if standing is None else standing.shares)
        ],
    }
    return told | ({"reason": reason} if reason else {})


def fleet_check(app: App) -> Check:
    """For `/readyz`: a replica that is alone answers on its own."""
    facts = fleet_facts(app)
    if facts is None:
        wanted = app.settings.store.startswith(("redis:", "rediss:"))
        return Check("off", "nobody has used it yet" if wanted else "there is no fleet")
    reason = facts.pop("reason", "")
    return Check("degraded" if reason else "ok", reason, facts)
