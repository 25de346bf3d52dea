"""What tables about visitors may not say together: services of unknown upstreams, addresses that are taken, times in reverse."""

from collections.abc import Collection, Iterator
from difflib import get_close_matches
from pathlib import Path as FilePath

from jinja2 import Environment, TemplateSyntaxError

from .findings import Path, Remark
from .schema import Config
from .statuspage import OFF, StatusPage, moment


def public(config: Config) -> Iterator[Remark]:
    """Yield a remark for each thing that cannot be meant."""
    own = {} if config.gateway.status.path == OFF else {config.gateway.status.path: "gateway.status.path"}
    yield from _taken(config, ("gateway", "status", "path"), own, None)
    page = config.status_page
    if page is None:
        return
    if config.gateway.status.path in page.paths:
        yield Remark(("status_page", "path"), "the same path as gateway.status.path", "write another one")
    yield from _taken(config, ("status_page", "path"), page.paths, page.host)
    yield from _services(config, page)
    for number, message in enumerate(page.message):
        if message.since and message.until and moment(message.until) <= moment(message.since):
            yield Remark(("status_page", "message", number, "until"), "it ends before it begins", "", "a time after since")
    if page.template:
        yield from template_faults(("status_page", "template"), page.template)


def _taken(config: Config, place: Path, paths: Collection[str], host: str | None) -> Iterator[Remark]:
    """Say when a route is for a path that the gateway answers itself."""
    for route in config.route:
        if route.path_exact in paths and (host is None or route.host in ("", host)):
            message = f'the route "{route.label}" is for this very path, and no request would reach it'
            yield Remark(place, message, 'write another path, or "off"')


def _services(config: Config, page: StatusPage) -> Iterator[Remark]:
    names: set[str] = set()
    labels = [route.label for route in config.route]
    for number, service in enumerate(page.service):
        place: Path = ("status_page", "service", number)
        if service.name in names:
            yield Remark((*place, "name"), f'two services are called "{service.name}"', "give each its own name")
        names.add(service.name)
        if not service.upstreams and not service.routes:
            yield Remark(place, "a service that consists of nothing", 'write upstreams = ["NAME"]')
        yield from _known((*place, "upstreams"), "upstream", service.upstreams, list(config.upstream))
        yield from _known((*place, "routes"), "route", service.routes, labels)


def _known(place: Path, what: str, named: Collection[str], known: list[str]) -> Iterator[Remark]:
    for number, name in enumerate(named):
        if name not in known:
            close = get_close_matches(name, known, 1)
            expected = "" if close or not known else f"one of {', '.join(known[:10])}"
            hint = f'did you mean "{close[0]}"?' if close else ""
            yield Remark((*place, number), f'no {what} is called "{name}"', hint, expected)


def template_faults(place: Path, file: str) -> Iterator[Remark]:
    """Say why a file is no template."""
    try:
        Environment(autoescape=True).parse(FilePath(file).read_text(encoding="utf-8"))
    except OSError as error:
        yield Remark(place, f"{file} cannot be read: {(error.strerror or str(error)).lower()}")
    except UnicodeDecodeError:
        yield Remark(place, f"{file} is not UTF-8")
    except TemplateSyntaxError as error:
        yield Remark(place, f"{file}:{error.lineno}: {error.message}", "", "a Jinja2 template")
