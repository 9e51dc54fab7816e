from dataclasses import asdict

from models import Signup, ValidationError


def lambda_handler(event, context):
    try:
        signups = [Signup.parse(form) for form in event["forms"]]
    except ValidationError as e:
        if event.get("strict"):
            raise
        return {"ok": False, "errors": e.errors, "repr": repr(e)}
    return {
        "ok": True,
        "forms": [{**asdict(s), "born": s.born.isoformat(), "age_days": (s.born.replace(year=2024) - s.born).days} for s in sorted(signups)],
        "repr": [repr(s) for s in signups],
    }
