"""The line index knows every key that tomllib knows, and no other; and the lines are right."""

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.config.lines import index

TEXT = '''# a comment with [brackets] and "quotes"
top = 1
a.b = "x # not a comment"

[gateway]   # with a comment
listen = [
  "one", # first
  'two',
  [ 3,
    4 ],
]
long = """
line
with "quotes" and \\""" escaped
""""
raw = \'\'\'
it's
\'\'\'\'
after = 1979-05-27 07:32:00
inline = { x = 1, y.z = [1, {w = 2}], "quoted key" = 3 }
[upstream."na.me".timeouts]
connect = "1s"
[[route]]
path = "/"
[[route]]
[route.headers]
x = "1"
[[route]]
headers = {}
[[nest.list]]
[[nest.list.inner]]
k = 1
[[nest.list.inner]]
k = 2
[[nest.list]]
[[nest.list.inner]]
k = 3
'''


def paths(value, at=()):
    """Return every path of parsed TOML."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {at} - {()} | {path for key, item in items for path in paths(item, (*at, key))}


def test_every_path_has_its_line():
    found = index(TEXT)
    assert set(found) == paths(tomllib.loads(TEXT))
    lines = TEXT.split("\n")
    for path, text in {
        ("top",): "top = 1",
        ("a", "b"): "a.b =",
        ("gateway",): "[gateway]",
        ("gateway", "listen", 1): "'two'",
        ("gateway", "listen", 2, 1): "4 ]",
        ("gateway", "after"): "after",
        ("gateway", "inline", "y", "z", 1, "w"): "inline",
        ("upstream", "na.me", "timeouts", "connect"): "connect",
        ("route", 1, "headers", "x"): "x =",
        ("route", 2, "headers"): "headers = {}",
        ("nest", "list", 0, "inner", 1, "k"): "k = 2",
        ("nest", "list", 1, "inner", 0, "k"): "k = 3",
    }.items():
        assert text in lines[found[path] - 1], path
    assert found["route", 0] < found["route", 1] < found["route", 2]


@pytest.mark.parametrize(
    "text", ["", "\n\n", "# only a comment", "k=1", "\r\nk = 1\r\n", "k = ''", "k=[]\nl={}", "k=[1,]", "'' = 1"]
)
def test_short_files(text):
    assert set(index(text)) == paths(tomllib.loads(text))


@pytest.mark.parametrize("quotes", ['"""', "'''"])
@pytest.mark.parametrize("body", ["", "a", "a\nb\n", "'", '"', "\n\n", " ]}, # "])
def test_long_texts_end_where_they_end(quotes, body):
    for extra in range(3):
        text = f"k = {quotes}{body}{quotes[0] * extra}{quotes}\nnext = 1\n"
        try:
            value = tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            continue
        assert set(index(text)) == paths(value)
        assert index(text)["next",] == text.count("\n", 0, text.index("next =")) + 1


bare = st.text("abc-_1", min_size=1, max_size=3)
key = bare | st.text(max_size=4).map(lambda text: "'" + "".join(c for c in text if c.isprintable() and c != "'") + "'")
scalars = st.sampled_from(
    ["1", "true", "-0.5", "inf", '"a,]}#"', "'[{'", '"\\"\\\\"', '"""x\n"y"""', "'''\n,\n'''", "1979-05-27 07:32:00Z", "07:32:00"]
)
space = st.sampled_from(["", " ", "\n", " # note [\n", "\t"])
inline_space = st.sampled_from(["", " ", "\t"])


def arrays(values):
    return st.builds(
        lambda items, gap, end: "[" + gap + ("," + gap).join(items) + ("," if items and end else "") + gap + "]",
        st.lists(values, max_size=3), space, st.booleans(),
    )  # fmt: skip


def inlines(values):
    pairs = st.dictionaries(key, values, max_size=3)
    return st.builds(
        lambda items, gap: "{" + gap + ",".join(f"{k}{gap}={gap}{v}" for k, v in items.items()) + gap + "}", pairs, inline_space
    )


values = st.recursive(scalars, lambda inner: arrays(inner) | inlines(inner), max_leaves=6)
statements = st.one_of(
    st.builds(lambda keys, value: f"{'.'.join(keys)} = {value}", st.lists(key, min_size=1, max_size=3), values),
    st.builds(lambda keys, gap: f"[{gap}{f'{gap}.{gap}'.join(keys)}{gap}]", st.lists(key, min_size=1, max_size=3), inline_space),
    st.builds(lambda keys: f"[[{'.'.join(keys)}]]", st.lists(key, min_size=1, max_size=3)),
    st.just("# a comment"),
    st.just(""),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(statements, max_size=8))
def test_it_knows_what_tomllib_knows(given_statements):
    kept = []
    for statement in given_statements:  # what would make the file invalid is left out
        try:
            tomllib.loads("\n".join([*kept, statement]))
        except tomllib.TOMLDecodeError:
            continue
        kept.append(statement)
    text = "\n".join(kept)
    found = index(text)
    assert set(found) == paths(tomllib.loads(text))
    assert all(1 <= line <= text.count("\n") + 1 for line in found.values())
