"""Tests the dictionaries of proxies, edges and client libraries: every code people paste is known, and means what it should."""

import pytest

from headgate.diagnose.codes import Found, lookup, phrases, shapes
from headgate.diagnose.meanings import of_code, of_sentence


def finest(text: str, name: str) -> Found | None:
    """The sentence of one dictionary that explains most of a text; of equals the first."""
    found = [one for one in phrases(text) if one.row.dictionary.id == name]
    return max(found, key=lambda one: len(one.text), default=None)


def of(code: str, name: str) -> list[str]:
    """The first cause of each row of one dictionary that is called `code`; "" where nothing failed."""
    return [(row.causes or ("",))[0] for row in lookup(code) if row.dictionary.id == name]


# --- all codes that their vendors list ---

COMPLETE = {
    "envoy-flags": """DC LH UH UT LR UR UF UC UO URX NR DI FI RL UAEX RLSE SI IH DPE UMSDR RFCF NFCF DT UPE NC OM DF DO
        DownstreamConnectionTermination FailedLocalHealthCheck NoHealthyUpstream UpstreamRequestTimeout LocalReset
        UpstreamRemoteReset UpstreamConnectionFailure UpstreamConnectionTermination UpstreamOverflow UpstreamRetryLimitExceeded
        NoRouteFound DelayInjected FaultInjected RateLimited UnauthorizedExternalService RateLimitServiceError StreamIdleTimeout
        InvalidEnvoyRequestHeaders DownstreamProtocolError UpstreamMaxStreamDurationReached ResponseFromCacheFilter
        NoFilterConfigFound DurationTimeout UpstreamProtocolError NoClusterFound OverloadManagerTerminated DnsResolutionFailed
        DropOverload DownstreamRemoteReset UnconditionalDropOverload""",
    "envoy-details": """via_upstream request_payload_too_large response_payload_too_large
        request_payload_exceeded_retry_buffer_limit stream_idle_timeout max_duration_timeout request_overall_timeout
        request_header_timeout overload low_version missing_host_header request_headers_failed_strict_check missing_path_rejected
        invalid_path absolute_path_rejected path_normalization_failed upgrade_failed websocket_handshake_unsuccessful
        route_configuration_not_found route_not_found direct_response cluster_not_found maintenance_mode drop_overload
        unconditional_drop_overload no_healthy_upstream response_timeout upstream_per_try_timeout upstream_per_try_idle_timeout
        upstream_max_stream_duration_reached upstream_reset_before_response_started upstream_reset_after_response_started
        filter_chain_not_found downstream_remote_disconnect downstream_local_disconnect duration_timeout
        downstream_header_timeout admin_filter_response internal_redirect filter_removed_required_request_headers
        filter_removed_required_response_headers rejecting_because_detection_failed filter_added_invalid_request_data
        filter_added_invalid_response_data early_connect_data""",
    "rfc9209": """dns_timeout connection_timeout connection_read_timeout connection_write_timeout http_response_timeout dns_error
        destination_ip_prohibited destination_ip_unroutable connection_refused connection_terminated tls_protocol_error
        tls_certificate_error tls_alert_received http_response_incomplete http_response_header_section_size
        http_response_header_size http_response_body_size http_response_trailer_section_size http_response_trailer_size
        http_response_transfer_coding http_response_content_coding http_upgrade_failed http_protocol_error proxy_loop_detected
        destination_not_found proxy_internal_error proxy_configuration_error destination_unavailable connection_limit_reached
        http_request_denied""",
    "haproxy-termination": """---- CC cC CD cD CH cH CQ CR cR CT LC LR LH SC sC SD sD SH sH sQ PC PD PH PR PT RC
        NN II NI VN VU EI OI DI VI""",
    "haproxy-check": """UNK INI CHECKED HANA SOCKERR L4OK L4TOUT L4CON L6OK L6TOUT L6RSP L7TOUT L7RSP L7OK L7OKC L7STS PROCERR
        PROCTOUT PROCOK""",
    "squid": """ACCESS_DENIED CACHE_ACCESS_DENIED CACHE_MGR_ACCESS_DENIED FORWARDING_DENIED NO_RELAY CANNOT_FORWARD
            READ_TIMEOUT LIFETIME_EXP READ_ERROR WRITE_ERROR CONNECT_FAIL SECURE_CONNECT_FAIL SOCKET_FAILURE DNS_FAIL URN_RESOLVE
            ONLY_IF_CACHED_MISS TOO_BIG INVALID_RESP UNSUP_HTTPVERSION INVALID_REQ UNSUP_REQ INVALID_URL ZERO_SIZE_OBJECT
            PRECONDITION_FAILED CONFLICT_HOST FTP_FAILURE ESI ICAP_FAILURE GATEWAY_FAILURE SHUTTING_DOWN PROTOCOL_UNKNOWN
            CLIENT_GONE SECURE_ACCEPT_FAIL REQUEST_START_TIMEOUT REQUEST_PARSE_TIMEOUT RELAY_REMOTE""",
    "squid-detail": """SRV_PREMATURE_EOF TLS_CONNECT_CLOSE TLS_CONNECT_TIMEOUT TUNNEL_TARGET RETRY_TO_NONE REFORWARD_TO_NONE
        WITH_CLIENT WITH_SERVER REDIRECTOR_TIMEDOUT REQMOD_BLOCK RESPMOD_BLOCK_EARLY RESPMOD_BLOCK_LATE errno=111""",
    "pingora": """ConnectTimedout ConnectRefused ConnectNoRoute ConnectError ConnectProxyFailure TLSHandshakeFailure
        TLSHandshakeTimedout InvalidCert HandshakeError BindError SocketError InvalidHTTPHeader H1Error H2Error H2Downgrade
        InvalidH2 ReadError WriteError ReadTimedout WriteTimedout ConnectionClosed HTTPStatus FileOpenError InternalError""",
    "curl": "3 5 6 7 16 18 22 28 33 35 47 51 52 55 56 58 60 61 77 83 91 92 95 96 97",
    "grpc": """CANCELLED UNKNOWN DEADLINE_EXCEEDED PERMISSION_DENIED UNIMPLEMENTED INTERNAL UNAVAILABLE UNAUTHENTICATED""",
    "akamai": """READ_TIMEOUT READ_ERROR WRITE_ERROR CONNECT_FAIL INVALID_URL DNS_FAIL ZERO_SIZE_OBJECT ACCESS_DENIED
            REFERER_DENIED CLIENT_ABORT FWD_SSL_HANDSHAKE CONNECT_TIMEOUT NO_GOOD_FWD_IP DNS_TIMEOUT DNS_IN_REGION""",
    "vercel": """BODY_NOT_A_STRING_FROM_FUNCTION DNS_HOSTNAME_EMPTY DNS_HOSTNAME_NOT_FOUND DNS_HOSTNAME_RESOLVE_FAILED
        DNS_HOSTNAME_RESOLVED_PRIVATE DNS_HOSTNAME_SERVER_ERROR FALLBACK_BODY_TOO_LARGE NO_RESPONSE_FROM_FUNCTION
        ROUTER_EXTERNAL_TARGET_CONNECTION_ERROR ROUTER_EXTERNAL_TARGET_ERROR ROUTER_EXTERNAL_TARGET_HANDSHAKE_ERROR
        DEPLOYMENT_PAUSED DEPLOYMENT_NOT_FOUND DEPLOYMENT_DELETED DEPLOYMENT_DISABLED FUNCTION_THROTTLED
        MIDDLEWARE_RUNTIME_DEPRECATED FUNCTION_INVOCATION_TIMEOUT EDGE_FUNCTION_INVOCATION_TIMEOUT
        MIDDLEWARE_INVOCATION_TIMEOUT FUNCTION_INVOCATION_FAILED EDGE_FUNCTION_INVOCATION_FAILED INFINITE_LOOP_DETECTED
        NOT_FOUND INTERNAL_FUNCTION_SERVICE_UNAVAILABLE INTERNAL_UNEXPECTED_ERROR""",
    "fly": """PP01 PU01 PU02 PU03 PU04 PC01 PC02 PC03 PC04 PC05 PC06 PC07 PC08 PT01 PT02 PT03 PT04 PT05 PT06 PT07 PT08 PT09
        PM01 PM02 PM03 PM04 PM05 PM06 PM07 PM08 PM09 PM10 PM11 PM12 PM13 PA01 PA02 PA03 PA04 PA05 PE01 PE02 PR01 PR02 PR03
        PR04 PR05""",
    "imperva": "2 3 4 5 8 9 14 15 16 17 18 20 22 23 24 26 29 30 31 32 33 35 36 37 38 39 40 41 42 43 44",
    "blue-coat": "tcp_error dns_unresolved_hostname dns_server_failure gateway_error ssl_failed ssl_server_cert_expired",
    "render": "no-server suspend hibernate-wake-error dynamic-paid-error",
}  # fmt: skip
WRITTEN = {"squid": "ERR_{}", "akamai": "ERR_{}", "curl": "curl: ({})", "imperva": "edet={}"}


