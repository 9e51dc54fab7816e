"""What a thumbnailer needs to know before it touches any pixel: format, size, orientation."""
import base64
import struct
from collections import namedtuple
from io import BytesIO

Info = namedtuple("Info", "format width height depth extra")

MAX_SIDE = 256


class UnsupportedImage(ValueError):
    pass


def read_exactly(stream, n):
    data = stream.read(n)
    if len(data) < n:
        raise EOFError(f"wanted {n} bytes, got {len(data)}")
    return data


def png(stream):
    stream.seek(8)
    text = {}
    info = None
    while True:
        length, kind = struct.unpack(">I4s", read_exactly(stream, 8))
        body = read_exactly(stream, length)
        stream.seek(4, 1)  # crc
        if kind == b"IHDR":
            width, height, depth, color = struct.unpack(">IIBB", body[:10])
            info = Info("png", width, height, depth, {"color": {0: "gray", 2: "rgb", 3: "palette", 4: "graya", 6: "rgba"}[color]})
        elif kind == b"tEXt":
            key, _, value = body.partition(b"\0")
            text[key.decode("latin-1")] = value.decode("latin-1")
        elif kind in (b"IDAT", b"IEND"):
            break
    return info._replace(extra={**info.extra, "text": text})


def jpeg(stream):
    stream.seek(2)
    extra = {}
    while True:
        marker, = struct.unpack(">H", read_exactly(stream, 2))
        if marker >> 8 != 0xFF:
            raise UnsupportedImage("marker expected, found 0x%04x" % marker)
        length, = struct.unpack(">H", read_exactly(stream, 2))
        body = read_exactly(stream, length - 2)
        if marker == 0xFFE1 and body[:6] == b"Exif\0\0":
            extra["orientation"] = orientation(body[6:])
        if 0xFFC0 <= marker <= 0xFFCF and marker not in (0xFFC4, 0xFFC8, 0xFFCC):
            depth, height, width, components = struct.unpack(">BHHB", body[:6])
            extra["components"] = components
            extra["progressive"] = marker == 0xFFC2
            return Info("jpeg", width, height, depth, extra)


def orientation(exif):
    order = {b"II": "<", b"MM": ">"}[exif[:2]]
    offset, = struct.unpack(order + "I", exif[4:8])
    count, = struct.unpack_from(order + "H", exif, offset)
    for i in range(count):
        tag, _, _, value = struct.unpack_from(order + "HHIH", exif, offset + 2 + 12 * i)
        if tag == 0x0112:
            return value
    return 1


def gif(stream):
    stream.seek(6)
    width, height, flags = struct.unpack("<HHB", read_exactly(stream, 5))
    return Info("gif", width, height, (flags & 7) + 1, {})


SIGNATURES = ((b"\x89PNG\r\n\x1a\n", png), (b"\xff\xd8\xff", jpeg), (b"GIF87a", gif), (b"GIF89a", gif))


def inspect(data):
    for signature, reader in SIGNATURES:
        if data.startswith(signature):
            return reader(BytesIO(data))
    raise UnsupportedImage(f"unknown signature {data[:4]!r}")


def thumbnail_size(info):
    width, height = info.width, info.height
    if info.extra.get("orientation", 1) >= 5:
        width, height = height, width
    scale = min(1, MAX_SIDE / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def lambda_handler(event, context):
    results = []
    for record in event["Records"]:
        key = record["s3"]["object"]["key"]
        data = base64.b64decode(record["body"], validate=True)
        info = inspect(data)
        size = thumbnail_size(info)
        stem = key.rpartition(".")[0]
        results.append({"key": key, "bytes": len(data), **info._asdict(), "thumbnail": "thumbs/%s_%dx%d.jpg" % (stem, *size)})
    return results
