"""What a test may take for granted, whichever others ran before it."""

import torch

AT_IMPORT = torch.rand(3)
FRESH = torch.rand(3, generator=torch.Generator().manual_seed(0))


def test_what_files_draw_as_they_are_imported_is_always_the_same() -> None:
    torch.testing.assert_close(AT_IMPORT, FRESH, rtol=0, atol=0)


def test_what_a_test_draws_is_always_the_same() -> None:
    torch.testing.assert_close(torch.rand(3), FRESH, rtol=0, atol=0)