@pytest.mark.parametrize(("name", "code"), [(name, code) for name, codes in COMPLETE.items() for code in codes.split()])
def test_a_listed_code_is_known(name: str, code: str) -> None:
    assert [row for row in lookup(WRITTEN.get(name, "{}").format(code)) if row.dictionary.id == name]


FASTLY = (
    "All backends failed or unhealthy", "backend read error", "backend write error", "Backend is unhealthy",
    "Backend.max_conn reached", "first byte timeout", "between bytes timeout", "Connection refused", "Connection timed out",
    "Connection reset by peer", "Network unreachable", "No healthy backends", "Quorum weight not reached",
    "hostname doesn't match against certificate", "SSL handshake error", "No stale object available", "Loop detected",
    "Too many restarts", "Illegal Vary header from backend", "Response object too large", "Internal error",
)  # fmt: skip


@pytest.mark.parametrize("words", FASTLY)
def test_each_of_fastlys_reasons_is_known_as_a_code_and_on_its_page(words: str) -> None:
    (row,) = lookup(f"503 {words}", "fastly")
    found = finest(f"<h1>Error 503 {words}</h1>", "fastly")
    assert found is not None
    assert found.row.causes == row.causes


def test_words_that_everybody_says_are_not_fastlys_alone() -> None:
    assert lookup("Connection refused", "fastly") == ()
    assert finest("connect() failed (111: Connection refused) while connecting to upstream", "fastly") is None
    assert finest("-   FetchError     first byte timeout", "fastly") is None


