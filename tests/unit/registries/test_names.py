from __future__ import annotations

import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse.errors import InvalidName
from registries.names import check_name

ODD_BUT_FINE = [
    "'; DROP TABLE ulabel;--",
    'a" OR 1=1',
    'a""b',
    "100%",
    "under_score",
    "trailing backslash\\",
    "select",
    "uid",
    "$1",
    "?",
    "%s",
    "(a+)+$",
    "CD8+ αβ T細胞",
    "é" * 1000,
]
REFUSED = {
    "a\0b": "NUL",
    "two\nlines": "control",
    "\u202egnp.exe": "direction",
    "zero\u200bwidth": "invisible",
    "\ud800": "surrogate",
    "": "empty",
    " \t ": "empty",
    " leading": "blank",
    "trailing ": "blank",
    "line\u2028separator": "separator",
    "x" * 1_001: "1,001 characters",
    "x" * 1_000_000: "1,000,000 characters",
}


@pytest.mark.parametrize("name", ODD_BUT_FINE)
def test_odd_names_round_trip_through_save_get_and_filter(lake, name):
    saved = lake.ULabel(name=name).save()
    assert lake.ULabel.get(name=name) == saved
    assert lake.ULabel.filter(name=name).one().name == name
    assert lake.sql("select count(*) from ulabel where name = ?", [name]).fetchall() == [(1,)]


@pytest.mark.parametrize(("name", "reason"), REFUSED.items(), ids=lambda value: ascii(value[:20]))
def test_refused_names_say_why_and_leave_nothing_behind(lake, name, reason):
    with pytest.raises(InvalidName, match=reason) as caught:
        lake.ULabel(name=name).save()
    assert len(str(caught.value)) < 300
    assert lake.ULabel.filter().count() == 0
    assert lake.User.filter().count() == 0


def test_nfc_and_nfd_twins_are_one_label(lake):
    composed = unicodedata.normalize("NFC", "Ménière")
    first = lake.ULabel(name=composed).save()
    assert lake.ULabel(name=unicodedata.normalize("NFD", composed)).save() == first
    assert lake.ULabel.filter().count() == 1


def test_names_of_exactly_the_longest_length_are_admitted():
    assert check_name("x" * 1_000) == "x" * 1_000


@pytest.mark.parametrize("text", ["nul \0", "half \udc00"])
def test_text_that_cannot_be_stored_is_refused_naming_the_field(lake, text):
    with pytest.raises(InvalidName, match=r"ULabel\.description"):
        lake.ULabel(name="fine", description=text).save()
    assert lake.ULabel.filter().count() == 0


def test_long_descriptions_with_odd_characters_round_trip(lake):
    text = "line\nline\t\u202e '\"; %_ $1 ?" + "x" * 100_000
    lake.ULabel(name="fine", description=text).save()
    assert lake.ULabel.get(name="fine").description == text


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(codec=None), max_size=30))
def test_any_text_is_refused_or_found_again(lake, text):
    try:
        saved = lake.ULabel(name=text).save()
    except InvalidName:
        return
    assert saved.name == unicodedata.normalize("NFC", text)
    assert lake.ULabel.get(name=saved.name) == saved
    assert lake.ULabel.filter(name__contains=saved.name, name__startswith=saved.name[:1]).exists()
    assert lake.ULabel.filter(name__in=[saved.name]).one() == saved
