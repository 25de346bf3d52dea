"""Owns the list of incidents with its filters, and what is said of a reference that somebody quotes."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from ..diagnose.catalogue import catalogue
from .dashboard_timeline import sample
from .dashboard_words import row

TIMES: Final = (
    ("", "any time"),
    ("900", "15 minutes"),
    ("3600", "hour"),
    ("21600", "6 hours"),
    ("86400", "day"),
    ("604800", "week"),
)
"""Spans that can be chosen: seconds, and how they are called."""
STATES: Final = (("", "open or resolved"), ("open", "open"), ("resolved", "resolved"))


def incidents(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the list.

    data: "incidents" (a page of summaries), "wanted" ("state", "upstream", "cause", "within" as text), "upstreams" (names),
    "after" (where the next page begins, "" for the last one), "later" (it is not the first page).
    """
    wanted = {key: value for key, value in data["wanted"].items() if value}
    here = [(code, cause.title) for code, cause in catalogue().items() if not cause.elsewhere]
    query = urlencode({**wanted, "after": data["after"]})
    return {
        "rows": [row(one) for one in data["incidents"]], "times": TIMES, "states": STATES, "causes": here,
        "filtered": bool(wanted), "next": f"/incidents?{query}" if data["after"] else "",
        "newest": f"/incidents{'?' * bool(wanted)}{urlencode(wanted)}" if data["later"] else "",
    }  # fmt: skip


def found(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the page of a reference. data: "reference", "record" (None: not kept), "incident" (a summary)."""
    record = data["record"]
    return {
        "sample": sample(record) if record else None,
        "summary": row(data["incident"]) if data["incident"] else None,
    }