# --- what they mean ---


@pytest.mark.parametrize(
    ("name", "code", "cause"),
    [
        ("envoy-flags", "UF", "connection-refused"),
        ("envoy-flags", "UC", "closed-on-reuse"),
        ("envoy-flags", "UH", "no-healthy-server"),
        ("envoy-flags", "UT", "response-timeout"),
        ("envoy-flags", "NR", "no-route"),
        ("envoy-flags", "UO", "server-limit-reached"),
        ("envoy-flags", "UAEX", "request-denied"),
        ("envoy-flags", "DF", "dns-name-not-found"),
        ("envoy-details", "via_upstream", "upstream-answered-error"),
        ("envoy-details", "no_healthy_upstream", "no-healthy-server"),
        ("envoy-details", "maintenance_mode", "maintenance"),
        ("envoy-reset", "connection termination", "closed-on-reuse"),
        ("envoy-reset", "connection timeout", "connection-timeout"),
        ("haproxy-termination", "SC", "connection-refused"),
        ("haproxy-termination", "sC", "connection-timeout"),
        ("haproxy-termination", "SH", "closed-before-answer"),
        ("haproxy-termination", "sH", "response-timeout"),
        ("haproxy-termination", "PH", "header-invalid"),
        ("haproxy-termination", "CD", "client-gone"),
        ("haproxy-termination", "cD", "client-read-timeout"),
        ("haproxy-termination", "----", ""),
        ("haproxy-check", "L4CON", "connection-refused"),
        ("haproxy-check", "L6RSP", "tls-plaintext-server"),
        ("squid", "ERR_ZERO_SIZE_OBJECT", "closed-before-answer"),
        ("squid", "ERR_CANNOT_FORWARD", "no-healthy-server"),
        ("squid", "ERR_SECURE_CONNECT_FAIL", "certificate-unknown-authority"),
        ("squid-detail", "TLS_CONNECT_TIMEOUT", "tls-timeout"),
        ("pingora", "InvalidCert", "certificate-invalid"),
        ("pingora", "ConnectionClosed", "closed-before-answer"),
        ("curl", "curl: (52)", "closed-before-answer"),
        ("curl", "CURLE_COULDNT_CONNECT", "connection-refused"),
        ("curl", "curl: (97)", "proxy-on-the-way"),
        ("grpc", "UNAVAILABLE", "connection-refused"),
        ("grpc", "DEADLINE_EXCEEDED", "response-timeout"),
        ("akamai", "Reference #1", "response-timeout"),
        ("akamai", "Reference #97", "connection-timeout"),
        ("akamai", "ERR_NO_GOOD_FWD_IP", "no-healthy-server"),
        ("akamai", "ERR_DNS_IN_REGION", ""),
        ("fastly", "Error 54113", "no-healthy-server"),
        ("vercel", "FUNCTION_INVOCATION_TIMEOUT", "response-timeout"),
        ("vercel", "DEPLOYMENT_NOT_FOUND", "no-route"),
        ("vercel", "DEPLOYMENT_PAUSED", "service-suspended"),
        ("vercel", "DNS_HOSTNAME_RESOLVED_PRIVATE", "address-denied"),
        ("vercel", "INFINITE_LOOP_DETECTED", "loop-detected"),
        ("vercel", "INTERNAL_CACHE_ERROR", "platform-incident"),
        ("netlify", "usage_exceeded", "service-suspended"),
        ("fly", "PC01", "connection-refused"),
        ("fly", "PU02", "closed-before-answer"),
        ("fly", "PR01", "no-healthy-server"),
        ("fly", "PA02", "loop-detected"),
        ("render", "x-render-routing: no-server", "no-route"),
        ("render", "dynamic-paid-error", "program-not-running"),
        ("imperva", "Error 20", "connection-timeout"),
        ("imperva", "Incapsula error 8", "connection-refused"),
        ("imperva", "edet=15", "blocked-by-firewall"),
        ("blue-coat", "dns_unresolved_hostname", "dns-name-not-found"),
        ("blue-coat", "Network Error (tcp_error)", "connection-refused"),
        ("twitter", "code 130", "upstream-overloaded"),
        ("languages", "RemoteDisconnected", "closed-before-answer"),
        ("languages", "io.github.resilience4j.circuitbreaker.CallNotPermittedException", "circuit-open"),
        ("languages", "BrokenCircuitException", "circuit-open"),
        ("languages", "requests.exceptions.ReadTimeout", "response-timeout"),
        ("languages", "httpx.ConnectTimeout", "connection-timeout"),
        ("languages", "UND_ERR_HEADERS_TIMEOUT", "response-timeout"),
        ("languages", "HPE_HEADER_OVERFLOW", "header-section-too-large"),
        ("languages", "java.net.UnknownHostException", "dns-name-not-found"),
        ("languages", "NoHttpResponseException", "closed-before-answer"),
        ("languages", "Errno::ECONNREFUSED", "connection-refused"),
        ("languages", "Net::ReadTimeout", "response-timeout"),
        ("languages", "Net::OpenTimeout", "connection-timeout"),
        ("languages", "NSURLErrorDomain -1004", "connection-refused"),
        ("languages", "SocketError.HostNotFound", "dns-name-not-found"),
        ("languages", "ForwarderError.RequestTimedOut", "response-timeout"),
    ],
)
def test_a_code_means_first_what_is_likeliest(name: str, code: str, cause: str) -> None:
    assert of(code, name) == [cause]


