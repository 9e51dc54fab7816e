// Leaderboards from match results; Map, Set, WeakMap and friends.
const groupBy = (items, key) => items.reduce((map, item) => (map.get(key(item))?.push(item) ?? map.set(key(item), [item]), map), new Map());

const memo = new WeakMap();
const normalised = (match) => {
  if (!memo.has(match)) memo.set(match, { ...match, players: match.players.map((p) => p.normalize('NFC').trim()) });
  return memo.get(match);
};

const points = ({ winner }, player) => (winner === player ? 3 : winner == null ? 1 : 0);

export async function handler({ matches = [], top = 3 }) {
  const clean = matches.map(normalised);
  const scores = new Map();
  const pairs = new Set();
  for (const match of clean) {
    for (const player of match.players) scores.set(player, (scores.get(player) ?? 0) + points(match, player));
    pairs.add([...match.players].sort().join(' – '));
  }
  const bySeason = groupBy(clean, (m) => m.season);
  const ranking = [...scores].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1)).slice(0, top);
  const streaks = Object.entries(
    clean.flatMap(({ winner }) => (winner ? [winner] : [])).reduce((acc, w, i, all) => {
      acc[w] = Math.max(acc[w] ?? 0, all[i - 1] === w ? acc[w] + 1 : 1);
      return acc;
    }, {}),
  );
  return {
    ranking,
    pairs: [...pairs],
    seasons: Object.fromEntries(Array.from(bySeason, ([season, list]) => [season, list.length])),
    last: clean.at(-1)?.winner,
    longest: streaks.findLast(([, n]) => n === Math.max(...streaks.map(([, m]) => m))) ?? null,
    evens: clean.map((_, i) => i).filter((i) => i % 2 === 0).toReversed?.() ?? 'old engine',
    sparse: JSON.stringify([, 1, , 2].flat()),
    map: JSON.stringify([new Map([[1, 2]]), new Set([1])]),
    copied: [3, 1, 2].toSorted().with(0, 9),
    maxOfNothing: String(Math.max()),
  };
}
