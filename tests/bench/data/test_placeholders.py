import pytest

from bench.data.sources import placeholder


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "is a Git LFS pointer"),
        (b"\n <!DOCTYPE html><title>404", "is a web page"),
        (b"<HTML>", "is a web page"),
        (b'<?xml version="1.0"?><Error>', "is a web page"),
    ],
)
def test_placeholders_are_known_by_their_beginning(head: bytes, what: str) -> None:
    assert str(placeholder(head)).startswith(what)


@pytest.mark.parametrize("head", [b"PK\3\4", b"\0", b"MATLAB 5.0", b"version 3", b" "])
def test_other_files_are_no_placeholders(head: bytes) -> None:
    assert placeholder(head) is None
