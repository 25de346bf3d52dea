"""Tests the clouds' dictionaries (AWS, Azure, Cloudflare, Google, Heroku): known codes mean what they should, none is missing."""

import pytest

from headgate.diagnose.catalogue import catalogue
from headgate.diagnose.codes import Found, Row, lookup, phrases, rows, shapes
from headgate.diagnose.products import products

FILES = (
    "aws-alb", "aws-api-gateway", "aws-elb", "aws-nlb", "azure-app-gateway", "azure-app-service", "azure-front-door",
    "cloudflare", "cloudfront", "google-lb", "heroku",
)  # fmt: skip

LAMBDA = (
    "AccessDenied ConnectionTimeout EC2AccessDeniedException EC2ThrottledException EC2UnexpectedException "
    "ENILimitReachedException InvalidResponse InvalidRuntimeException InvalidSecurityGroupIDException InvalidSubnetIDException "
    "InvalidZipFileException KMSAccessDenied KMSDisabled KMSInvalidState KMSNotFound KMSAccessDeniedException "
    "KMSDisabledException KMSInvalidStateException KMSNotFoundException RequestTooLarge ResourceNotFound ResponseTooLarge "
    "ServiceException SubnetIPAddressLimitReachedException Throttling Unhandled BadRequest UnhandledException"
)
KNOWN = {
    "aws-alb": "460 463 464 561 000 AuthInvalidCookie AuthTokenEpRequestTimeout WAFConnectionTimeout BothTeClPresent "
    + " ".join(f"Lambda{word}" for word in LAMBDA.split()),
    "cloudfront": "AbortedOrigin ClientCommError ClientGeoBlocked ClientHungUpRequest Error InvalidRequest InvalidRequestBlocked "
    "InvalidRequestCertificate InvalidRequestHeader InvalidRequestMethod OriginConnectError OriginContentRangeLengthError "
    "OriginDnsError OriginError OriginHeaderTooBigError OriginInvalidResponseError OriginReadError OriginWriteError "
    "OriginZeroSizeObjectError SlowReaderOriginError OriginCommError FunctionExecutionError LambdaExecutionError "
    "CapacityExceeded LimitExceeded LambdaValidationError LambdaLimitExceeded",
    "cloudflare": "520 521 522 523 524 525 526 527 530 1000 1001 1002 1003 1004 1005 1006 1009 1010 1011 1012 1013 1014 1015 "
    "1016 1018 1019 1020 1023 1025 1033 1034 1035 1036 1037 1040 1041 1101 1102 1104 1200",
    "heroku": "H10 H11 H12 H13 H14 H15 H16 H17 H18 H19 H20 H21 H22 H23 H24 H25 H26 H27 H28 H31 H32 H80 H81 H82 H83 H99 "
    "R10 R11 R12 R13 R14 R15 R16 R17 R99 L10 L11 L12 L13 L14 L15",
    "google-cloud": "aborted_request_due_to_backend_early_response backend_connection_closed_after_partial_response_sent "
    "backend_connection_closed_before_data_sent_to_client backend_early_response_with_non_error_status "
    "backend_interim_response_not_supported backend_response_corrupted backend_response_headers_too_long backend_timeout "
    "client_disconnected_before_any_response client_disconnected_after_partial_response client_timed_out config_not_found "
    "direct_response error_uncompressing_gzipped_body failed_to_connect_to_backend failed_to_pick_backend "
    "failed_to_negotiate_alpn internal_error invalid_external_origin_endpoint request_loop_detected retriable_error "
    "serverless_neg_routing_failed server_cert_chain_exceeded_limit server_cert_chain_invalid_eku "
    "server_cert_exceeded_size_limit server_cert_invalid_rsa_key_size server_cert_not_provided server_cert_pki_too_large "
    "server_cert_trust_config_not_found server_cert_unsupported_elliptic_curve_key server_cert_unsupported_key_algorithm "
    "server_cert_validation_internal_error server_cert_validation_not_performed server_cert_validation_search_limit_exceeded "
    "server_cert_validation_timed_out server_cert_validation_unavailable ssl_certificate_chain_verification_failed "
    "ssl_certificate_san_verification_failed websocket_handshake_failed handled_by_identity_aware_proxy "
    "service_extension_error fault_filter_abort response_sent_by_backend response_from_cache response_from_cache_validated",
    "azure-front-door": "OriginConnectionRefused OriginTimeout DNSNameNotResolved OriginInvalidResponse SSLHandshakeError",
    "azure-app-gateway": "ERRORINFO_UPSTREAM_NO_LIVE ERRORINFO_UPSTREAM_TIMED_OUT ERRORINFO_UPSTREAM_CLOSED_CONNECTION",
    "aws-api-gateway": "INTEGRATION_TIMEOUT INTEGRATION_FAILURE InternalServerErrorException MissingAuthenticationTokenException",
}


