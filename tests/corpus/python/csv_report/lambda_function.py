import csv
import io
import math
import statistics
from collections import OrderedDict
from itertools import groupby
from operator import itemgetter


class BadRow(ValueError):
    def __init__(self, number, reason):
        self.number = number
        super().__init__("row %d: %s" % (number, reason))


def sniff(text):
    try:
        return csv.Sniffer().sniff(text[:512], delimiters=",;\t|")
    except csv.Error:
        return csv.excel


def rows(text):
    reader = csv.DictReader(io.StringIO(text, newline=""), dialect=sniff(text))
    for number, row in enumerate(reader, start=2):
        if None in row or None in row.values():
            raise BadRow(number, "expected %d columns" % len(reader.fieldnames))
        try:
            row["amount"] = float(row["amount"].replace(",", "."))
        except ValueError as e:
            raise BadRow(number, e) from None
        yield row


def lambda_handler(event, context):
    data = sorted(rows(event["csv"]), key=itemgetter(event.get("by", "region")))
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(["group", "count", "sum", "mean", "stdev", "max item"])
    summary = OrderedDict()
    for key, group in groupby(data, key=itemgetter(event.get("by", "region"))):
        group = list(group)
        amounts = [row["amount"] for row in group]
        biggest = max(group, key=itemgetter("amount"))
        stdev = statistics.stdev(amounts) if len(amounts) > 1 else math.nan
        writer.writerow([key, len(group), round(sum(amounts), 2), round(statistics.mean(amounts), 3), "" if math.isnan(stdev) else round(stdev, 3), biggest["item"]])
        summary[key] = math.fsum(amounts)
    return {"report": out.getvalue(), "summary": summary, "total": math.fsum(summary.values()), "rows": len(data)}
