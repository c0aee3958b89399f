"""Names people type, and the one exception for values that cannot be used."""


class InputError(ValueError):
    """A value from outside (command line, suite, data, checkpoint, plugin) that cannot be used.

    The message is one line: what was expected, what came, the valid names.
    """