def rows_of(name: str) -> list[Row]:
    return [row for row in rows() if row.dictionary.id == name]


def finest(text: str, name: str) -> Found | None:
    """The sentence of one dictionary that explains most of a text; of equals the first."""
    found = [one for one in phrases(text) if one.row.dictionary.id == name]
    return max(found, key=lambda one: len(one.text), default=None)


@pytest.mark.parametrize("name", FILES)
def test_the_file_belongs_to_a_known_product(name: str) -> None:
    assert {row.product for row in rows_of(name)} <= products().keys()


@pytest.mark.parametrize(("product", "code"), [(product, code) for product, codes in KNOWN.items() for code in codes.split()])
def test_no_code_is_missing(product: str, code: str) -> None:
    (row,) = lookup(code, product)
    assert row.means


@pytest.mark.parametrize(
    ("code", "product", "cause"),
    [
        ("H10", "heroku", "program-crashed"),
        ("H11", "heroku", "upstream-overloaded"),
        ("H12", "heroku", "response-timeout"),
        ("h13", "heroku", "closed-before-answer"),
        ("H14", "heroku", "program-not-running"),
        ("H15", "heroku", "body-stalled"),
        ("H17", "heroku", "header-invalid"),
        ("H18", "heroku", "body-reset"),
        ("H20", "heroku", "program-start-failed"),
        ("H21", "heroku", "connection-refused"),
        ("H22", "heroku", "server-limit-reached"),
        ("H25", "heroku", "header-section-too-large"),
        ("H27", "heroku", "client-gone"),
        ("H80", "heroku", "maintenance"),
        ("H82", "heroku", "service-suspended"),
        ("H99", "heroku", "platform-incident"),
        ("R10", "heroku", "program-start-failed"),
        ("R15", "heroku", "program-out-of-memory"),
        ("520", "cloudflare", "closed-before-answer"),
        ("521", "cloudflare", "connection-refused"),
        ("522", "cloudflare", "connection-timeout"),
        ("523", "cloudflare", "host-unreachable"),
        ("524", "cloudflare", "response-timeout"),
        ("525", "cloudflare", "tls-protocol-error"),
        ("526", "cloudflare", "certificate-expired"),
        ("530", "cloudflare", "dns-name-not-found"),
        ("1000", "cloudflare", "loop-detected"),
        ("1014", "cloudflare", "gateway-misconfigured"),
        ("1015", "cloudflare", "rate-limited"),
        ("1016", "cloudflare", "dns-name-not-found"),
        ("error code: 1016", "cloudflare", "dns-name-not-found"),
        ("Error 1020", "cloudflare", "blocked-by-firewall"),
        ("1033", "cloudflare", "program-not-running"),
        ("1101", "cloudflare", "program-crashed"),
        ("error code: 502", "cloudflare", "platform-incident"),
        ("Cloudflare 502", "cloudflare", "upstream-answered-error"),
        ("OriginConnectError", "cloudfront", "connection-refused"),
        ("origindnserror", "cloudfront", "dns-name-not-found"),
        ("OriginCommError", "cloudfront", "response-timeout"),
        ("OriginError", "cloudfront", "upstream-answered-error"),
        ("OriginHeaderTooBigError", "cloudfront", "header-line-too-large"),
        ("ClientCommError", "cloudfront", "client-gone"),
        ("failed_to_pick_backend", "google-cloud", "no-healthy-server"),
        ("failed_to_connect_to_backend", "google-cloud", "connection-refused"),
        ("backend_timeout", "google-cloud", "response-timeout"),
        ("backend_connection_closed_before_data_sent_to_client", "google-cloud", "closed-on-reuse"),
        ("response_sent_by_backend", "google-cloud", "upstream-answered-error"),
        ("request_loop_detected", "google-cloud", "loop-detected"),
        ("ssl_certificate_san_verification_failed", "google-cloud", "certificate-name-mismatch"),
        ("client_disconnected_before_any_response", "google-cloud", "client-gone"),
        ("460", "aws-alb", "client-gone"),
        ("463", "aws-alb", "loop-detected"),
        ("561", "aws-alb", "filter-unavailable"),
        ("502 -", "aws-alb", "closed-on-reuse"),
        ("503 -", "aws-alb", "no-healthy-server"),
        ("504 -", "aws-alb", "response-timeout"),
        ("502 502", "aws-alb", "upstream-answered-error"),
        ("LambdaUnhandled", "aws-alb", "program-crashed"),
        ("LambdaThrottling", "aws-alb", "server-limit-reached"),
        ("WAFServiceError", "aws-alb", "filter-unavailable"),
        ("Target.ResponseCodeMismatch", "aws-alb", "upstream-answered-error"),
        ("Endpoint request timed out", "aws-api-gateway", "response-timeout"),
        ("Internal server error", "aws-api-gateway", "program-crashed"),
        ("Missing Authentication Token", "aws-api-gateway", "no-route"),
        ("INTEGRATION_TIMEOUT", "aws-api-gateway", "response-timeout"),
        ("Back-end server is at capacity", "aws-elb", "no-healthy-server"),
        ("PortAllocationErrorCount", "aws-nlb", "ports-exhausted"),
        ("ERRORINFO_UPSTREAM_NO_LIVE", "azure-app-gateway", "no-healthy-server"),
        ("ERRORINFO_UPSTREAM_TIMED_OUT", "azure-app-gateway", "response-timeout"),
        ("OriginTimeout", "azure-front-door", "response-timeout"),
        ("CertificateNameCheckFailed", "azure-front-door", "certificate-name-mismatch"),
    ],
)
def test_a_code_means_what_it_should(code: str, product: str, cause: str) -> None:
    assert [row.causes[0] for row in lookup(code, product)] == [cause]


