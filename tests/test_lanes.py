"""Whose turn it is: fairness as a film of ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from isolet import limits
from isolet.lanes import Lanes, Waiting


def crew(workers: int) -> Callable[[str], int]:
    """So many workers, whatever the cordon."""
    return lambda cordon: workers


def queued(*names: str, suspect: bool = False, share: int = 10_000, reserved: Mapping[str, int] | None = None) -> Lanes:
    """Lanes with one due event for each `tenant/function`, in this order, numbered from 0."""
    lanes = Lanes(lambda tenant: share, lambda tenant, name: (reserved or {}).get(name, 10_000))
    for id, name in enumerate(names):
        tenant, _, function = name.partition("/")
        lanes.reserve(tenant, 10)
        lanes.add(Waiting(id, tenant, function, 10, suspect), 0.0)
    return lanes


def take(lanes: Lanes, now_s: float, workers: Callable[[str], int]) -> list[Waiting]:
    """All that have a turn, where the keeper is quick: each is with a worker before the next are looked for."""
    taken: list[Waiting] = []
    while some := lanes.take(now_s, workers):
        for event in some:
            lanes.claimed(event)
        taken += some
    return taken


def ended(lanes: Lanes, event: Waiting) -> None:
    """Of one that `take` took."""
    lanes.returned(event)
    lanes.ended(event)


def test_tenants_take_turns_whatever_they_have_queued() -> None:
    lanes = queued(*["a/f"] * 4, "b/f", "b/f", "c/f")
    assert [event.id for event in take(lanes, 0.0, crew(1))] == [0, 4, 6, 1, 5, 2, 3]


def test_functions_of_a_tenant_take_turns() -> None:
    lanes = queued(*["a/f"] * 3, "a/g", "a/g")
    assert [event.id for event in take(lanes, 0.0, crew(1))] == [0, 3, 1, 4, 2]


def test_flood_of_one_tenant_leaves_room_for_another() -> None:
    lanes = queued(*["a/f"] * 1_000)
    assert len(take(lanes, 0.0, crew(1))) == limits.ATTEMPTS_FUNCTION_MAX
    lanes.reserve("b", 1)
    lanes.add(Waiting(5_000, "b", "f", 1), 1.0)
    assert [event.id for event in take(lanes, 1.0, crew(1))] == [5_000]


def test_each_end_makes_room_for_one() -> None:
    lanes = queued(*["a/f"] * 200)
    first = take(lanes, 0.0, crew(1))
    assert take(lanes, 0.0, crew(1)) == []
    ended(lanes, first[0])
    assert [event.id for event in take(lanes, 0.0, crew(1))] == [limits.ATTEMPTS_FUNCTION_MAX]


def test_without_workers_nobody_has_a_turn() -> None:
    lanes = queued("a/f", "b/f")
    assert take(lanes, 0.0, crew(0)) == []
    assert len(take(lanes, 0.0, crew(1))) == 2


def test_events_wait_for_their_time() -> None:
    lanes = queued("a/f")
    lanes.reserve("a", 10)
    lanes.add(Waiting(7, "a", "f", 10), 5.0)
    assert [event.id for event in take(lanes, 4.9, crew(1))] == [0]
    assert lanes.next_due_s() == 5.0
    assert [event.id for event in take(lanes, 5.0, crew(1))] == [7]
    assert lanes.next_due_s() is None


def test_suspects_are_run_one_by_one_in_each_worker() -> None:
    lanes = queued(*["a/f"] * 3, suspect=True)
    taken = take(lanes, 0.0, crew(2))
    assert [event.id for event in taken] == [0, 1]
    assert take(lanes, 0.0, crew(2)) == []
    ended(lanes, taken[1])
    assert [event.id for event in take(lanes, 0.0, crew(2))] == [2]


def test_bodies_under_way_are_bounded() -> None:
    lanes = Lanes()
    for id in range(100):
        lanes.reserve("a", limits.EVENT_BYTES_MAX)
        lanes.add(Waiting(id, "a", "f", limits.EVENT_BYTES_MAX), 0.0)
    assert len(take(lanes, 0.0, crew(4))) == limits.ATTEMPTS_BYTES_MAX // limits.EVENT_BYTES_MAX


def test_what_a_tenant_has_queued_is_known() -> None:
    lanes = Lanes()
    for size in (1, 10, 100):
        lanes.reserve("a", size)
    assert (lanes.of("a"), lanes.of("b")) == ((3, 111), (0, 0))
    lanes.gone("a", 10)
    assert lanes.of("a") == (2, 101)


def test_a_tenant_has_no_more_under_way_than_its_share() -> None:
    lanes = queued(*["a/f"] * 5, *["b/f"] * 2, share=2)
    taken = take(lanes, 0.0, crew(4))
    assert [event.tenant for event in taken] == ["a", "b", "a", "b"]
    ended(lanes, taken[0])
    assert [event.tenant for event in take(lanes, 0.0, crew(4))] == ["a"]


def test_a_function_has_no_more_under_way_than_its_reserved_concurrency() -> None:
    lanes = queued(*["a/f"] * 5, *["a/g"] * 2, reserved={"f": 1})
    assert [event.name for event in take(lanes, 0.0, crew(4))] == ["f", "g", "g"]


def test_a_function_that_is_refused_is_asked_for_less_and_others_notice_nothing() -> None:
    lanes = queued(*["a/f"] * 100, *["a/g"] * 3, *["b/f"] * 3, share=20)
    first = take(lanes, 0.0, crew(1))
    refused = [event for event in first if (event.tenant, event.name) == ("a", "f")]
    assert len(refused) == 17
    for event in refused:
        lanes.refused(event, 0.0, 4.0)
        ended(lanes, event)
        lanes.add(event, 4.0)
    for event in first:
        if event not in refused:
            lanes.taken_in(event)
            ended(lanes, event)
    assert take(lanes, 3.9, crew(1)) == []
    assert lanes.next_due_s() == 4.0
    # All that were under way together count as one refusal: half of them are tried.
    again = take(lanes, 4.0, crew(1))
    assert len(again) == 8
    for event in again[1:]:
        lanes.refused(event, 4.0, 1_000.0)
        ended(lanes, event)
        lanes.add(event, 1_004.0)
    lanes.taken_in(again[0])
    ended(lanes, again[0])
    assert take(lanes, 4.0 + limits.EVENT_HOLD_S_MAX - 0.1, crew(1)) == []
    assert len(take(lanes, 4.0 + limits.EVENT_HOLD_S_MAX, crew(1))) == 5


def test_a_function_that_is_always_refused_is_asked_for_once_a_pause() -> None:
    lanes, now_s, asked = queued(*["a/f"] * 1_000), 0.0, 0
    for _ in range(1_000):
        due_s = lanes.next_due_s()
        for event in take(lanes, now_s, crew(2)):
            asked += 1
            lanes.refused(event, now_s, 1.0)
            ended(lanes, event)
            lanes.add(event, now_s + 300.0)
        due_s = lanes.next_due_s()
        assert due_s is not None
        assert due_s > now_s
        if due_s >= 300:
            break
        now_s = due_s
    # At first as many as there is room for, then half of them, and so on; then one a second.
    assert asked < 300 + 2 * 2 * limits.ATTEMPTS_FUNCTION_MAX


def test_cordons_do_not_wait_for_each_other() -> None:
    lanes = Lanes(home=lambda tenant: "low" if tenant == "bad" else "standard")
    for id in range(600):
        lanes.reserve("bad", 1)
        lanes.add(Waiting(id, "bad", f"f{id % 9}", 1, suspect=id < 5), 0.0)
    for id in (700, 701):
        lanes.reserve("good", 1)
        lanes.add(Waiting(id, "good", "f", 1, suspect=id == 701), 0.0)
    workers = {"low": 0, "standard": 1}
    assert [event.id for event in take(lanes, 0.0, lambda cordon: workers[cordon])] == [701, 700]
    workers["low"] = 1
    taken = take(lanes, 0.0, lambda cordon: workers[cordon])
    assert [event.id for event in taken if event.suspect] == [0]
    assert len(taken) == 1 + limits.ATTEMPTS_TENANT_MAX - 1
    for event in taken:
        ended(lanes, event)
    assert [event.id for event in take(lanes, 0.0, lambda cordon: workers[cordon]) if event.suspect] == [1]


def test_attempt_counts_where_it_began_also_when_its_tenant_has_moved() -> None:
    home = ["low"]
    lanes = Lanes(home=lambda tenant: home[0])
    for id in range(2):
        lanes.reserve("a", 1)
        lanes.add(Waiting(id, "a", "f", 1, suspect=True), 0.0)
    (first,) = take(lanes, 0.0, crew(1))
    home[0] = "high"
    (second,) = take(lanes, 0.0, crew(1))
    ended(lanes, first)
    ended(lanes, second)
    assert lanes.running == 0
    lanes.add(first, 0.0)
    assert take(lanes, 0.0, crew(1)) == [first]


def test_what_the_keeper_has_to_do_for_a_tenant_is_bounded() -> None:
    """At both ends of an attempt; what its workers have does not count."""
    lanes = queued(*["a/f"] * 200)
    most = limits.EVENTS_MOVING_MAX
    first = lanes.take(0.0, crew(1))
    assert (len(first), lanes.take(0.0, crew(1))) == (most, [])
    for event in first[:10]:
        lanes.claimed(event)
    assert (len(lanes.take(0.0, crew(1))), lanes.take(0.0, crew(1))) == (10, [])
    for event in first[:5]:
        lanes.returned(event)
    for event in first[10:15]:
        lanes.claimed(event)
    assert lanes.take(0.0, crew(1)) == [], "those that came back took the places of those that went"
    for event in first[:5]:
        lanes.ended(event)
    assert len(lanes.take(0.0, crew(1))) == 5


def test_flood_on_its_way_leaves_anothers_turn() -> None:
    lanes = queued(*["a/f"] * 200)
    lanes.take(0.0, crew(1))
    lanes.reserve("b", 1)
    lanes.add(Waiting(5_000, "b", "f", 1), 0.0)
    assert [event.id for event in lanes.take(0.0, crew(1))] == [5_000]


def test_flood_that_falls_due_at_once_is_looked_at_in_parts() -> None:
    lanes = queued(*["a/f"] * (3 * limits.EVENTS_DUE_MAX))
    for _ in range(2):
        lanes.take(0.0, crew(1))
        assert lanes.next_due_s() == 0.0, "the rest is due at once"
    lanes.take(0.0, crew(1))
    assert lanes.next_due_s() is None


def test_who_falls_due_later_does_not_wait_behind_a_flood() -> None:
    lanes = queued(*["a/f"] * (3 * limits.EVENTS_DUE_MAX))
    lanes.reserve("b", 1)
    lanes.add(Waiting(9_000, "b", "f", 1), 1.0)
    assert 9_000 in [event.id for event in lanes.take(1.0, crew(1))]
