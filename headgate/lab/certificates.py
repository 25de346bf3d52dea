"""The lab's certificates and TLS contexts: good ones, and each kind of bad one, made on the fly. Nothing here is a secret."""

import ssl
import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAME = "server.lab.test"
"""The name that gateways are told to expect."""

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Issued:
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def pem(self) -> bytes:
        """Return certificate and key, as one PEM text."""
        key = self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return self.certificate.public_bytes(serialization.Encoding.PEM) + key


def issue(
    common_name: str,
    *,
    by: Issued | None = None,
    names: tuple[str, ...] = (),
    start: int = -2,
    end: int = 30,
    authority: bool = False,
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
) -> Issued:
    """Return a new certificate, signed by `by`, or by itself. start, end: validity in days from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + start * _DAY)
        .not_valid_after(now + end * _DAY)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    issuer_key = by.key if by else key
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
    ).add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    if not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    return Issued(builder.sign(issuer_key, hashes.SHA256()), key)


@dataclass
class Certificates:
    """The lab's authority and what it issued; server contexts by the kind that a scenario names."""

    folder: Path
    ca_file: Path = field(init=False)
    """The authority that gateways are told to trust."""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ca_file = self.folder / "ca.pem"
        self._authority = issue("Headgate lab authority", authority=True, start=-400, end=400)
        self.ca_file.write_bytes(self._authority.certificate.public_bytes(serialization.Encoding.PEM))
        self._contexts: dict[str, ssl.SSLContext] = {}

    def context(self, kind: str) -> ssl.SSLContext:
        """Return the server's TLS context for one of scenario.CERTIFICATES."""
        if kind not in self._contexts:
            self._contexts[kind] = self._make(kind)
        return self._contexts[kind]

    def _issue(self, kind: str) -> Issued:
        ca = self._authority
        match kind:
            case "expired":
                return issue(NAME, by=ca, names=(NAME,), start=-40, end=-10)
            case "not-yet-valid":
                return issue(NAME, by=ca, names=(NAME,), start=10, end=40)
            case "wrong-name":
                return issue("another.lab.test", by=ca, names=("another.lab.test",))
            case "self-signed":
                return issue(NAME, names=(NAME,))
            case "unknown-authority":
                return issue(NAME, by=issue("Nobody's authority", authority=True), names=(NAME,))
            case "wrong-purpose":
                return issue(NAME, by=ca, names=(NAME,), purpose=ExtendedKeyUsageOID.CLIENT_AUTH)
        return issue(NAME, by=ca, names=(NAME,))

    def _make(self, kind: str) -> ssl.SSLContext:
        path = self.folder / f"{kind}.pem"
        path.write_bytes(self._issue(kind).pem())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        match kind:
            case "client-certificate":
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(self.ca_file)
            case "client-certificate-tls12":
                context.maximum_version = ssl.TLSVersion.TLSv1_2
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(self.ca_file)
            case "old-version":
                _only_old_versions(context)
            case "unknown-name":
                context.sni_callback = lambda *_: ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
            case "no-cipher":
                context.maximum_version = ssl.TLSVersion.TLSv1_2
                context.set_ciphers("ECDHE-RSA-AES256-GCM-SHA384")  # our keys are ECDSA: nothing is shared
        return context


def _only_old_versions(context: ssl.SSLContext) -> None:
    """Speak TLS 1.0 and 1.1 only, as servers do that were forgotten for ten years."""
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that these versions are deprecated is the scenario
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
