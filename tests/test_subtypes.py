"""The table of subtypes: values that count from 1, codes that are whole."""

from pydicom.sr.codedict import codes

from hemorrhage.subtypes import ANY, SUBTYPES


def dihedral(a: int, b: int) -> int:
    """Product in the symmetry group of the pentagon: 0 to 4 turn, 5 to 9 reflect."""
    turn = a % 5 + b % 5 if a < 5 else a % 5 - b % 5
    return turn % 5 + 5 * ((a >= 5) != (b >= 5))


def has_valid_check_digit(code: str) -> bool:
    step = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
    total = 0
    for place, digit in enumerate(reversed(code)):
        value = int(digit)
        for _ in range(place % 8):
            value = step[value]
        total = dihedral(total, value)
    return total == 0


def test_the_check_digit_tells_right_from_wrong() -> None:
    assert has_valid_check_digit(codes.SCT.Brain.value)
    assert not has_valid_check_digit("12738007")


def test_codes_are_whole_and_differ() -> None:
    assert all(has_valid_check_digit(s.snomed) for s in (*SUBTYPES, ANY))
    assert len({s.snomed for s in (*SUBTYPES, ANY)}) == 6
    assert ANY.snomed == codes.SCT.IntracranialHemorrhage.value


def test_values_count_from_one() -> None:
    assert [s.index for s in SUBTYPES] == [1, 2, 3, 4, 5]
