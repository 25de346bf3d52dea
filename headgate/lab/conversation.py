"""How one played scenario looks in a terminal: what it was about, who said what, and what the gateway made of it."""

import json

from .laboratory import Lab
from .score import Result
from .tables import expected_text, seen_text


def conversation(lab: Lab, result: Result) -> str:
    """Return the story of a scenario that was just played."""
    scenario = result.scenario
    lines = [f"{scenario.name}: {scenario.title}", f"  {scenario.why}", ""]
    if result.verdict == "skipped":
        return "\n".join([*lines, f"not played: {result.reason}"])
    lines += ["What the server saw and did"]
    lines += [f"  {line}" for line in lab.players[scenario.name].trace] or ["  nothing: no connection reached it"]
    lines += ["", "What the client saw"]
    for seen in result.sightings:
        lines.append(f"  {seen.ms:6.0f} ms  {seen_text([seen])}{': ' + seen.note if seen.note else ''}")
        lines += [f"             {name}: {value}" for name, value in seen.fields]
        lines += [f"             {line}" for line in _body(seen.body)]
    if result.record:
        lines += ["", "What the gateway's access log says", *_indented(json.dumps(result.record, indent=1))]
    cause = f", cause {result.cause or 'not visible'}" if scenario.expect.causes else ""
    lines += ["", f"Right is {expected_text(scenario.expect)}; {result.verdict}{cause}."]
    if result.reason:
        lines.append(f"  {result.reason}")
    return "\n".join(lines)


def _body(body: bytes) -> list[str]:
    """Return up to 30 lines of a body, JSON laid out."""
    try:
        text = json.dumps(json.loads(body), indent=1, ensure_ascii=False)
    except ValueError:
        text = body[:1000].decode("utf-8", "backslashreplace")
    return [line[:120] for line in text.splitlines()[:30]]


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.splitlines()]
