"""The admin API: what can be asked of a gateway and done to it. Its description (OpenAPI) is made from these functions."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import Depends, FastAPI, Path, Request, Response
from fastapi.security import HTTPBearer

from .. import __version__
from ..config.findings import BadConfig
from ..config.load import read
from ..render.visible import visible
from .answers import Ejection, Problem, Reason, Said, ServerStatus, Status, UpstreamStatus, Weight
from .dashboard import Pages, add_dashboard
from .desired import NotApplied
from .incidentapi import add_incidents
from .metrics import Metrics
from .problems import answer_problems
from .process import Unknown
from .reportapi import add_report
from .sheet import written
from .status import status, upstream_status

if TYPE_CHECKING:
    from .process import Control

_EVENTS: Final = {"drain": "drain", "ready": "ready", "maintenance": "maintenance", "restore": "told-up"}
"""What an administrator says of a server, and what traffic/health.py calls it."""
_NOTHING_THERE: Final = "No such upstream or server; the sentence names those there are."
_REFUSALS: Final = {
    400: "A field stands there twice, or the body is not JSON.",
    401: "The token is missing or wrong.",
    403: "A page of another site asks.",
    408: "The body is too slow.",
    413: "The body is larger than 64 KiB.",
    415: "Content-Type is not application/json (POST and PUT).",
    421: "Host is not this API's address.",
}
_INTRODUCTION: Final = """\
What `headgate status`, `reload`, `upgrade` and `server` ask. POST and PUT need `Content-Type: application/json`, also without a
body. Errors are `application/problem+json` with one sentence in `detail`; whatever was refused has changed nothing."""

Upstream = Annotated[str, Path(description="The upstream's name: of [upstream.NAME].")]
Server = Annotated[str, Path(description="The server's URL as the configuration has it.")]


def make_api(control: "Control", *, with_token: bool, pages: Pages | None = None) -> FastAPI:
    """Return the application. with_token: callers must show one (guard.py checks it). pages: of the dashboard, None for none."""
    api = FastAPI(
        title="Headgate admin API", version=__version__, description=_INTRODUCTION, openapi_url="/api/openapi.json",
        docs_url=None, redoc_url=None, redirect_slashes=False, generate_unique_id_function=lambda route: route.name,
        responses=_problems(_REFUSALS),
        dependencies=[Depends(HTTPBearer(auto_error=False, description="The text in the file that gateway.admin.token names."))]
        if with_token else [],
    )  # fmt: skip
    _add_reading(api, control)
    _add_servers(api, control)
    _add_gateway(api, control)
    add_incidents(api, control)
    add_report(api, control)
    _add_metrics(api, control)
    if pages is not None:
        add_dashboard(api, control, pages, with_token=with_token)
    answer_problems(api)
    _describe_problems(api)
    return api


def _problems(described: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    return {status: {"description": text, "model": Problem} for status, text in described.items()}


def _add_reading(api: FastAPI, control: "Control") -> None:
    @api.get("/api/status", summary="Everything", tags=["status"])
    async def get_status() -> Status:
        """Workers, sums, upstreams and servers, as the workers told it within the last second."""
        return status(control)

    @api.get("/api/upstreams/{name}", summary="One upstream", tags=["status"], responses=_problems({404: _NOTHING_THERE}))
    async def get_upstream(name: Upstream) -> UpstreamStatus:
        """An upstream and its servers."""
        if name not in control.desired.config.upstream:
            raise Unknown(f'no upstream is called "{name[:100]}"; there are {", ".join(control.desired.config.upstream)}')
        return upstream_status(control, name)


def _add_servers(api: FastAPI, control: "Control") -> None:
    wrong = _problems({404: _NOTHING_THERE, 422: "A key of the body is missing, unknown or out of range."})

    def seen(name: str, label: str) -> ServerStatus:
        return next(server for server in upstream_status(control, name)["servers"] if server["url"] == label)

    def act(name: str, label: str, event: str, why: str, seconds: float = 0.0) -> ServerStatus:
        control.act(name, label, event, why, seconds)
        return seen(name, label)

    def add(action: Literal["drain", "ready", "maintenance", "restore"], summary: str, description: str) -> None:
        @api.post(
            f"/api/upstreams/{{name}}/servers/{{label:path}}/{action}", name=f"{action}_server", summary=summary,
            description=description, tags=["servers"], responses=wrong,
        )  # fmt: skip
        async def one(name: Upstream, label: Server, reason: Reason | None = None) -> ServerStatus:
            return act(name, label, _EVENTS[action], _why(reason, action))

    add("drain", "No new requests", "What runs may finish, and clients bound by a sticky cookie may come back. `ready` ends it.")
    add("maintenance", "No requests at all", "What runs may finish; bound clients go elsewhere. `ready` ends it.")
    add("ready", "Back from drain or maintenance", "Whether it gets requests is then up to its checks and the traffic again.")
    add("restore", "Take it for healthy", "Ends an ejection, and stands for a passed check until the next verdict.")

    @api.post(
        "/api/upstreams/{name}/servers/{label:path}/eject",
        summary="No new requests for a while",
        tags=["servers"],
        responses=wrong,
    )
    async def eject_server(name: Upstream, label: Server, ejection: Ejection) -> ServerStatus:
        """As when its answers were bad: it comes back by itself after so many seconds. `restore` ends it earlier."""
        return act(name, label, "ejected", _why(ejection, "eject"), ejection.seconds)

    @api.put("/api/upstreams/{name}/servers/{label:path}/weight", summary="Another weight", tags=["servers"], responses=wrong)
    async def weigh_server(name: Upstream, label: Server, weight: Weight) -> ServerStatus:
        """Holds until the next start, or until a reload changes the server's table."""
        control.weigh(name, label, weight.weight)
        return seen(name, label)


