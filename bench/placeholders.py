"""What lies where a file should be: nothing, a pointer to it, or a web page."""

HEAD = 512  # bytes of a file's beginning that tell


def placeholder(head: bytes) -> str | None:
    """What a file that begins so is in place of what its name says, and what helps; else None."""
    start = head.lstrip().lower()
    if not head:
        return "is empty: copy or download it again"
    if start.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the file itself: fetch that with git lfs pull"
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "is a web page, not the file itself: download that again"
    return None
