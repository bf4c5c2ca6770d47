"""The bearer token of a server, from a file or the environment: on a command line every user of the machine could read it."""

import os
from pathlib import Path

from cnnkit.errors import CnnkitError

VARIABLE = "CNNKIT_TOKEN"
MOST_CHARACTERS = 1000


def read_token(file: Path | None) -> str:
    """The token; empty where neither a file nor the variable is set.

    Args:
        file: The file that holds it; None for the variable `CNNKIT_TOKEN`.

    Raises:
        CnnkitError: The file cannot be read; or the token is empty, too long, or holds characters that a header cannot.
    """
    if file is None and VARIABLE not in os.environ:
        return ""
    where = VARIABLE if file is None else f"--token-file {file}"
    if file is None:
        text = os.environ[VARIABLE]
    else:
        try:
            with file.open(encoding="utf-8") as stream:
                text = stream.read(MOST_CHARACTERS + 3)
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise CnnkitError(f"{where}: cannot be read ({reason})") from error
    token = text.strip()
    if not token or len(token) > MOST_CHARACTERS or not all("!" <= character <= "~" for character in token):
        raise CnnkitError(
            f"{where}: wants a token of 1 to {MOST_CHARACTERS:,} letters, digits and signs without spaces",
            'Make one: python -c "import secrets; print(secrets.token_urlsafe())"',
        )
    return token