@pytest.mark.parametrize(
    ("text", "name", "cause", "proved"),
    [
        ('at=error code=H12 desc="Request timeout" dyno=web.1 service=30000ms status=503', "heroku", "response-timeout", False),
        ('at=error code=H14 desc="No web dynos running" dyno= status=503', "heroku", "program-not-running", True),
        ("heroku[web.1]: Error R15 (Memory quota vastly exceeded)", "heroku", "program-out-of-memory", True),
        ("heroku[web.1]: Error R10 (Boot timeout) -> Web process failed to bind to $PORT within 60 seconds of launch", "heroku",
         "program-start-failed", True),
        ("heroku[web.1]: State changed from starting to crashed", "heroku", "program-crashed", False),
        ('{"error": "upstream said: error code: 1016"}', "cloudflare", "dns-name-not-found", False),
        ('<span class="cf-error-code">521</span>', "cloudflare", "connection-refused", True),
        ("cf-error-type: 1101", "cloudflare", "program-crashed", True),
        ("<p>The web server reported a bad gateway error.</p>", "cloudflare", "upstream-answered-error", True),
        ("CloudFront wasn't able to connect to the origin.", "cloudfront", "connection-refused", False),
        ("CloudFront wasn't able to resolve the origin domain name.", "cloudfront", "dns-name-not-found", False),
        ("503 Service Unavailable: Back-end server is at capacity", "aws-elb", "no-healthy-server", False),
        ("unhealthy in (target-group x) due to (reason Health checks failed with these codes: [502])", "aws-alb",
         "upstream-answered-error", False),
        ('{"message":"Endpoint request timed out"}', "aws-api-gateway", "response-timeout", False),
        ('{"message": "Internal server error"}', "aws-api-gateway", "program-crashed", False),
        ("Execution failed due to configuration error: Malformed Lambda proxy response", "aws-api-gateway", "header-invalid",
         False),
        ("Execution failed due to configuration error: Invalid permissions on Lambda function", "aws-api-gateway",
         "gateway-misconfigured", True),
        ("26fb Task timed out after 3.00 seconds", "aws-api-gateway", "response-timeout", True),
        ("The request was aborted because there was no available instance.", "google-lb", "server-limit-reached", False),
        ("Memory limit of 512 MiB exceeded with 523 MiB used.", "google-lb", "program-out-of-memory", True),
        ("Received invalid status code: 401 in the backend server's HTTP response.", "azure-app-gateway",
         "upstream-answered-error", False),
        ("Our services aren't available right now", "azure-front-door", "no-healthy-server", False),
        ("Container app_0_1 didn't respond to HTTP pings on port: 8080, failing site start.", "azure-app-service",
         "program-start-failed", False),
        ("<h1>Error 403 - This web app is stopped.</h1>", "azure-app-service", "service-suspended", True),
    ],
)  # fmt: skip
def test_a_sentence_means_what_it_should(text: str, name: str, cause: str, proved: bool) -> None:
    found = finest(text, name)
    assert found is not None
    assert found.row.causes[0] == cause
    assert (found.row.proves and len(found.row.causes) == 1) is proved


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ('code=H18 desc="Server Request Interrupted"', {"said": "Server Request Interrupted"}),
        ("Process exited with status 137", {"code": "137"}),
        ("Health checks failed with these codes: [404]", {"status": "404"}),
        ("Container app_0 didn't respond to HTTP pings on port: 8080, failing site start.", {"name": "app_0", "port": "8080"}),
    ],
)
def test_facts_are_drawn_from_a_line(text: str, facts: dict[str, str]) -> None:
    assert facts in [dict(found.groups) for found in phrases(text)]


