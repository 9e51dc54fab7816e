from __future__ import annotations

import re
from bisect import bisect_left

import pytest
from prometheus_client.parser import text_string_to_metric_families

from isolet import limits
from isolet.lag import Lag
from isolet.metrics import GAUGES, OTHER, Metrics
from isolet.records import Batch, Totals
from isolet.samples import BOUNDS, Samples
from test_lag import ManualLoop

TENANT = "000000000000"


def batch(name: str = "resize", tenant: str = TENANT, **errors: int) -> Batch:
    totals = Totals(3, sum(errors.values()), 1, 5_000_000_000, 7, 2_000_000_000, 900, 7 * 128)
    samples = {
        "Duration": Samples(3, 5_000_000_000, 900_000, 10**13, {_bucket(900_000): 2, len(BOUNDS): 1}),
        "RestoreDuration": Samples(3, 45_000, 15_000, 15_000, {_bucket(15_000): 3}),
    }
    return Batch(tenant, name, "", "$LATEST", 128, 60, totals, dict(errors), samples, records_dropped=2)


def _bucket(value: int) -> int:
    return bisect_left(BOUNDS, value)


def scrape(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(text.decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def of(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted(labels.items()))


def test_scrape_has_every_promised_series() -> None:
    metrics = Metrics()
    metrics.add([batch(Trapped=1)])
    metrics.count_build("succeeded")
    text = metrics.text({0: {"isolates_live": 3, "pool_slots": 1_024, "slices_runnable": 5}}, functions=1)
    values = scrape(text)
    assert values[of("isolet_invocations_total", function="resize")] == 3
    assert values[of("isolet_errors_total", function="resize", **{"class": "Trapped"})] == 1
    assert values[of("isolet_throttles_total", function="resize")] == 1
    assert values[of("isolet_fuel_total", function="resize")] == 900
    assert values[of("isolet_cpu_seconds_total", function="resize")] == 2
    assert values[of("isolet_duration_seconds_sum", function="resize")] == 5
    assert values[of("isolet_duration_seconds_count", function="resize")] == 3
    assert values[of("isolet_duration_seconds_bucket", function="resize", le="0.001")] == 2
    assert values[of("isolet_duration_seconds_bucket", function="resize", le="+Inf")] == 3
    assert values[of("isolet_restore_seconds_bucket", function="resize", le="1.5e-05")] == 3
    assert values[of("isolet_restore_seconds_sum", function="resize")] == pytest.approx(45e-6)
    assert values[of("isolet_log_records_dropped_total", function="resize")] == 2
    assert values[of("isolet_builds_total", result="succeeded")] == 1
    assert values[of("isolet_isolates_live", cordon="standard", worker="0")] == 3
    assert values[of("isolet_pool_slots", cordon="standard", worker="0")] == 1_024
    assert values[of("isolet_slices_runnable", cordon="standard", worker="0")] == 5
    assert values[of("isolet_workers")] == 1
    assert values[of("isolet_functions")] == 1


def test_nothing_happened_is_a_scrape_too() -> None:
    assert scrape(Metrics().text({}))[of("isolet_workers")] == 0


def test_counters_never_go_back_whatever_workers_do() -> None:
    """Workers send differences: one that died and one that starts both only add."""
    metrics, before = Metrics(), 0.0
    for workers in ({0: {"isolates_live": 9.0}}, {}, {0: {"isolates_live": 0.0}, 1: {}}):
        metrics.add([batch()])
        now = scrape(metrics.text(workers))[of("isolet_invocations_total", function="resize")]
        assert now > before
        before = now


def test_labels_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "METRIC_FUNCTIONS_MAX", 3)
    metrics = Metrics()
    metrics.add([batch(f"f{number}", TENANT, Raised=1, **{f"evil{number}": 1}) for number in range(10)])
    values = scrape(metrics.text({0: {f"gauge{number}": 1.0 for number in range(100)}}))
    functions = {dict(labels)["function"] for name, labels in values if name == "isolet_invocations_total"}
    assert functions == {"f0", "f1", "f2", OTHER}
    assert values[of("isolet_invocations_total", function=OTHER)] == 21
    classes = {dict(labels)["class"] for name, labels in values if name == "isolet_errors_total"}
    assert classes == {"Raised", "Other"}
    assert not any("gauge" in name for name, _ in values)


def test_functions_of_other_tenants_have_their_tenant_in_the_label() -> None:
    metrics = Metrics()
    metrics.add([batch(), batch(tenant="111111111111")])
    values = scrape(metrics.text({}))
    assert values[of("isolet_invocations_total", function="111111111111/resize")] == 3
    assert values[of("isolet_invocations_total", function="resize")] == 3


def test_every_metric_has_help_and_names_end_in_units() -> None:
    metrics = Metrics()
    metrics.add([batch()])
    text = metrics.text({0: dict.fromkeys(GAUGES, 1.0)}).decode()
    helps = set(re.findall(r"^# HELP (\w+) .+$", text, re.MULTILINE))
    assert helps >= {f"isolet_{name}" for name in GAUGES}
    assert all(name.startswith("isolet_") for name in helps)


def test_ends_of_workers_are_counted_by_why() -> None:
    values = scrape(Metrics().text({}, ended={"spinning": 1, "recycled": 3}))
    assert values[of("isolet_workers_ended_total", why="recycled")] == 3
    assert values[of("isolet_workers_ended_total", why="spinning")] == 1


def test_scrape_says_how_late_each_workers_loop_is() -> None:
    lag = Lag(ManualLoop())
    for late_ms in (0, 0, 9.5, 400):
        lag.note(round(late_ms * 1_000_000))
    values = scrape(Metrics().text({0: {}, 1: lag.gauges()}))
    assert values[of("isolet_loop_lag_seconds_count", cordon="standard", worker="0")] == 0
    assert values[of("isolet_loop_lag_seconds_bucket", cordon="standard", worker="1", le="0.0005")] == 2
    assert values[of("isolet_loop_lag_seconds_bucket", cordon="standard", worker="1", le="0.01")] == 3
    assert values[of("isolet_loop_lag_seconds_count", cordon="standard", worker="1")] == sum(lag.counts)
