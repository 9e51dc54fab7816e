from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from isolet.errors import OutOfFuel, Raised, Throttled
from isolet.frames import pack, unpack
from isolet.log_lines import error_line, group_name, lines_of, stream_name
from isolet.model import Logging
from isolet.records import Batch, Failure, Record, Totals, failure_of, unpack_records
from isolet.samples import Samples

small = st.integers(0, 2**40)
totals = st.builds(Totals, *[small] * len(Totals._fields))


@given(totals, totals, totals)
def test_sums_do_not_depend_on_their_order(a: Totals, b: Totals, c: Totals) -> None:
    assert a.plus(b).plus(c) == c.plus(a).plus(b) == a.plus(b.plus(c))
    assert a.plus(Totals()) == a


def test_batch_crosses_as_plain_values() -> None:
    samples = {"Duration": Samples(2, 9, 4, 5, {3: 1, 4: 1}), "FuelUsed": Samples(2, 3, 1, 2)}
    batch = Batch(
        *("t", "n", "live", "3", 128, 7, Totals(1, 2), {"Trapped": 1}, samples, 4, 5, 6, 7, b"\xc0"),
        logging=Logging("JSON", "WARN", "INFO", "/shared"),
    )
    assert Batch.from_plain(unpack(pack(batch.to_plain()))) == batch


def test_batch_of_a_minute_is_of_its_hour() -> None:
    assert Batch("t", "n", "", "1", 128, 60 * 400_000 + 59).hour == 400_000


def test_what_a_failure_keeps_is_bounded() -> None:
    kind, error_type, message, stack = failure_of(Raised("T" * 10_000, "m" * 10_000, ("s" * 10_000,) * 100))
    assert (kind, len(error_type), len(message), len(stack), len(stack[0])) == ("Raised", 128, 1_024, 32, 256)
    assert failure_of(OutOfFuel("spent")) == ("OutOfFuel", "Runtime.OutOfFuel", "spent", ())
    assert failure_of(Throttled("slow", "R")) == ("Throttled", "TooManyRequestsException", "slow", ())
    assert failure_of(ZeroDivisionError("x")) == ("ZeroDivisionError", "ServiceException", "x", ())


def record(failure: Failure | None = None, *entries: tuple[int, int, bytes]) -> Record:
    return Record("id", 1_000, 1_005, 5_000_000, 1_000_000, 0, 0, 65_536, failure, entries, 0)


@given(st.lists(st.binary(max_size=50), max_size=5), st.integers(0, 3))
def test_records_come_back_from_a_blob(texts: list[bytes], copies: int) -> None:
    one = record(("Raised", "T", "m", ("f",)), *((2, 1, text) for text in texts))
    blob = pack(list(one)) * copies
    assert list(unpack_records(blob)) == [one] * copies


def test_records_of_before_traces_and_stacks_were_kept_are_read() -> None:
    old = list(record())[:-1]
    (read,) = unpack_records(pack([*old[:8], ("Raised", "T", "m"), *old[9:]]))
    assert read.trace == ""
    assert lines_of(read, "7", 64, 1)[1].text == "[ERROR] RequestId: id T: m"


def test_lines_keep_the_order_of_what_happened() -> None:
    lines = lines_of(record(None, (2, 1_001, b"a"), (4, 1_003, b"\xff")), "7", 64, 1)
    assert [(line.ms, line.text) for line in lines[:4]] == [
        (1_000, "START RequestId: id Version: 7"),
        (1_001, "a"),
        (1_003, "�"),
        (1_005, "END RequestId: id"),
    ]
    assert "Memory Size: 64 MB" in lines[4].text
    assert "Billed Duration: 5 ms" in lines[4].text
    assert "Billed Duration: 100 ms" in lines_of(record(), "7", 64, 100)[-1].text


def test_error_line_does_not_say_the_request_twice() -> None:
    error = OutOfFuel("RequestId: id Error: spent")
    assert error_line("id", error) == "[ERROR] RequestId: id Runtime.OutOfFuel: spent"


def test_stream_is_of_the_day_the_version_and_the_worker() -> None:
    at, of = 1_700_000_000_000, ("resize", "$LATEST", "ab")
    assert stream_name(at, *of, Logging()) == "2023/11/14/[$LATEST]ab"
    assert stream_name(at, *of, Logging(group="/shared")) == "2023/11/14/resize[$LATEST][ab]"
    assert (group_name("resize", Logging()), group_name("resize", Logging(group="g"))) == ("/aws/lambda/resize", "g")
