"""The library archive: every module's code, marshalled, in one msgpack map.

    python3.11 -S -E make_library.py LIB ZONES OURS OUTPUT

Runs in a Python of the version that will read it, with PYTHONHASHSEED=0: the order of a set's constants is in the code.
LIB is CPython's Lib/, ZONES a directory with the package tzdata, OURS one of ours; ours win. An entry is called as the
module is imported: "json/decoder"; what is not a module has its file's name. ".modules" lists the modules.
"""

import marshal
import os
import sys

HOME = "/var/lang/lib/python3.11"
# What no handler imports: the interactive, the graphical, what builds, tests and reads Python itself; protocols that an
# isolate does not speak, formats that nobody writes any more, and what needs modules that are not there. What packages
# import at their top stays, used or not: s3transfer has multiprocessing.managers, others webbrowser, ftplib or pydoc.
LEFT_OUT = {
    *("test", "tests", "idlelib", "tkinter", "turtledemo", "turtle", "ensurepip", "lib2to3", "distutils", "venv"),
    *("pydoc_data", "curses", "msilib", "ctypes", "idle_test", "__pycache__", "antigravity", "this"),
    *("_bootsubprocess", "_osx_support", "_aix_support", "asyncio/windows_events", "asyncio/windows_utils"),
    *("multiprocessing/popen_spawn_win32", "encodings/mbcs", "encodings/oem", "msvcrt", "nturl2path"),
    *("modulefinder", "tabnanny", "pyclbr", "rlcompleter", "cgitb", "_pyio"),
    *("compileall", "zipapp", "__phello__", "__hello__"),
    *("nntplib", "smtpd", "xmlrpc/server", "asyncore", "asynchat"),
    *("aifc", "sunau", "sndhdr", "xdrlib", "nis", "pty", "ossaudiodev", "crypt", "mailcap"),
    *("multiprocessing/sharedctypes",),
}


def sources(top):
    """(module's name, path) of every Python file below, sorted."""
    found = []
    for directory, names, files in os.walk(top):
        below = os.path.relpath(directory, top).replace(os.sep, "/")
        prefix = "" if below == "." else below + "/"
        names[:] = sorted(name for name in names if name not in LEFT_OUT and prefix + name not in LEFT_OUT)
        for file in sorted(files):
            name, suffix = os.path.splitext(file)
            if suffix == ".py" and name not in LEFT_OUT and prefix + name not in LEFT_OUT:
                module = prefix[:-1] if name == "__init__" else prefix + name
                found.append((module, os.path.join(directory, file), prefix + file))
    return [entry for entry in found if entry[0]]


# What warnings and tracebacks leave out: they look for this name.
IMPORTER, IMPORTERS_NAME = "_isolet_importer.py", "<frozen importlib._bootstrap_external>"


def data(top):
    """(name, content) of the other files of tzdata."""
    for directory, _, files in os.walk(os.path.join(top, "tzdata")):
        for file in files:
            path = os.path.join(directory, file)
            name = os.path.relpath(path, top).replace(os.sep, "/")
            if not file.endswith((".py", ".pyc")):
                with open(path, "rb") as content:
                    yield name, content.read()


def code(path, shown):
    name = IMPORTERS_NAME if shown == IMPORTER else f"{HOME}/{shown}"
    with open(path, "rb") as file:
        compiled = compile(file.read(), name, "exec", dont_inherit=True, optimize=0)
    # Twice: what is shared between code objects of this process, and what happens to be interned, is then the same.
    return marshal.dumps(marshal.loads(marshal.dumps(compiled)))


def text(name):
    raw = name.encode()
    return (bytes([0xA0 | len(raw)]) if len(raw) < 32 else bytes([0xD9, len(raw)])) + raw


def packed(files):
    parts = [b"\xdf", len(files).to_bytes(4, "big")]
    for name, data in sorted(files.items()):
        parts += [text(name), b"\xc6", len(data).to_bytes(4, "big"), data]
    return b"".join(parts)


def settle_strings():
    """Strings of one character are one object each in all of the process, and marshal notes whether it was interned: by
    whichever module came before. So all of them are, first."""
    for number in range(256):
        sys.intern(chr(number))


def main(lib, zones, ours, output):
    settle_strings()
    files = {}
    for top in (lib, zones, ours):
        for module, path, shown in sources(top):
            files[module] = code(path, shown)
    files[".modules"] = "\n".join(sorted(files)).encode()
    files.update(data(zones))
    with open(output, "wb") as file:
        file.write(packed(files))


if __name__ == "__main__":
    main(*sys.argv[1:])
