"""`user`: accounts from the command line, the first administrator among them."""

import argparse
import asyncio
import getpass
import sys
from typing import Any

from supplyr.accounts import hash_password
from supplyr.auth.passwords import PasswordError, check_new
from supplyr.auth.sessions import end_sessions_of
from supplyr.db.database import ConflictError
from supplyr.db.opening import opened
from supplyr.settings import Settings
from supplyr.store import audit, login_failures, users


def add_parser(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "user",
        help="add an account, or set its password",
        description="Add an account, or set the password of one. The password is asked for, or "
        "read from standard input with --password-stdin.",
    )
    parser.add_argument("email")
    parser.add_argument("--name", default="", help="how pages call them")
    parser.add_argument("--role", choices=("writer", "admin"), default="writer")
    parser.add_argument("--reset", action="store_true", help="set the password of an account")
    parser.add_argument("--password-stdin", action="store_true")
    parser.set_defaults(run=run)


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Add the account or set its password."""
    if options.password_stdin:
        password = sys.stdin.readline().rstrip("\n")
    else:
        password = getpass.getpass("password: ")
    try:
        if "@" not in options.email:
            raise PasswordError(f"{options.email!r} is not an e-mail address.")
        check_new(password, options.email)
    except PasswordError as error:
        print(f"supplyr: {error}", file=sys.stderr)
        return 2
    hashed = hash_password(password, settings.login_memory_kib)
    done = asyncio.run(
        _reset(settings, options, hashed) if options.reset else _add(settings, options, hashed)
    )
    print(done or "supplyr: there is no such account", file=sys.stdout if done else sys.stderr)
    return 0 if done else 1


async def _add(settings: Settings, options: argparse.Namespace, hashed: str) -> str:
    async with opened(settings) as database:
        try:
            async with database.transaction() as transaction:
                name = options.name or options.email.partition("@")[0]
                user_id = await users.add(transaction, options.email, name, hashed, options.role)
                detail = {"role": options.role}
                await audit.append(transaction, "command", "user.create", f"user:{user_id}", detail)
        except ConflictError:
            return ""
    return f"{options.email} may log in as {options.role}"


async def _reset(settings: Settings, options: argparse.Namespace, hashed: str) -> str:
    async with opened(settings) as database, database.transaction() as transaction:
        user = await users.by_email(transaction, options.email)
        if user is None:
            return ""
        await users.set_password(transaction, user["id"], hashed)
        await end_sessions_of(transaction, user["id"])
        await login_failures.forget(transaction, f"account:{users.email_key(options.email)}")
        await audit.append(transaction, "command", "password.reset", f"user:{user['id']}")
    return f"{options.email} has a new password; all sessions have ended"
