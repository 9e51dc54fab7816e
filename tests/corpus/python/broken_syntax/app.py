def handler(event, context):
    total = 0
    for item in event["items"]
        total += item
    return total
