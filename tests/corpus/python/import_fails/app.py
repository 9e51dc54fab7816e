from lib import settings


def handler(event, context):
    return settings.TABLE
