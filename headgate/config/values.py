"""The types of single values in a configuration file: durations, sizes, networks and the like; and what all tables share."""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic import PlainValidator as Plain
from pydantic import WithJsonSchema as InJsonSchema
from pydantic.fields import FieldInfo

from . import forms
from .units import DURATION_PATTERN, SIZE_PATTERN, parse_duration, parse_size

_A_WEEK = 86_400 * 7
Seconds = Annotated[
    float,
    BeforeValidator(parse_duration),
    Field(gt=0, le=_A_WEEK),
    InJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": DURATION_PATTERN},
                {"type": "number", "exclusiveMinimum": 0, "maximum": _A_WEEK},
            ]
        }
    ),
]
"""A duration: "250ms", "5s", "2m", "1h", or a number of seconds."""
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    Field(ge=0),
    InJsonSchema({"anyOf": [{"type": "string", "pattern": SIZE_PATTERN}, {"type": "integer", "minimum": 0}]}),
]
"""A size: "8KiB", "1MiB", "2GiB", or a number of bytes."""
Network = Annotated[
    IPv4Network | IPv6Network,
    Plain(forms.network),
    InJsonSchema({"type": "string", "description": "A network such as 10.0.0.0/8 or fd00::/8, or one address."}),
]
"""A network: "10.0.0.0/8", "fd00::/8", or a single address."""
File = Annotated[str, AfterValidator(forms.file)]
"""A file's path; a relative one begins at the configuration file's folder."""
Listen = Annotated[str, AfterValidator(forms.listen)]
Resolver = Annotated[str, AfterValidator(forms.resolver)]
ServerUrl = Annotated[str, AfterValidator(forms.server_url)]
HostPattern = Annotated[str, AfterValidator(forms.host_pattern)]
PathPrefix = Annotated[str, AfterValidator(forms.path_prefix)]
ExactPath = Annotated[str, AfterValidator(forms.path_exact)]
PathRegex = Annotated[str, AfterValidator(forms.path_regex)]
Method = Annotated[str, AfterValidator(forms.method)]
FieldName = Annotated[str, AfterValidator(forms.field_name)]
FieldValue = Annotated[str, AfterValidator(forms.field_value)]
SentHost = Annotated[str, AfterValidator(forms.sent_host)]
AdminListen = Annotated[str, AfterValidator(forms.admin_listen)]
DashboardListen = Annotated[str, AfterValidator(forms.dashboard_listen)]
IncidentFile = Annotated[str, AfterValidator(forms.incident_file)]
HostName = Annotated[str, AfterValidator(forms.host_field)]
HashKey = Annotated[str, AfterValidator(forms.hash_key)]
LimitKey = Annotated[str, AfterValidator(forms.limit_key)]
Rate = Annotated[str, AfterValidator(forms.rate)]
FailingStatus = Annotated[str, AfterValidator(forms.failing_status)]
StatusRange = Annotated[str, AfterValidator(forms.status_range)]
TargetPath = Annotated[str, AfterValidator(forms.target_path)]


class Table(BaseModel):
    """Common behaviour of all tables: unknown keys are errors, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @classmethod
    def by_key(cls) -> dict[str, FieldInfo]:
        """Return the fields by their keys in the file (`for` and `from` cannot be names in Python)."""
        return {about.alias or name: about for name, about in cls.model_fields.items()}
