"""Answers images: a PNG drawn by hand, as base64, and a zip of them."""
import base64
import colorsys
import io
import struct
import zipfile
import zlib


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, pixels):
    raw = b"".join(b"\0" + bytes(pixels[y * width * 3:(y + 1) * width * 3]) for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")


def rainbow(width, height):
    pixels = bytearray()
    for y in range(height):
        for x in range(width):
            pixels += bytes(round(c * 255) for c in colorsys.hsv_to_rgb(x / width, 1.0, 1 - y / height))
    return pixels


def decode(data):
    """The pixels' checksum of a PNG that we made: what is in it, not how it was compressed."""
    at, idat = 8, b""
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IDAT":
            idat += data[at + 8:at + 8 + length]
        at += 12 + length
    return zlib.adler32(zlib.decompress(idat))


def lambda_handler(event, context):
    query = event.get("queryStringParameters") or {}
    width, height = int(query.get("w", 16)), int(query.get("h", 8))
    if width * height > 4096:
        return {"statusCode": 413, "body": f"{width}x{height} is too large"}
    if event.get("isBase64Encoded"):
        data = base64.b64decode(event["body"])
        view = memoryview(data)
        return {"statusCode": 200, "body": f"{len(data)} bytes, begins with {view[:4].hex()}, adler {zlib.adler32(view):08x}"}
    image = png(width, height, rainbow(width, height))
    kind = "image/png"
    if query.get("zip"):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(zipfile.ZipInfo("rainbow.png", (2024, 2, 29, 12, 0, 0)), image)
            archive.writestr(zipfile.ZipInfo("readme.txt", (2024, 2, 29, 12, 0, 0)), "pixels\n" * 3)
        with zipfile.ZipFile(buffer) as archive:
            names = archive.namelist()
            assert archive.testzip() is None
        image, kind = buffer.getvalue(), "application/zip"
        return {"statusCode": 200, "headers": {"content-type": kind}, "body": ",".join(names)}
    return {"statusCode": 200, "headers": {"content-type": kind, "x-pixels": str(decode(image))}, "isBase64Encoded": True, "body": base64.b64encode(image).decode()}
