"""From a file, or from a command line, to a Config that can be used: all of it is checked, and every error told at once."""

import copy
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any, Final

from pydantic import ValidationError

from . import wording
from .findings import BadConfig, Finding, Path, Remark, Source
from .lines import index
from .rules import broken
from .schema import Config, Route

_LARGEST: Final = 4 << 20
_STAND_INS: Final = {"url": "http://stand-in.invalid", "servers": ("http://stand-in.invalid",)}
"""What takes the place of required values that are wrong or missing, so that the rest can still be checked."""
_ROUNDS: Final = 4
_TOML_WORDS: Final = (
    (r"^Cannot declare (.*) twice$", r"[\1] stands here for the second time"),
    (r"^Cannot overwrite a value$", "this key stands here for the second time"),
    (r"^Cannot (?:mutate|extend) immutable namespace (.*)$", r"\1 is complete where it is set first, and cannot be added to"),
)
_OPTIONS: Final = {"gateway": "--listen", "upstream": "--to"}
"""What `from_servers` is called with, by the table it goes into."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration without errors, and where it came from."""

    config: Config
    source: Source
    data: dict[str, Any]
    """What the file says, before it was validated: together with `folder`, what `from_data` takes."""
    folder: str
    """The folder at which relative paths begin."""


def load(path: str | FilePath) -> Config:
    """Return the configuration in a TOML file. Raises BadConfig with every error."""
    return read(path).config


def read(path: str | FilePath) -> Loaded:
    """Return the configuration in a TOML file with the lines of its keys. Raises BadConfig with every error."""
    file = str(path)
    text = _text(file)
    try:
        data, lines = tomllib.loads(text), index(text)
    except tomllib.TOMLDecodeError as error:
        raise BadConfig([_syntax(file, text, str(error))]) from None
    except RecursionError:
        raise BadConfig([Finding("error", file, 0, "", "lists or tables are nested too deeply")]) from None
    return _validate(data, Source(file, lines), str(FilePath(file).absolute().parent))


def from_data(data: Mapping[str, Any], folder: str) -> Config:
    """Return the configuration of a `Loaded` that came from another process, files and rules not checked again.

    Raises ValueError when it is none.
    """
    return _whole(Config.model_validate(_tuples(dict(data)), strict=True, context={"folder": folder}))


def from_servers(listen: str | Iterable[str], urls: Iterable[str]) -> Loaded:
    """Return a configuration that sends every request to the servers at `urls`. Raises BadConfig."""
    addresses = (listen,) if isinstance(listen, str) else tuple(listen)
    data = {
        "gateway": {"listen": addresses},
        "upstream": {"default": {"servers": tuple(urls)}},
        "route": ({"name": "default", "upstream": "default"},),
    }
    try:
        return _validate(data, Source(), str(FilePath.cwd()))
    except BadConfig as error:
        raise BadConfig([replace(item, key=_OPTIONS[item.key.split(".")[0]]) for item in error.findings]) from None


def _text(file: str) -> str:
    """Return a file's text. Raises BadConfig."""
    try:
        with open(file, "rb") as stream:
            raw = stream.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise BadConfig([Finding("error", file, 0, "", f"cannot be read: {reason}")]) from None
    if len(raw) > _LARGEST:
        raise BadConfig([Finding("error", file, 0, "", "larger than 4MiB, which no configuration is")])
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        said = f"not UTF-8: byte 0x{raw[error.start]:02X}"
        raise BadConfig([Finding("error", file, line, "", said, hint="save the file as UTF-8")]) from None


def _syntax(file: str, text: str, message: str) -> Finding:
    """Return the finding for a text that is not TOML."""
    place = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
    said = _reworded(message[: place.start()] if place else message)
    line = int(place[1]) if place and place[1] else text.rstrip().count("\n") + 1
    column = f", column {place[2]}" if place and place[2] else ""
    written = text.split("\n")[line - 1].strip()
    return Finding("error", file, line, "", f"not valid TOML{column}: {said}", hint=_syntax_hint(written))


def _syntax_hint(line: str) -> str:
    """Return what to write instead of a line that is not TOML, if that can be guessed."""
    if re.match(r"[\w.-]+\s*:", line):
        return "keys and values are joined by an equals sign"
    pair = re.fullmatch(r"([\w.-]+)\s*=\s*([\w/.*-][^\"'\[\]{}#,]*)", line)
    try:
        tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return f'text stands in quotes: {pair[1]} = "{pair[2].strip()}"' if pair else ""
    return ""


def _reworded(message: str) -> str:
    """Return what tomllib says, with keys as they are written in a file."""
    message = re.sub(r"\('(.*?)',?\)", lambda names: names[1].replace("', '", "."), message)
    for pattern, words in _TOML_WORDS:
        message = re.sub(pattern, words, message)
    return message[:1].lower() + message[1:]


def _validate(data: dict[str, Any], source: Source, folder: str) -> Loaded:
    """Return the validated configuration. Raises BadConfig."""
    config, remarks = _parse(data, folder)
    if config is not None:
        names = data.get("upstream")
        known = list(names) if isinstance(names, Mapping) else []
        remarks += broken(config, known, [item.path for item in remarks])
    if config is None or remarks:
        findings = [source.finding("error", item) for item in remarks]
        raise BadConfig(sorted(findings, key=lambda finding: finding.line))
    return Loaded(_whole(config), source, data, folder)


def _whole(config: Config) -> Config:
    """Return a configuration with the route that goes without saying: there is one upstream, or `broken` would have told."""
    if config.route:
        return config
    return config.model_copy(update={"route": (Route(upstream=next(iter(config.upstream))),)})


def _parse(data: dict[str, Any], folder: str) -> tuple[Config | None, list[Remark]]:
    """Return what can be understood, and remarks on what cannot, which is left out or replaced by a stand-in."""
    remarks: list[Remark] = []
    repaired = copy.deepcopy(data)
    for _ in range(_ROUNDS):
        try:
            return Config.model_validate(_tuples(repaired), strict=True, context={"folder": folder}), remarks
        except ValidationError as error:
            errors = error.errors(include_url=False)
        remarks = remarks or wording.remarks(errors)
        for told in errors:
            _repair(repaired, told["loc"], told["type"] == "missing")
    return None, remarks


def _repair(data: dict[str, Any], path: Path, missing: bool) -> None:
    """Take the value at `path`, or the list it belongs to, out of `data`; a table with a missing value goes whole."""
    steps: list[tuple[Any, str | int]] = []
    holder: Any = data
    for part in path:
        steps.append((holder, part))
        try:
            holder = holder[part]
        except (KeyError, IndexError):
            if len(steps) < len(path):
                return  # it went with a table or list that another error had taken out
        except TypeError:
            break  # a text in place of a table: its holder counts
    while len(steps) > 1 and not (isinstance(steps[-1][0], dict) and (steps[-1][1] in _STAND_INS or not missing)):
        missing = missing and not isinstance(steps[-1][0], dict)
        steps.pop()
    holder, key = steps[-1]
    if key in _STAND_INS:
        holder[key] = _STAND_INS[key]
    else:
        holder.pop(key, None)


def _tuples(value: Any) -> Any:
    """Return TOML's values with tuples for lists, as the schema has them."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
