"""What a part says when it is asked whether it can do its work: `/readyz` asks them all.

    app.checks["fleet"] = look         # async def look() -> Check

A check is quick (it is given a second), raises nothing but `MmflowError`, and starts no part that
nobody has used.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["ok", "off", "degraded", "failed"]


@dataclass(frozen=True, slots=True)
class Check:
    """One part's state. `reason` says why it is not ok, without addresses and passwords.

    `off`: not wanted, or not used yet. `degraded`: questions are answered without it, or with less.
    `failed`: no question can be answered. `facts` are told beside it; their values are JSON.
    """

    status: State = "ok"
    reason: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


Look = Callable[[], Awaitable[Check]]
Checks = dict[str, Look]
