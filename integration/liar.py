"""Damaged DNS messages, and a server (liar.py ADDRESS SEED) that sends them as answers."""

from __future__ import annotations

import random
import socket
import sys
from collections.abc import Sequence

HEAD = b"\x12\x34\1\0\0\1\0\0\0\0\0\0"
IN_A = b"\0\1\0\1"
OPT = b"\0\0\x29\4\xd0\0\0\x80\0\0\x0c\0\x0a\0\x08\1\2\3\4\5\6\7\x08"  # DO, and a cookie
LONG = b"".join(b"\x3f" + b"a" * 63 for _ in range(3)) + b"\x3d" + b"b" * 61 + b"\0"

# Of each kind that somebody may send, well or ill meant.
SEEDS = (
    HEAD + b"\3web\0" + IN_A,
    HEAD + b"\3web\4net1\0\0\x1c\0\1",
    HEAD + b"\4many\0\0\xff\0\xff",
    HEAD + b"\0012\0010\0011\00210\7in-addr\4arpa\0\0\x0c\0\1",
    HEAD + b"\7unknown\7example\0" + IN_A,
    HEAD[:11] + b"\1" + b"\3wEb\0" + IN_A + OPT,
    HEAD[:11] + b"\1" + b"\7unknown\7example\0" + IN_A + OPT,
    HEAD + LONG + IN_A,
    HEAD + b"\xc0\x0c" + IN_A,  # a pointer to itself
    HEAD + b"\1a\xc0\x0e\xc0\x0c" + IN_A,  # two that point at each other
    HEAD[:5] + b"\2" + HEAD[6:] + b"\3web\0" + IN_A + b"\xc0\x0c" + IN_A,
    HEAD[:2] + b"\x85\x80\0\1\0\1" + HEAD[8:] + b"\3web\0" + IN_A + b"\xc0\x0c" + IN_A + b"\0" * 10,
    HEAD[:2] + b"\x28\0" + HEAD[4:] + b"\3web\0\0\6\0\1",  # UPDATE
)


def damaged(dice: random.Random, message: bytes, others: Sequence[bytes] = SEEDS) -> bytes:
    """Return a message with something wrong: nearly always."""
    data = bytearray(message)
    for _ in range(dice.choice((1, 1, 1, 2, 5))):
        place = dice.randrange(len(data) or 1)
        match dice.randrange(8):
            case 0 | 1:
                data[place : place + 1] = bytes([dice.randrange(256)])
            case 2:
                del data[place:]
            case 3:
                data += dice.randbytes(dice.choice((1, 8, 300)))
            case 4:
                data[place:place] = (0xC000 | dice.randrange(1 << 14)).to_bytes(2, "big")
            case 5:  # a count of the header
                at = dice.choice((4, 6, 8, 10))
                data[at : at + 2] = dice.choice((0, 2, 0xFFFF)).to_bytes(2, "big")
            case 6:
                other = dice.choice(others)
                data[place:] = other[dice.randrange(len(other)) :]
            case 7:
                del data[place : place + dice.randrange(8)]
    return bytes(data)


def serve(address: str, seed: int) -> None:
    """Answer with up to two damaged messages, and nearly always with a good one after them."""
    dice = random.Random(seed)
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 53))
    print("up", flush=True)
    while True:
        query, sender = server.recvfrom(65535)
        reply = query[:2] + b"\x81\x80" + query[4:]
        for _ in range(dice.randrange(3)):
            server.sendto(damaged(dice, reply), sender)
        if dice.random() < 0.9:
            server.sendto(reply, sender)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