@pytest.mark.parametrize(
    ("cause", "numbers"),
    [
        ("connection-refused", "111 61 10061"),
        ("connection-timeout", "110 60 10060"),
        ("reset-before-answer", "104 54 10054"),
        ("host-unreachable", "113 65 10065"),
        ("network-unreachable", "101 51 10051"),
        ("send-reset", "32"),
        ("socket-backlog-full", "11 35"),
        ("connection-prohibited", "13"),
        ("socket-missing", "2"),
        ("descriptors-exhausted", "24"),
        ("ports-exhausted", "99 49 10049"),
        ("address-unusable", "97 47"),
    ],
)
def test_an_errno_means_the_same_by_its_number_on_each_system(cause: str, numbers: str) -> None:
    assert [of(f"errno {number}", "errno") for number in numbers.split()] == [[cause]] * len(numbers.split())


@pytest.mark.parametrize(
    ("name", "text", "cause", "proved"),
    [
        ("varnish", "-   FetchError     No backend", "no-healthy-server", False),
        ("varnish", "-   FetchError     Director boot.rr returned no backend", "no-healthy-server", True),
        ("varnish", "-   FetchError     backend boot.a: unhealthy", "no-healthy-server", True),
        ("varnish", "-   FetchError     backend boot.a: busy", "server-limit-reached", True),
        ("varnish", "-   FetchError     backend boot.a: fail errno 111 (Connection refused)", "connection-refused", True),
        ("varnish", "-   FetchError     backend boot.a: fail errno 110 (Connection timed out)", "connection-timeout", True),
        ("varnish", "-   FetchError     backend boot.a: fail errno 113 (No route to host)", "host-unreachable", True),
        ("varnish", "-   FetchError     backend boot.a: proxy write errno 32 (Broken pipe)", "send-reset", False),
        ("varnish", "-   FetchError     backend write error: 32 (Broken pipe) (sock)", "send-reset-reused", False),
        ("varnish", "-   FetchError     req.body read error: 0 (Success)", "client-gone", False),
        ("varnish", "-   FetchError     first byte timeout (reused connection)", "response-timeout", False),
        ("varnish", "-   FetchError     first byte timeout", "response-timeout", True),
        ("varnish", "-   FetchError     timeout", "head-stalled", False),
        ("varnish", "-   FetchError     backend closed", "closed-before-answer", False),
        ("varnish", "-   FetchError     Received junk", "not-http", False),
        ("varnish", "-   FetchError     overflow", "header-section-too-large", False),
        ("varnish", "-   FetchError     http format error", "header-invalid", False),
        ("varnish", "-   FetchError     HTC eof (-1)", "closed-before-answer", False),
        ("varnish", "-   FetchError     chunked read err", "chunked-truncated", False),
        ("varnish", "-   FetchError     chunked header too long", "chunk-invalid", True),
        ("varnish", "-   FetchError     chunked header no NL", "chunk-invalid", True),
        ("varnish", "-   FetchError     bogusly large chunk size", "chunk-invalid", True),
        ("varnish", "-   FetchError     chunked insufficient bytes", "chunked-truncated", True),
        ("varnish", "-   FetchError     straight insufficient bytes", "body-truncated", True),
        ("varnish", "-   FetchError     eof socket fail", "body-reset", False),
        ("varnish", "-   FetchError     Junk after gzip data", "content-coding-invalid", True),
        ("varnish", "-   FetchError     Could not get storage", "gateway-overloaded", False),
        ("varnish", "-   FetchError     Workspace overflow", "header-section-too-large", False),
        ("varnish", "-   VCL_Error      Workspace overflow (sess)", "gateway-misconfigured", False),
        ("squid", "The system returned: <i>(111) Connection refused</i>", "connection-refused", True),
        ("squid", "Squid did not receive any data for this request.", "closed-before-answer", False),
        ("squid", "WARNING: HTTP: Invalid Response: Headers did not parse at all http://a/ AKA a", "status-line-invalid", False),
        ("kong", '{"message":"An invalid response was received from the upstream server"}', "connection-refused", False),
        ("kong", '{"message":"The upstream server is timing out"}', "response-timeout", False),
        ("kong", '{"message":"no Route matched with those values"}', "no-route", True),
        ("ingress-nginx", 'Service "shop/web" does not have any active Endpoint.', "no-healthy-server", False),
        ("go", "dial tcp 10.1.2.3:80: connect: connection refused", "connection-refused", True),
        ("go", "net/http: timeout awaiting response headers", "response-timeout", False),
        ("haproxy-log", 'Server b/s is DOWN, reason: Layer4 connection problem, info: "Connection refused"',
         "connection-refused", True),
        ("akamai", "Reference #6.8d4f645f.1700000000.1a2b3c4d", "connection-refused", False),
        ("akamai", "Reference&#32;&#35;30&#46;8d4f645f&#46;1700000000&#46;1a2b3c4d", "certificate-expired", False),
        ("akamai", "#102.8d4f645f.1700000000.1a2b3c4d", "no-healthy-server", True),
        ("akamai", "#233.8d4f645f.1700000000.1a2b3c4d", "platform-incident", False),
        ("vercel", "404: NOT_FOUND\nCode: DEPLOYMENT_NOT_FOUND\nID: fra1::abcde-1700000000000-0a1b2c3d4e5f", "no-route", True),
        ("vercel", "Code: `EDGE_FUNCTION_INVOCATION_TIMEOUT`", "response-timeout", True),
        ("netlify", "TimeoutError: Task timed out after 10.01 seconds", "response-timeout", True),
        ("netlify", "error decoding lambda response: unexpected end of JSON input", "program-crashed", False),
        ("fly", "[PR03] could not find a good candidate within 40 attempts at load balancing", "no-healthy-server", False),
        ("fly", 'error.message="instance refused connection"', "connection-refused", False),
        ("render", "Ran out of memory (used over 512MB) while running your code.", "program-out-of-memory", True),
        ("imperva", '<iframe src="/_Incapsula_Resource?CWUDNSAI=23&edet=20&cinfo=0e">', "connection-timeout", False),
        ("sucuri", "<title>Sucuri WebSite Firewall - Access Denied</title>", "blocked-by-firewall", True),
        ("f5", "The requested URL was rejected. Please consult with your administrator.", "blocked-by-firewall", True),
        ("f5", "tmm[1]: 01010028:3: No members available for pool /Common/web", "no-healthy-server", True),
        ("netscaler", "<html><body><b>Http/1.1 Service Unavailable</b></body> </html>", "no-healthy-server", False),
        ("blue-coat", 'A communication error occurred: "Connection refused"', "connection-refused", True),
        ("zscaler", "issuer: O=Zscaler Inc., CN=Zscaler Intermediate Root CA", "tls-intercepted", True),
        ("github", "<title>Unicorn! &middot; GitHub</title>", "response-timeout", False),
        ("github", "No server is currently available to service your request.", "platform-incident", False),
        ("twitter", "<h1>Twitter is over capacity.</h1>", "upstream-overloaded", True),
        ("google", "<title>Error 502 (Server Error)!!1</title>", "platform-incident", False),
        ("languages", "Error: socket hang up", "closed-before-answer", False),
        ("languages", "Error: connect ECONNREFUSED ::1:3000", "connection-refused", True),
        ("languages", "('Connection aborted.', RemoteDisconnected('Remote end closed connection without response'))",
         "closed-before-answer", False),
        ("languages", "Read timed out. (read timeout=5)", "response-timeout", False),
        ("languages", "java.net.SocketTimeoutException: connect timed out", "connection-timeout", False),
        ("languages", "java.net.SocketTimeoutException: Read timed out", "response-timeout", False),
        ("languages", "SSLHandshakeException: PKIX path building failed", "certificate-unknown-authority", False),
        ("languages", "javax.net.ssl.SSLException: Unsupported or unrecognized SSL message", "tls-plaintext-server", False),
        ("languages", "The SSL connection could not be established, see inner", "certificate-unknown-authority", False),
        ("languages", "The response ended prematurely. (ResponseEnded)", "closed-before-answer", False),
        ("languages", "Connection refused (localhost:5000)", "connection-refused", True),
        ("languages", "file_get_contents(http://app/): Failed to open stream: Connection refused", "connection-refused", True),
        ("languages", "tcp connect error: Connection refused (os error 111)", "connection-refused", True),
        ("languages", "received corrupt message of type InvalidContentType", "tls-plaintext-server", False),
        ("languages", "error: RPC failed; HTTP 502 curl 22 The requested URL returned error: 502", "response-timeout", False),
    ],
)  # fmt: skip
def test_a_sentence_means_first_what_is_likeliest(name: str, text: str, cause: str, proved: bool) -> None:
    found = finest(text, name)
    assert found is not None
    assert found.row.causes[0] == cause
    assert (found.row.proves and len(found.row.causes) == 1) is proved


