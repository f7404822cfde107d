"""Who acts, and the token that forms of a session carry."""

from typing import Literal, NamedTuple

from supplyr.auth.signing import Signer


class Identity(NamedTuple):
    """Somebody who is logged in, or a program with a key of theirs."""

    user_id: int
    email: str
    display_name: str
    role: Literal["writer", "admin"]
    via: Literal["session", "key", "command"]
    key_id: int | None = None

    @property
    def actor(self) -> str:
        """What the audit trail calls them."""
        return f"user:{self.user_id}" if self.key_id is None else f"key:{self.key_id}"


def csrf_token_of(signer: Signer, bound_to: str) -> str:
    """Return the form token that belongs to a cookie's value."""
    return signer.mac("csrf", bound_to)
