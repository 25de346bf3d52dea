import pytest

from headgate.wire.memory import Memory


def test_computes_once() -> None:
    calls = []
    memory = Memory(lambda key: calls.append(key) or key.upper())
    assert [memory[b"a"], memory[b"a"], memory[b"b"]] == [b"A", b"A", b"B"]
    assert calls == [b"a", b"b"]


def test_long_keys_are_not_remembered() -> None:
    memory = Memory(bytes.upper, longest=3)
    assert memory[b"abcd"] == b"ABCD"
    assert len(memory) == 0


def test_is_emptied_when_full() -> None:
    memory = Memory(bytes.upper, most=10)
    for number in range(100):
        assert memory[b"a%d" % number] == b"A%d" % number
        assert len(memory) <= 10


def test_a_failure_is_not_remembered() -> None:
    memory = Memory(lambda key: {}[key])
    with pytest.raises(KeyError):
        memory[b"a"]
    assert len(memory) == 0
