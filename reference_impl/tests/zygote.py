"""Starts servers by forking from a process that has imported what is slow: 0.2 s a start and not 2 s.

Reads one JSON command per line: {"start": {"app", "env", "cwd", "log"}} answers {"pid"}; {"status": pid}
answers {"status": null | exit status}. Ends with an empty line or its standard input, and takes its children along.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

import google.cloud.tasks_v2
import google.oauth2.id_token
import httpx
import psycopg
import sqlalchemy.dialects.postgresql
import sqlalchemy.dialects.sqlite
import starlette.applications
import uvicorn
import uvicorn.lifespan.on
import uvicorn.loops.auto
import uvicorn.protocols.http.auto

_PRELOADED = (google, httpx, psycopg, sqlalchemy, starlette)


def _child(app: str, env: dict[str, str], cwd: str, log: str) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    null = os.open(os.devnull, os.O_RDONLY)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for source, target in ((null, 0), (out, 1), (out, 2)):
        os.dup2(source, target)
    config = uvicorn.Config(app, host="127.0.0.1", port=int(env.get("PORT", "0")))
    server = uvicorn.Server(config)
    server.run()
    sys.stdout.flush()
    os._exit(0 if server.started else 3)


def main() -> None:
    """Serve commands until the input ends."""
    children: dict[int, int | None] = {}
    for line in sys.stdin:
        if not line.strip():
            break
        command: dict[str, Any] = json.loads(line)
        if "start" in command:
            pid = os.fork()
            if pid == 0:
                try:
                    _child(**command["start"])
                except SystemExit as end:
                    sys.stderr.write(f"{end.code}\n")
                    sys.stderr.flush()
                    os._exit(end.code if isinstance(end.code, int) else 1)
                finally:
                    os._exit(70)
            children[pid] = None
            answer: dict[str, Any] = {"pid": pid}
        else:
            pid = command["status"]
            if children[pid] is None:
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    children[pid] = os.waitstatus_to_exitcode(status)
            answer = {"status": children[pid]}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for child, ended in children.items():
        if ended is None:
            os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    main()
