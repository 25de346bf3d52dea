"""The admin API's part about incidents: what can be asked of them, and done about them."""

from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, cast

from fastapi import FastAPI, Path, Query

from ..diagnose.redact import clean
from ..render.incident import advice, headline, title
from ..render.visible import visible
from .answers import Problem, Said
from .incidentanswers import Acknowledgement, Act, Incident, Incidents, Reference, Silence, Summary
from .process import Unknown

if TYPE_CHECKING:
    from .process import Control

_MISSING: Final[dict[int | str, dict[str, Any]]] = {404: {"description": "Nothing is known by this name.", "model": Problem}}

Id = Annotated[str, Path(description="The incident's id, as lists and notes show it.", max_length=64)]
Since = Annotated[float, Query(description="Only what failed at or after this time (seconds since 1970).", ge=0)]
Until = Annotated[float | None, Query(description="Only what began at or before this time.", ge=0)]
Limit = Annotated[int, Query(description="How many at most.", ge=1, le=1000)]
State = Annotated[Literal["", "open", "resolved"], Query(description="Only those that last, or those that are over.")]
OfUpstream = Annotated[str, Query(description="Only those of this upstream.", max_length=100)]


def add_incidents(api: FastAPI, control: "Control") -> None:
    """Add the routes."""
    _add_reading(api, control)
    _add_acting(api, control)


def summed(one: Mapping[str, Any]) -> Summary:
    """Return a summary of the store with the words that people read first."""
    return {**one, "title": title(one), "headline": headline(one)}  # type: ignore[typeddict-item]


def whole(control: "Control", id: str) -> Incident | None:
    """Return all that is known of an incident, None where there is none."""
    store = control.desk.store
    found = store.incident(id)
    if found is None:
        return None
    samples = found["samples"]
    told: Any = {
        **summed(found),
        "similar": [summed(one) for one in store.similar(found["id"])],
        "sentence": samples[-1].get("sentence", "") if samples else "",
        "remedies": {one.reader: one.prose for one in advice(found)},
    }
    return cast(Incident, told)


def _add_reading(api: FastAPI, control: "Control") -> None:
    @api.get("/api/incidents", summary="Incidents", tags=["incidents"])
    async def get_incidents(
        state: State = "",
        upstream: OfUpstream = "",
        since: Since = 0.0,
        until: Until = None,
        limit: Limit = 50,
    ) -> Incidents:
        """The newest first; with `state=open` those that users see first."""
        store = control.desk.store
        if state == "open" and not upstream and not since and until is None:
            found = store.open_incidents(limit)
        else:
            found = store.incidents(since, inf if until is None else until, state, upstream, limit)
        return {
            "incidents": [summed(one) for one in found], "lost": store.lost, "dropped": store.dropped, "note": store.note,
            "in_memory": control.desk.in_memory,
        }  # fmt: skip

    @api.get("/api/incidents/{id}", summary="One incident", tags=["incidents"], responses=_MISSING)
    async def get_incident(id: Id) -> Incident:
        """All that is known of it: samples, looks, what happened before, what people did."""
        found = whole(control, id)
        if found is None:
            raise _unknown(id)
        return found

    @api.get("/api/references/{reference}", summary="An exchange by its reference", tags=["incidents"], responses=_MISSING)
    async def get_reference(reference: Annotated[str, Path(description="As the page showed it.", max_length=200)]) -> Reference:
        """The exchange whose error page showed this reference, where it is one of the samples that are kept."""
        found = control.desk.store.find(reference)
        if found is None:
            raise Unknown(f'"{clean(reference, 60)}" is not among the exchanges that are kept; the error log has all')
        return {"incident": found["incident"], "record": found["record"]}


def _add_acting(api: FastAPI, control: "Control") -> None:

    def told(found: Mapping[str, Any] | None, id: str) -> Summary:
        if found is None:
            raise _unknown(id)
        return summed(found)

    @api.post("/api/incidents/{id}/acknowledge", summary="Somebody is on it", tags=["incidents"], responses=_MISSING)
    async def acknowledge_incident(id: Id, act: Acknowledgement) -> Summary:
        """Shown to operators and, without names, on the error page; notifications pause until it gets worse."""
        return told(control.desk.acknowledge(id, visible(act.who), visible(act.note), act.expected), id)

    @api.post("/api/incidents/{id}/resolve", summary="It is over", tags=["incidents"], responses=_MISSING)
    async def resolve_incident(id: Id, act: Act) -> Summary:
        """The next failure of the same kind reopens it."""
        return told(control.desk.resolve(id, visible(act.who), visible(act.note)), id)

    @api.post("/api/incidents/{id}/silence", summary="Tell nobody for a while", tags=["incidents"], responses=_MISSING)
    async def silence_incident(id: Id, silence: Silence) -> Summary:
        """No notifications for so many seconds; 0 ends it."""
        return told(control.desk.silence(id, visible(silence.who), visible(silence.note), silence.seconds), id)

    @api.post(
        "/api/incidents/{id}/examine", summary="Look into it again", tags=["incidents"], status_code=202, responses=_MISSING
    )
    async def examine_incident(id: Id) -> Said:
        """The verdict is with the incident some seconds later."""
        if not control.desk.examine(id):
            raise _unknown(id)
        return {"said": "it is looked into; the verdict is with the incident in some seconds"}


def _unknown(id: str) -> Unknown:
    return Unknown(f'no incident is called "{clean(id, 60)}"; `headgate incidents` lists them')
