"""What the specification takes for the name of a company, or the id of a user."""

import re

_NAME = re.compile("[a-z0-9]{1,128}")


def is_name(text: str) -> bool:
    """Return whether a text is 1 to 128 lower-case letters and digits."""
    return _NAME.fullmatch(text) is not None
