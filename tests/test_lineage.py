from __future__ import annotations

import pytest

from isolet.lineage import depth_of, onward


@pytest.mark.parametrize(
    ("trace_id", "depth"),
    [
        ("", 0),
        ("Root=1-2-3", 0),
        ("Root=1-2-3;Parent=4;Sampled=1;Lineage=3:5f1d0a2b:0", 3),
        ("Lineage=15", 15),
        ("Root=1; Lineage=2:a:0;Sampled=0", 2),
        ("Root=1;Lineage=x:a", 0),
        ("Root=Lineage=9", 0),
        ("Root=1;Lineage=99999999:a", 0),
    ],
)
def test_depth_is_what_the_trace_says(trace_id: str, depth: int) -> None:
    assert depth_of(trace_id) == depth


@pytest.mark.parametrize("trace_id", ["", "Root=1-2-3;Sampled=1", "Root=1;Lineage=7:00000000:0"])
def test_each_passes_on_one_more(trace_id: str) -> None:
    told = onward(trace_id, 4, "arn:f")
    assert depth_of(told) == 5
    assert told.count("Lineage=") == 1
    assert told.startswith(trace_id.partition(";Lineage")[0])
