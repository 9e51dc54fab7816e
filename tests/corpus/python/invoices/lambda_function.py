from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal, InvalidOperation, localcontext
from fractions import Fraction

CENT = Decimal("0.01")
RATES = {"DE": Decimal("0.19"), "DE-reduced": Decimal("0.07"), "CH": Decimal("0.081"), "export": Decimal(0)}


def money(value, rounding=ROUND_HALF_UP):
    return Decimal(value).quantize(CENT, rounding=rounding)


def allocate(total, weights):
    """Splits cents by weight without losing any: largest remainder first."""
    cents = int(total / CENT)
    shares = [Fraction(cents) * Fraction(w) / sum(map(Fraction, weights)) for w in weights]
    floors = [int(s) for s in shares]
    order = sorted(range(len(shares)), key=lambda i: (floors[i] - shares[i], i))
    for i in order[: cents - sum(floors)]:
        floors[i] += 1
    return [Decimal(f) * CENT for f in floors]


def lambda_handler(event, context):
    try:
        lines = [(Decimal(line["price"]), Decimal(str(line["quantity"])), line.get("rate", "DE")) for line in event["lines"]]
    except InvalidOperation as error:
        raise ValueError(f"not a number: {error}") from error
    net = {}
    for price, quantity, rate in lines:
        net[rate] = net.get(rate, Decimal(0)) + money(price * quantity)
    taxes = {rate: money(amount * RATES[rate]) for rate, amount in net.items()}
    total = sum(net.values()) + sum(taxes.values())
    with localcontext(Context(prec=6, rounding=ROUND_HALF_EVEN)) as ctx:
        exchange = total * Decimal(event.get("exchange", "1"))
        inexact = bool(ctx.flags[next(f for f in ctx.flags if f.__name__ == "Inexact")])
    return {
        "net": {rate: str(amount) for rate, amount in sorted(net.items())},
        "tax": {rate: str(amount) for rate, amount in sorted(taxes.items())},
        "total": f"{total:,.2f}",
        "banker": str(money(total, ROUND_HALF_EVEN)),
        "exchange": str(exchange),
        "inexact": inexact,
        "split": [str(part) for part in allocate(total, event.get("split", [1]))],
        "engineering": (total * 1000).normalize().to_eng_string(),
    }
