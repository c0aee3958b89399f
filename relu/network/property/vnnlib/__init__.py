"""Reads properties in VNN-LIB 1.0 and 2.0; no text in them is ever executed."""

import re
import zlib

from relu.errors import InputError
from relu.network.property.vnnlib import version_1, version_2
from relu.network.property.vnnlib.records import Property

GZIP = b"\x1f\x8b"
MOST_BYTES = 2**28  # of a property's text; the largest of VNN-COMP have some 10^7
VERSION_2 = re.compile(r"(\s|;[^\n]*(\n|$))*\(\s*vnnlib-version\b")


def read_property(content: bytes) -> Property:
    """The property in a file's content, which may be gzipped.

    What says `(vnnlib-version ...)` first is read by the library `vnnlib`, anything else as 1.0.
    Raises InputError, one line.
    """
    text = _text(unzipped(content))
    return version_2.read(text) if VERSION_2.match(text) else version_1.read(text)


def unzipped(content: bytes) -> bytes:
    """The content itself, or what is compressed in it. Raises InputError."""
    if not content.startswith(GZIP):
        return content
    plain = b""
    while content:  # a file may have several members, one after the other
        stream = zlib.decompressobj(wbits=31)
        try:
            plain += stream.decompress(content, MOST_BYTES + 1 - len(plain))
        except zlib.error as error:
            raise InputError(f"expected a gzipped file, but: {error}") from error
        if len(plain) > MOST_BYTES:
            raise InputError(f"expected a gzipped file, but it holds more than {MOST_BYTES} bytes")
        if not stream.eof:
            raise InputError("expected a gzipped file, but it is cut off")
        content = stream.unused_data
    return plain


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError("expected a property in VNN-LIB, as text, got other bytes") from None
