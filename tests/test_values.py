"""Dataclasses of the house are what the standard ones are."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, field, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import values

MAKERS: dict[str, Callable[..., Any]] = {"standard": dataclasses.dataclass, "house": values.dataclass}


def made(make: Callable[..., Any], **settings: bool) -> type[Any]:
    @make(**settings)
    class Value:
        a: int
        b: str = "b"
        c: list[int] = field(default_factory=list, kw_only=True)
        secret: str = field(default="s", repr=False, kw_only=True)
        aside: object = field(default=None, compare=False, kw_only=True)
        counted: int = field(default=0, init=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "counted", self.a + 1)

    return Value


@values.dataclass(frozen=True, slots=True)
class Pickled:
    name: str
    numbers: tuple[int, ...] = ()


SETTINGS = [
    {"frozen": True, "slots": True},
    {"frozen": True, "slots": True, "kw_only": True},
    {"frozen": True},
    {"slots": True},
    {},
    {"frozen": True, "slots": True, "order": True},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@given(one=st.integers(0, 2), other=st.integers(0, 2), text=st.sampled_from("bc"), aside=st.integers(0, 1))
def test_values_are_compared_and_shown_alike(
    settings: dict[str, bool], one: int, other: int, text: str, aside: int
) -> None:
    seen = []
    for make in MAKERS.values():
        cls = made(make, **settings)
        left, right = cls(a=one, aside=1), cls(a=other, b=text, aside=aside)
        seen.append((left == right, left != right, repr(right), asdict(left), replace(left, a=5) == cls(a=5)))
        assert left != made(make, **settings)(a=one)
    assert seen[0] == seen[1]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_the_classes_are_made_alike(settings: dict[str, bool]) -> None:
    standard, house = (made(make, **settings) for make in MAKERS.values())
    assert [f.name for f in fields(house)] == [f.name for f in fields(standard)]
    assert house.__match_args__ == standard.__match_args__
    assert repr(house.__dataclass_params__) == repr(standard.__dataclass_params__)
    assert getattr(house, "__slots__", None) == getattr(standard, "__slots__", None)
    assert (house.__hash__ is None) == (standard.__hash__ is None)
    assert house.__qualname__ == standard.__qualname__


@pytest.mark.parametrize("wrong", [{}, {"a": 1, "z": 2}, {"a": 1, "counted": 3}])
def test_wrong_arguments_are_refused_alike(wrong: dict[str, int]) -> None:
    said = []
    for make in MAKERS.values():
        with pytest.raises(TypeError) as caught:
            made(make, frozen=True, slots=True, kw_only=True)(**wrong)
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_a_frozen_value_stays_as_it_is_and_has_the_hash_of_its_equals() -> None:
    value = Pickled("x", (1, 2))
    with pytest.raises(FrozenInstanceError, match="'name'"):
        value.name = "y"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError, match="'name'"):
        del value.name
    with pytest.raises(FrozenInstanceError):
        value.other = 1  # type: ignore[attr-defined]
    assert len({value, Pickled("x", (1, 2)), Pickled("x")}) == 2
    assert pickle.loads(pickle.dumps(value)) == copy.deepcopy(value) == value
    match value:
        case Pickled(name, (first, *_)):
            assert (name, first) == ("x", 1)


def test_what_is_not_a_number_equals_itself_as_in_a_tuple() -> None:
    @values.dataclass(frozen=True)
    class One:
        value: float

    unknown = float("nan")
    assert One(unknown) == One(unknown)
    assert One(unknown) != One(float("nan"))


def test_a_class_keeps_what_it_says_itself_and_its_defaults_are_made_anew() -> None:
    @values.dataclass(frozen=True, slots=True)
    class Loose:
        name: str
        found: list[int] = field(default_factory=list)

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Loose) and self.name.lower() == other.name.lower()

        def __hash__(self) -> int:
            return hash(self.name.lower())

        def __repr__(self) -> str:
            return self.name

    assert {Loose("A"), Loose("a", [1])} == {Loose("A")}
    assert repr(Loose("A")) == "A"
    assert Loose("A").found is not Loose("A").found


def test_a_class_that_follows_another_has_the_fields_of_both() -> None:
    @values.dataclass(frozen=True, slots=True, kw_only=True)
    class Base:
        a: int = 1

    @values.dataclass(frozen=True, slots=True, kw_only=True)
    class Further(Base):
        b: int

    assert repr(Further(b=2)).endswith("Further(a=1, b=2)")
    assert Further(b=2) == Further(a=1, b=2) != Base()
