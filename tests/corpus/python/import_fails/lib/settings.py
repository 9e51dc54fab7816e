import os


def required(name):
    return os.environ[name]


TABLE = required("TABLE_NAME")