@pytest.mark.parametrize(
    "code",
    ["H10", "H12", "H13", "520", "522", "525", "1016", "1033", "failed_to_pick_backend", "502 -", "backend_timeout",
     "OriginConnectError", "OriginReadError", "ERRORINFO_UPSTREAM_NO_LIVE"],
)  # fmt: skip
def test_words_that_cover_several_causes_prove_none(code: str) -> None:
    (row,) = [row for row in lookup(code) if row.dictionary.id in FILES]
    assert len(row.causes) > 1
    assert row.tell
    assert not row.proves


def test_a_code_and_its_line_say_the_same() -> None:
    by_code = {row.code: row for row in rows_of("heroku") + rows_of("cloudflare")}
    pairs = [(row, by_code[row.code.split()[0]]) for row in by_code.values() if row.code.endswith((" line", " on a page"))]
    assert len(pairs) > 80
    assert [line.code for line, row in pairs if (line.causes, line.check, line.fix) != (row.causes, row.check, row.fix)] == []


def test_the_heads_of_one_name_agree_in_every_dictionary() -> None:
    for code in ("520", "521", "522", "523", "524", "460"):
        first = {row.causes[0] for row in lookup(code)}
        assert len(first) == 1, f"{code}: {first}"


def test_a_balancer_that_checks_no_certificates_fails_for_none() -> None:
    (row,) = lookup("502 -", "aws-alb")
    assert [code for code in row.causes if code.startswith("certificate-")] == []
    assert "tls-protocol-error" in row.causes


def test_a_number_that_may_close_a_websocket_proves_nothing() -> None:
    (row,) = lookup("1006", "cloudflare")
    assert not row.proves
    assert "WebSocket" in row.tell
    page = finest("error code: 1006", "cloudflare")
    assert page is not None
    assert page.row.proves


@pytest.mark.parametrize(
    "text",
    ["Error Code: 1040. Too many connections", "ERROR 1045 (28000): Access denied", "upstream error 520 ms", "status 1016 bytes"],
)
def test_other_programs_numbers_are_not_cloudflares(text: str) -> None:
    assert list(phrases(text, "cloudflare")) == []


@pytest.mark.parametrize("code", ["L10", "L11", "L12", "L13", "L14", "L15", "R13", "R16", "H16"])
def test_what_touches_no_request_names_no_cause(code: str) -> None:
    (row,) = lookup(code, "heroku")
    assert row.causes == ()


@pytest.mark.parametrize(
    ("code", "name"),
    [("H77", "heroku"), ("LambdaSomethingNew", "aws-alb"), ("OriginNewError", "cloudfront"), ("error code: 1099", "cloudflare"),
     ("backend_new_word", "google-lb"), ("ERRORINFO_NEW", "azure-app-gateway"), ("OriginNewError", "azure-front-door")],
)  # fmt: skip
def test_an_unknown_code_is_recognised_by_its_shape(code: str, name: str) -> None:
    assert lookup(code) == ()
    assert name in [dictionary.id for dictionary in shapes(code)]


@pytest.mark.parametrize("name", FILES)
def test_failures_of_servers_tell_what_to_do(name: str) -> None:
    """A row that blames a server, its network or its set-up has a command, a setting or a way to tell."""
    known = catalogue()
    bare = [
        row.code
        for row in rows_of(name)
        if row.causes and known[row.causes[0]].fault in ("upstream", "network", "tls", "dns", "configuration")
        and not (row.check or row.fix or row.tell or row.visitor)
    ]  # fmt: skip
    assert bare == []
