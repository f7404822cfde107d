"""The process that one contestant has for itself: ``python -m lane_contestants.host``.

Reads commands and writes answers, one JSON object a line, on what were its standard input and output;
what libraries print goes to standard error. Nothing is imported or done here at import, since some
libraries import the main module again in their workers.
"""

import json
import os
import sys


def main():
    name, row, sizes = sys.argv[1:]
    channel = _Channel()
    try:
        from lane_contestants import base, table

        contestant = table.make(name, int(row), base.Sizes(**json.loads(sizes)))
        contestant.drive(lambda: _serve(channel, contestant))
    except Exception as error:  # whatever it is, the coordinator is told
        channel.say({"error": _told(error)})
        raise SystemExit(1) from error


async def _serve(channel, contestant):
    try:
        await contestant.open()
        await contestant.warm()
        channel.say({"ready": contestant.notes})
        while True:
            await contestant.readable(channel.commands)
            if not channel.ask_round():
                break
            channel.say({"figures": await contestant.measure()})
    finally:
        await contestant.close()
    channel.say({"closed": True})


class _Channel:
    def __init__(self):
        # What is started later must neither read commands nor write answers.
        self.commands, self._answers = os.dup(0), os.dup(1)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        os.dup2(2, 1)

    def ask_round(self):
        """Take the command that is there: one byte for a round; anything else ends, as does EOF."""
        return os.read(self.commands, 1) == b"r"

    def say(self, answer):
        data = json.dumps(answer).encode() + b"\n"
        while data:
            data = data[os.write(self._answers, data) :]


def _told(error):
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}".removesuffix(": ")[:300]


if __name__ == "__main__":
    main()
