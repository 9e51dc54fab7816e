import logging

logger = logging.getLogger()
logger.setLevel(logging.INFO)

# Runs once, at deployment: every invocation finds what it made.
greetings = 1


def lambda_handler(event, context):
    """Answers {"hello": name}. `name` is in the event, or in the query string of an HTTP request."""
    global greetings
    asked = (event.get("queryStringParameters") or {}) if "requestContext" in event else event
    name = asked.get("name") or "world"
    logger.info("greeting %s for %s", name, context.aws_request_id)
    answer = {"hello": name, "greetings": greetings}
    greetings += 1
    return answer
