from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolet.aws import tokens
from isolet.errors import InvalidParameter

REFUSED = InvalidParameter("The specified token is invalid.")
PLACES = st.recursive(st.text() | st.integers() | st.booleans() | st.none(), st.lists, max_leaves=4)


@given(PLACES)
def test_place_comes_back_from_its_token_which_fits_into_a_query(place: object) -> None:
    token = tokens.encode("functions", place)
    assert quote(token, safe="") == token
    assert tokens.decode("functions", token, REFUSED) == place


@given(st.text())
def test_text_that_is_no_token_is_refused_in_the_given_words(text: str) -> None:
    with pytest.raises(InvalidParameter, match="The specified token is invalid"):
        tokens.decode("functions", text, REFUSED)


def test_token_of_another_listing_is_refused() -> None:
    with pytest.raises(InvalidParameter):
        tokens.decode("layers", tokens.encode("functions", "f"), REFUSED)
