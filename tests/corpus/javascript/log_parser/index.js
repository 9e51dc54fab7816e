'use strict';
// Access logs in combined format, from a Kinesis stream.
const LINE = /^(?<ip>\S+) \S+ (?<user>\S+) \[(?<time>[^\]]+)\] "(?<method>[A-Z]+) (?<path>[^ "?]+)(?<query>\?[^ "]*)? HTTP\/(?<version>\d(?:\.\d)?)" (?<status>\d{3}) (?<size>\d+|-)(?: "(?<referer>[^"]*)" "(?<agent>[^"]*)")?$/u;
const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

function parseTime(text) {
  const [, day, month, year, h, m, s, sign, zh, zm] = /^(\d\d)\/(\w{3})\/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)$/.exec(text);
  const utc = Date.UTC(+year, MONTHS.indexOf(month), +day, +h, +m, +s);
  return new Date(utc - (sign === '-' ? -1 : 1) * (zh * 60 + +zm) * 60_000);
}

function* lines(records) {
  for (const { kinesis } of records) {
    const text = Buffer.from(kinesis.data, 'base64').toString();
    yield* text.split(/\r?\n/).filter(Boolean);
  }
}

const percentile = (sorted, p) => sorted[Math.min(sorted.length - 1, Math.floor((p / 100) * sorted.length))];

exports.handler = async (event) => {
  const byPath = {};
  const statuses = new Map();
  const sizes = [];
  let bad = 0, first, last;
  for (const line of lines(event.Records)) {
    const match = line.match(LINE);
    if (!match) {
      bad += 1;
      console.error('unreadable: %j', line.slice(0, 20));
      continue;
    }
    const { groups: g } = match;
    const when = parseTime(g.time);
    if (!first || when < first) first = when;
    if (!last || when > last) last = when;
    (byPath[g.path] ??= { hits: 0, users: new Set(), agents: [] }).hits++;
    byPath[g.path].users.add(g.user === '-' ? g.ip : g.user);
    if (g.agent) byPath[g.path].agents.push(g.agent.replace(/(?<=\/)[\d.]+/g, 'x'));
    statuses.set(g.status[0] + 'xx', (statuses.get(g.status[0] + 'xx') || 0) + 1);
    if (g.size !== '-') sizes.push(parseInt(g.size, 10));
  }
  sizes.sort((a, b) => a - b);
  return {
    first, last, bad,
    statuses: Object.fromEntries([...statuses].sort()),
    paths: Object.entries(byPath)
      .map(([path, { hits, users, agents }]) => ({ path, hits, users: users.size, agent: agents[0] }))
      .sort((a, b) => b.hits - a.hits || a.path.localeCompare(b.path)),
    sizes: { p50: percentile(sizes, 50), p99: percentile(sizes, 99), mean: sizes.reduce((a, b) => a + b, 0) / sizes.length },
  };
};
