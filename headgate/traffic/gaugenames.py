"""Which counts a configuration needs over all workers, by name. Only limits need them: what is unlimited is not counted there."""

from ..config.schema import Config

CONNECTIONS = "gateway connections"
REQUESTS = "gateway requests"


def of_route(label: str) -> str:
    """Return the name of the count of a route's requests under way."""
    return f"route {label}"


def of_upstream(name: str) -> str:
    """Return the name of the count of an upstream's requests under way."""
    return f"upstream {name}"


def busy(name: str, label: str) -> str:
    """Return the name of the count of a server's requests under way."""
    return f"busy {name} {label}"


def idle(name: str, label: str) -> str:
    """Return the name of the count of a server's idle connections."""
    return f"idle {name} {label}"


def gauge_names(config: Config) -> list[str]:
    """Return the name of every count that a configuration needs."""
    names = [CONNECTIONS]
    if config.gateway.limits.requests:
        names.append(REQUESTS)
    names += [of_route(route.label) for route in config.route if route.max_requests]
    for name, upstream in config.upstream.items():
        if upstream.max_total_requests:
            names.append(of_upstream(name))
        for server in upstream.servers:
            if upstream.max_requests or upstream.max_connections:
                names.append(busy(name, server.url))
            if upstream.max_connections:
                names.append(idle(name, server.url))
    return names
