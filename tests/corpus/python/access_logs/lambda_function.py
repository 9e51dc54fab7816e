"""Subscribed to a CloudWatch log group: counts what the load balancer said."""
import base64
import gzip
import json
import re
import statistics
from collections import Counter
from datetime import datetime

LINE = re.compile(
    r'(?P<host>[\d.:a-f]+) - (?P<user>\S+) \[(?P<time>[^\]]+)\] '
    r'"(?P<method>[A-Z]+) (?P<path>\S+) HTTP/(?P<version>[\d.]+)" '
    r'(?P<status>\d{3}) (?P<size>\d+|-) "(?P<agent>(?:[^"\\]|\\.)*)" (?P<ms>\d+(?:\.\d+)?)ms'
)


def records(event):
    payload = json.loads(gzip.decompress(base64.b64decode(event["awslogs"]["data"])))
    if payload["messageType"] == "CONTROL_MESSAGE":
        return
    for log_event in payload["logEvents"]:
        yield payload["logStream"], log_event


def lambda_handler(event, context):
    statuses, paths, agents = Counter(), Counter(), Counter()
    times, durations, broken = [], [], []
    total = 0
    for stream, log_event in records(event):
        match = LINE.fullmatch(log_event["message"])
        if match is None:
            broken.append({"id": log_event["id"], "stream": stream, "text": log_event["message"][:40]})
            continue
        line = match.groupdict()
        statuses[line["status"][0] + "xx"] += 1
        paths[re.sub(r"/\d+", "/:id", line["path"].partition("?")[0])] += 1
        agents[re.split(r"[/ ]", line["agent"], maxsplit=1)[0] or "-"] += 1
        times.append(datetime.strptime(line["time"], "%d/%b/%Y:%H:%M:%S %z"))
        durations.append(float(line["ms"]))
        total += 0 if line["size"] == "-" else int(line["size"])
    report = {"statuses": statuses, "paths": paths.most_common(3), "agents": sorted(agents.items()), "broken": broken, "bytes": total}
    if durations:
        report["ms"] = {
            "median": statistics.median(durations),
            "mean": round(statistics.fmean(durations), 3),
            "p90": statistics.quantiles(durations, n=10)[-1] if len(durations) > 1 else durations[0],
        }
        report["from"], report["to"] = min(times).isoformat(), max(times).isoformat()
    return report
