"""Signatures over texts that go to clients and come back: cursors, form tokens."""

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from supplyr.settings import Settings, SettingsError

_KEY_FILE = "secret-key"
_MIN_KEY_CHARACTERS = 32


class Signer:
    """Signs with one key, for one purpose at a time. Threads: may be used from any."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def mac(self, purpose: str, text: str) -> str:
        """Return the signature of `text` for `purpose`; one is worth nothing for another."""
        told = f"{purpose}\0{text}".encode()
        return _encoded(hmac.digest(self._key, told, hashlib.sha256))

    def holds(self, purpose: str, text: str, mac: str) -> bool:
        """Whether a signature is right; takes the same time either way."""
        # A client sends what it likes, lone surrogates too; no signature of ours has any.
        return hmac.compare_digest(self.mac(purpose, text).encode(), mac.encode("utf-8", "replace"))

    def sealed(self, purpose: str, text: str) -> str:
        """Return `text` and its signature as one token for a URL."""
        return f"{_encoded(text.encode())}.{self.mac(purpose, text)}"

    def unsealed(self, purpose: str, token: str) -> str | None:
        """Return the text of a token, or None when it is not one of ours."""
        body, _, mac = token.partition(".")
        try:
            text = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)).decode()
        except ValueError:
            return None
        return text if self.holds(purpose, text, mac) else None


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def secret_key(settings: Settings) -> str:
    """Return the key of the settings, or the one kept in the data folder, made if need be."""
    if settings.secret_key:
        if len(settings.secret_key) < _MIN_KEY_CHARACTERS:
            raise SettingsError(
                f"SUPPLYR_SECRET_KEY needs at least {_MIN_KEY_CHARACTERS} characters; "
                "leave it out to have one made"
            )
        return settings.secret_key
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    path = settings.data_dir / _KEY_FILE
    if not path.exists():
        _write_new(path, secrets.token_urlsafe(48))
    return path.read_text(encoding="ascii").strip()


def _write_new(path: Path, text: str) -> None:
    """Write a file for its owner alone, whole or not at all; the first of several wins."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()
