from email.headerregistry import Address
from email.message import EmailMessage
from email import policy, message_from_bytes
from email.utils import format_datetime, parseaddr
from datetime import datetime, timezone
from pathlib import Path
from string import Template
import textwrap

HERE = Path(__file__).parent
TEMPLATES = {path.stem: Template(path.read_text(encoding="utf-8")) for path in sorted((HERE / "templates").glob("*.txt"))}


def build(event):
    order = event["order"]
    template = TEMPLATES[event.get("template", "confirmation")]
    lines = "\n".join(f"  {line['qty']:>3} × {line['name']:<20}{line['price']:>10.2f}" for line in order["lines"])
    total = sum(line["qty"] * line["price"] for line in order["lines"])
    text = template.substitute(order, lines=lines, total=f"{total:,.2f}", name=event["to"]["name"])

    message = EmailMessage(policy=policy.SMTP.clone(cte_type="7bit"))
    message["Subject"] = event.get("subject", f"Your order {order['id']}")
    user, _, domain = event["to"]["email"].partition("@")
    message["To"] = Address(event["to"]["name"], user, domain)
    message["From"] = "Shop <shop@example.com>"
    message["Date"] = format_datetime(datetime.fromtimestamp(order["at"], timezone.utc))
    message.set_content("\n\n".join(textwrap.fill(p, 60) if "×" not in p else p for p in text.split("\n\n")))
    if event.get("receipt"):
        message.add_attachment(event["receipt"].encode(), maintype="text", subtype="csv", filename="Quittung.csv")
        message.set_boundary("=_receipt")
    return message


def lambda_handler(event, context):
    raw = bytes(build(event))
    again = message_from_bytes(raw, policy=policy.default)
    return {
        "raw": raw.decode("ascii"),
        "subject": str(again["subject"]),
        "to": parseaddr(str(again["to"])),
        "parts": [part.get_content_type() for part in again.walk()],
        "size": len(raw),
    }
