"""The sandbox's Salesforce: records kept by column."""

from hypothesis import given
from hypothesis import strategies as st

from connectors.sandbox.salesforce.schema import sobjects
from connectors.sandbox.salesforce.table import ObjectTable
from connectors.sandbox.world import salesforce_id


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 9)), max_size=30),
    st.integers(0, 9),
    st.integers(0, 9),
)
def test_the_index_of_stamps_is_what_sorting_gives(first, moves, low, high):
    table = ObjectTable(sobjects()["lead"])
    table.extend([{"Id": salesforce_id("00Q", n), "SystemModstamp": str(stamp)} for n, stamp in enumerate(first)])
    list(table.by_stamp(""))
    for n, stamp in moves:
        if n < len(table):
            table.set(n, "SystemModstamp", str(stamp))
        else:
            table.insert({"Id": salesforce_id("00Q", 100 + len(table)), "SystemModstamp": str(stamp)})
    rows_ = sorted((table.get(row, "SystemModstamp"), table.ids[row], row) for row in range(len(table)))
    assert list(table.by_stamp(str(low), str(high))) == [row for stamp, _, row in rows_ if low <= int(stamp) <= high]
    for stamp in {each for each, _, _ in rows_}:
        expected = sorted(row for each, _, row in rows_ if each == stamp)
        assert table.where("SystemModstamp", [stamp]) == expected