def _why(reason: Reason | None, action: str) -> str:
    """Return why something is done, fit for a log line and a terminal."""
    return visible(reason.why) if reason is not None and reason.why.strip() else f"told by an administrator: {action}"


def _add_gateway(api: FastAPI, control: "Control") -> None:
    @api.post(
        "/api/reload", summary="Read the configuration file again", tags=["gateway"],
        responses=_problems({409: "The file cannot be used; nothing has changed. The sentence has every reason."}),
    )  # fmt: skip
    async def reload() -> Said:
        """Answers when every worker serves by the new configuration."""
        return {"said": await control.reloading.reload()}

    @api.post(
        "/api/upgrade", summary="Start a new version of the program", tags=["gateway"], status_code=202,
        responses=_problems({409: "The new version could not start: the sentence says why."}),
    )  # fmt: skip
    async def upgrade() -> Said:
        """The new version takes over the sockets when it is ready, and then ends this one in order.

        `gateway.upgrade` of the status tells how it goes.
        """
        _check_file(control)
        control.upgraded = {}
        control.ask_parent("upgrade")
        return {"said": "a new version is started; it takes over when it is ready"}

    @api.post("/api/reopen", summary="Open the log files anew", tags=["gateway"], status_code=202)
    async def reopen() -> Said:
        """For log rotation: all processes go on in new files of the same names."""
        control.ask_parent("reopen")
        return {"said": "every process opens its log files anew"}

    @api.post("/api/stop", summary="End the gateway in order", tags=["gateway"], status_code=202)
    async def stop() -> Said:
        """Nothing new is accepted, and what runs may finish within gateway.drain. A second time: all ends at once."""
        control.ask_parent("stop")
        return {"said": "the gateway ends as soon as running exchanges have finished"}


def _add_metrics(api: FastAPI, control: "Control") -> None:
    metrics = Metrics(control)
    text = {"schema": {"type": "string"}}

    @api.get(
        "/metrics", summary="Metrics for Prometheus", tags=["status"], response_class=Response,
        responses={200: {"content": {"application/openmetrics-text": text, "text/plain": text}}},
    )  # fmt: skip
    async def get_metrics(request: Request) -> Response:
        """OpenMetrics where `Accept` asks for it, else the text format of Prometheus."""
        await metrics.complete()
        sheet = metrics.scrape()
        body, kind = await asyncio.to_thread(written, sheet, ",".join(request.headers.getlist("accept")))
        return Response(body, media_type=kind)


def _check_file(control: "Control") -> None:
    """Raise NotApplied when a new version would not start for the file's sake."""
    if control.path:
        try:
            read(control.path)
        except BadConfig as problem:
            raise NotApplied(f"the new version would not start: {problem}") from None


def _describe_problems(api: FastAPI) -> None:
    """Have the description say in which form errors come."""
    described = api.openapi()
    for operations in described["paths"].values():
        for operation in operations.values():
            for code, response in operation["responses"].items():
                if int(code) >= 400:
                    response["content"] = {"application/problem+json": response["content"]["application/json"]}