# --- around them ---


def test_what_a_sentence_adds_is_kept() -> None:
    host = finest("Fastly error: unknown domain: shop.example. Please check that this domain has been added", "fastly")
    support = finest("Please consult with your administrator.<br>Your support ID is: 1234567890123456789", "f5")
    target = finest("Error: connect ETIMEDOUT 10.1.2.3:3000", "languages")
    groups = [dict(one.groups) if one else None for one in (host, support, target)]
    assert groups == [{"host": "shop.example"}, {"id": "1234567890123456789"}, {"address": "10.1.2.3:3000"}]


def test_a_name_that_two_products_share_is_told_by_both() -> None:
    assert {row.product for row in lookup("ERR_CONNECT_FAIL")} == {"squid", "akamai"}
    assert {row.product for row in lookup("NOT_FOUND")} == {"grpc", "vercel"}


@pytest.mark.parametrize(
    ("code", "name"),
    [("PU99", "fly"), ("FUNCTION_WENT_AWAY", "vercel"), ("edet=999", "imperva"), ("ssl_went_away", "blue-coat")],
)
def test_an_unknown_code_of_an_edge_is_recognised_by_its_shape(code: str, name: str) -> None:
    assert lookup(code) == ()
    assert name in [dictionary.id for dictionary in shapes(code)]


@pytest.mark.parametrize("text", ["java.net.SocketTimeoutException: Read timed out", "connect ECONNREFUSED 127.0.0.1:3000"])
def test_a_sentence_that_begins_with_a_code_is_taken_as_a_sentence(text: str) -> None:
    assert of_code(text) == []
    assert of_sentence(text)[0].word in text


def test_codes_in_columns_are_still_taken_one_by_one() -> None:
    assert {one.word for one in of_code("UF,URX")} == {"UF", "URX"}
    assert {one.product for one in of_code("502.3 12002")} == {"arr"}
