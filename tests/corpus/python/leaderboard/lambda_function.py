import heapq
import operator
from bisect import bisect_left, insort
from collections import ChainMap, Counter, deque, namedtuple
from functools import reduce, total_ordering
from itertools import chain, combinations, pairwise, zip_longest

SEASON = {"points_win": 3, "points_draw": 1}


@total_ordering
class Row:
    def __init__(self, player, points, scored):
        self.player, self.points, self.scored = player, points, scored

    def key(self):
        return (-self.points, -self.scored, self.player.casefold())

    def __eq__(self, other):
        return self.key() == other.key()

    def __lt__(self, other):
        return self.key() < other.key()

    def __hash__(self):
        return hash(self.key())

    def __repr__(self):
        return f"{self.player}({self.points})"


Game = namedtuple("Game", "home away home_score away_score", defaults=(0, 0))


def table(games, rules):
    points, scored = Counter(), Counter()
    for game in games:
        scored.update({game.home: game.home_score, game.away: game.away_score})
        if game.home_score == game.away_score:
            points.update(dict.fromkeys((game.home, game.away), rules["points_draw"]))
        else:
            points[game.home if game.home_score > game.away_score else game.away] += rules["points_win"]
    return [Row(player, points[player], scored[player]) for player in scored]


def lambda_handler(event, context):
    games = [Game(*g) for g in event["games"]]
    rules = ChainMap(event.get("rules", {}), SEASON)
    rows = table(games, rules)
    top = heapq.nsmallest(event.get("top", 3), rows)
    ranking = []
    for row in rows:
        insort(ranking, row)
    me = next((r for r in rows if r.player == event.get("me")), None)
    recent = deque(games, maxlen=2)
    streams = [sorted(g.home_score for g in games), sorted(g.away_score for g in games)]
    return {
        "top": [vars(row) for row in top],
        "rank": bisect_left(ranking, me) + 1 if me else None,
        "table": repr(ranking),
        "merged": list(heapq.merge(*streams)),
        "rivals": [" vs ".join(p) for p in combinations(sorted(r.player for r in top), 2)],
        "gaps": [a.points - b.points for a, b in pairwise(ranking)],
        "recent": [g._asdict() for g in recent],
        "columns": [list(c) for c in zip_longest(*streams, fillvalue=-1)],
        "product": reduce(operator.mul, chain.from_iterable(streams), 1),
        "equal": rows[0] == rows[0] and rows[0] <= rows[0] and not rows[0] > rows[0] if rows else None,
    }
