"""The status page of `headgate watch`: each site with a bar of its last periods, and its changes."""

from collections.abc import Mapping
from typing import Any

from ..diagnose.catalogue import catalogue
from .page import moment, render


def page(document: Mapping[str, Any]) -> str:
    """Return the page as one HTML file.

    document: made (seconds since the epoch), period (seconds that one bar stands for), sites: url, state, status, availability
    (0 to 1, -1 unknown), periods (begin, end, looks, up, worst), changes (at, text, new), each the newest first.
    """
    sites = [_site(site) for site in document["sites"]]
    bad = [site for site in sites if site["tone"] == "bad"]
    headline = (
        "Everything is up" if not bad else f"{len(bad)} of {len(sites)} {'sites are' if len(sites) > 1 else 'site is'} not up"
    )
    return render("status.html", {
        "made": document["made"], "sites": sites, "headline": headline, "tone": "bad" if bad else "good",
    })  # fmt: skip


def _site(site: Mapping[str, Any]) -> dict[str, Any]:
    bars = [_bar(period) for period in site["periods"]]
    looked = [bar for bar in bars if bar["tone"]]
    clear = sum(bar["tone"] == "up" for bar in looked)
    return {
        **site, "bars": bars, "begin": site["periods"][0]["begin"] if bars else 0.0, "said": _said(site["state"]),
        "tone": {"up": "good", "flapping": "mid", "": "soft"}.get(site["state"], "bad"),
        "spoken": f"{clear} of {len(looked)} periods without failure",
    }  # fmt: skip


def _said(state: str) -> str:
    cause = catalogue().get(state)
    if cause is not None:
        return cause.title
    return f"answers {state}" if state.isdigit() else state or "not looked at yet"


def _bar(period: Mapping[str, Any]) -> dict[str, str]:
    looks, up = period["looks"], period["up"]
    tone = "" if not looks else "up" if up == looks else "down" if not up else "part"
    said = (
        "nobody looked"
        if not looks
        else f"{up} of {looks} looks were up" + (f"; {_said(period['worst'])}" if period["worst"] else "")
    )
    return {"tone": tone, "title": f"{moment(period['begin'])}: {said}"}
