"""Takes the place of one of pytest-xdist's processes: has it forked, and lasts as long as it does.

Run as a script: ``python fork_client.py ADDRESS OPTION…``, by pytest-xdist, with the options with which it would have
started Python itself. What the process would have got from it, three streams and the environment, is passed on to the
fork server at the address. Where none answers, this process becomes Python after all.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys


def main() -> None:
    """Have a process forked, and wait for its end."""
    address, *options = sys.argv[1:]
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environment = os.memfd_create("environment")  # of any size
    with open(environment, "w", encoding="utf-8", closefd=False) as file:
        json.dump(dict(os.environ), file)
    try:
        channel.connect(address)
        socket.send_fds(channel, [b"fork"], [0, 1, 2, environment])
    except OSError:
        os.execv(sys.executable, [sys.executable, *options])  # noqa: S606 - what would have been started
    # Ctrl-C is for the forked process, which is in the same group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):  # its own end is the end of its streams
        os.dup2(nothing, stream)
    channel.recv(1)


main()
