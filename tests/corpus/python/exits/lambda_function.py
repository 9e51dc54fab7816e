import sys


def lambda_handler(event, context):
    print("about to leave")
    if "code" in event:
        sys.exit(event["code"])
    if event.get("raise"):
        raise SystemExit
    return "stayed"
