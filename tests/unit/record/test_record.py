from __future__ import annotations

import pytest

from launcher.record import FrozenRecordError, record, replace


@record
class Point:
    """A point."""

    x: int
    y: int = 0

    def total(self) -> int:
        return self.x + self.y


@record
class Other:
    x: int
    y: int = 0


@record
class Quiet:
    text: str

    def __repr__(self) -> str:
        return "Quiet()"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quiet)

    __hash__ = None  # type: ignore[assignment]


def test_record_with_fields_has_values_defaults_and_methods() -> None:
    assert (Point(x=2).x, Point(x=2).y, Point(x=2, y=3).total()) == (2, 0, 5)
    assert Point.__doc__ == "A point."


def test_record_equality_needs_same_type_and_values() -> None:
    assert Point(x=1) == Point(x=1, y=0)
    assert Point(x=1) != Point(x=2)
    assert Point(x=1) != Other(x=1)  # type: ignore[comparison-overlap]
    assert len({Point(x=1), Point(x=1), Other(x=1)}) == 2


def test_record_missing_field_says_which() -> None:
    with pytest.raises(TypeError, match=r"^Point\(\) is missing 'x'$"):
        Point()  # type: ignore[call-arg]


def test_record_unknown_field_says_which() -> None:
    with pytest.raises(TypeError, match=r"^Point\(\) has no field 'z'$"):
        Point(x=1, z=2)  # type: ignore[call-arg]


def test_record_positional_argument_is_refused() -> None:
    with pytest.raises(TypeError):
        Point(1)  # type: ignore[call-arg]


def test_record_change_in_place_is_refused() -> None:
    point = Point(x=1)
    with pytest.raises(FrozenRecordError, match=r"^Point\.x is read-only$"):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(FrozenRecordError, match=r"^Point\.x is read-only$"):
        del point.x
    with pytest.raises(FrozenRecordError):
        point.other = 2  # type: ignore[attr-defined]


def test_record_repr_is_how_to_write_it() -> None:
    assert repr(Point(x=1)) == "Point(x=1, y=0)"


def test_record_keeps_own_methods_and_stays_hashable() -> None:
    assert repr(Quiet(text="a")) == "Quiet()"
    assert Quiet(text="a") == Quiet(text="b")
    assert isinstance(hash(Quiet(text="a")), int)


def test_replace_changes_a_copy() -> None:
    point = Point(x=1, y=2)
    assert replace(point, y=3) == Point(x=1, y=3)
    assert point.y == 2


def test_replace_unknown_field_is_refused() -> None:
    with pytest.raises(TypeError, match="has no field 'z'"):
        replace(Point(x=1), z=1)
