"""Measures the Cloud Tasks fake next to a no-op gRPC server, with the official client, on this machine.

    python benchmarks/cloud_tasks.py                        the fake, which it starts, and the no-op server
    python benchmarks/cloud_tasks.py --address HOST:PORT    another emulator, with the same load
                                     [--pid PID]            (its process, for the memory rows)

The no-op server answers every call with a fixed Task and does nothing else: its column is the ceiling of the
load itself, and in the row of latencies the load sends the request to the target by its own hand. Every figure
is one run; repeat it and compare ratios, not figures from different machines. Longer than other modules, so that load
and ceiling stand in one file, which can be copied and run against another emulator.

Where the time of a CreateTask goes: the fake's own part is 12 µs in a loop, and with one caller a quarter of the time
in which the server's threads run Python (py-spy); the rest is gRPC's, most of it the hand-over between the thread that
polls and the thread of the call. What was tried: threads of our own instead of a ThreadPoolExecutor, journal entries
without closures and with shared metadata, and a collector that runs rarely took it, with 16 callers, from 240 µs of
processor time a call to 160, beside 130 to 150 for the no-op server. As the client itself needs 190 and runs in a
process of its own, it is the limit where each has a core; where they share one, the difference shows.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

PARENT = "projects/p/locations/us-central1"
PAYLOAD = b"x" * 100
FAKE = [sys.executable, "-m", "fake_services.cloud_tasks"]
TURNS = 6


@dataclass
class Subject:
    """What is measured: its address, its process, and whether it really delivers."""

    label: str
    address: str
    pid: int | None
    process: subprocess.Popen[str] | None = None
    real: bool = True

    def stop(self) -> None:
        """End the process, if it is ours."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            assert self.process.stdout is not None
            self.process.stdout.close()

    def memory_mb(self) -> float | None:
        """Resident megabytes; None when the process is not known."""
        if self.pid is None:
            return None
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return None


# --- the servers -------------------------------------------------------------------------------------------


def serve_nothing() -> None:
    """The no-op server: a thread for each call, which is the faster kind for a single caller."""
    from google.cloud import tasks_v2

    # Complete, as the service's answer is: reading it is part of what a client can do in a second.
    now: Any = {"seconds": 1_700_000_000, "nanos": 123_456_000}
    task = tasks_v2.Task(
        name=f"{PARENT}/queues/q/tasks/00000000000000000000",
        http_request={
            "url": "http://127.0.0.1:9/x",
            "http_method": "POST",
            "headers": {"User-Agent": "Google-Cloud-Tasks"},
        },
        schedule_time=now,
        create_time={"seconds": 1_700_000_000},
        dispatch_deadline={"seconds": 600},
        view="BASIC",
    )
    reply = tasks_v2.Task.serialize(task)

    class Handler(grpc.GenericRpcHandler):
        def __init__(self) -> None:
            self.handler = grpc.unary_unary_rpc_method_handler(lambda _request, _context: reply)

        def service(self, _details: Any) -> Any:
            return self.handler

    server = grpc.server(ThreadPoolExecutor(32), handlers=[Handler()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(json.dumps({"grpc": f"127.0.0.1:{port}"}), flush=True)
    server.wait_for_termination()


class TargetProtocol(asyncio.Protocol):
    """Answers every request 200 at once and notes its path and the time."""

    def __init__(self, arrivals: list[tuple[str, float]]) -> None:
        self.arrivals = arrivals
        self.rest = b""

    def connection_made(self, transport: Any) -> None:
        """See asyncio.Protocol."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self.rest += data
        while True:
            head, found, after = self.rest.partition(b"\r\n\r\n")
            length = content_length(head)
            if not found or len(after) < length:
                return
            self.arrivals.append((head.split(b" ", 2)[1].decode(), time.monotonic()))
            self.rest = after[length:]
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def content_length(head: bytes) -> int:
    """The Content-Length among a request's headers; 0 without one."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def serve_targets(port_to: Connection, times_to: Connection) -> None:
    """An HTTP target in a process of its own, which tells over a pipe what arrived."""
    arrivals: list[tuple[str, float]] = []

    def asked() -> None:
        if times_to.recv() == "count":
            times_to.send(len(arrivals))
        else:
            times_to.send(list(arrivals))
            arrivals.clear()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: TargetProtocol(arrivals), "127.0.0.1", 0, backlog=2048)
        port_to.send(server.sockets[0].getsockname()[1])
        loop.add_reader(times_to.fileno(), asked)
        await asyncio.Event().wait()

    asyncio.run(main())


class Targets:
    """The target process and what arrived there."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        port_here, port_there = context.Pipe()
        self._times, times_there = context.Pipe()
        self._process = context.Process(target=serve_targets, args=(port_there, times_there), daemon=True)
        self._process.start()
        self.url = f"http://127.0.0.1:{port_here.recv()}"

    def _ask(self, what: str) -> Any:
        self._times.send(what)
        return self._times.recv()

    def take(self, count: int, limit_s: float) -> list[tuple[str, float]]:
        """Wait until `count` requests have arrived (or the limit is over) and return them all."""
        deadline = time.monotonic() + limit_s
        while self._ask("count") < count and time.monotonic() < deadline:
            time.sleep(0.005)
        return self._ask("take")  # type: ignore[no-any-return]

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.join()


# --- the measurements --------------------------------------------------------------------------------------


def client_for(address: str) -> Any:
    """The official client, over plain gRPC."""
    from google.cloud import tasks_v2
    from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport

    return tasks_v2.CloudTasksClient(
        transport=CloudTasksGrpcTransport(channel=grpc.insecure_channel(address))
    )


def start(label: str, command: list[str], *, real: bool) -> tuple[Subject, float]:
    """Start a server; also the milliseconds until it answered its first call."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = json.loads(process.stdout.readline())["grpc"]
    with grpc.insecure_channel(address) as channel:
        call: Any = channel.unary_unary("/google.cloud.tasks.v2.CloudTasks/ListQueues")
        call(b"\x0a" + bytes([len(PARENT)]) + PARENT.encode(), wait_for_ready=True)
        took_ms = (time.perf_counter() - began) * 1000
    return Subject(label, address, process.pid, process, real), took_ms


def creates_per_s(client: Any, queue: str, callers: int, total: int) -> float:
    """CreateTask calls a second by so many threads together."""
    task: Any = {"http_request": {"url": "http://127.0.0.1:9/x", "body": PAYLOAD}}

    def work() -> None:
        for _ in range(total // callers):
            client.create_task(parent=queue, task=task)

    threads = [threading.Thread(target=work) for _ in range(callers)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return total // callers * callers / (time.perf_counter() - began)


def latencies_ms(
    client: Any, queue: str, targets: Targets, count: int, posted_by: http.client.HTTPConnection | None = None
) -> list[float]:
    """From the call of create_task to the arrival at the target, one task at a time.

    Args:
        client: Creates the tasks.
        queue: In this queue.
        targets: Tell what arrived.
        count: How many.
        posted_by: Makes the request to the target itself, where the server delivers nothing.
    """
    sent: dict[str, float] = {}
    found: list[float] = []
    for number in range(count):
        path = f"/latency/{number}"
        sent[path] = time.monotonic()
        client.create_task(parent=queue, task={"http_request": {"url": targets.url + path, "body": PAYLOAD}})
        if posted_by is not None:
            posted_by.request("POST", path, PAYLOAD)
            posted_by.getresponse().read()
        found += [(at - sent[arrived]) * 1000 for arrived, at in targets.take(1, 5.0) if arrived in sent]
    return found


def drain_per_s(client: Any, queue: str, targets: Targets, count: int) -> float:
    """Tasks a second between the resume of a paused queue and the last arrival."""
    client.pause_queue(name=queue)
    task: Any = {"http_request": {"url": targets.url + "/drain", "body": PAYLOAD}}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: client.create_task(parent=queue, task=task), range(count)))
    targets.take(0, 0)
    began = time.monotonic()
    client.resume_queue(name=queue)
    arrivals = targets.take(count, 120.0)
    if len(arrivals) < count:
        print(f"  only {len(arrivals)} of {count} arrived", file=sys.stderr)
    return len(arrivals) / (max(at for _, at in arrivals) - began)


def held_rate(client: Any, queue: str, targets: Targets, seconds: float) -> float:
    """Dispatches a second that a full queue of 500/s makes once its first burst is over."""
    client.pause_queue(name=queue)
    count = int(500 * (seconds + 1)) + 100
    task: Any = {"http_request": {"url": targets.url + "/rate"}}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: client.create_task(parent=queue, task=task), range(count)))
    targets.take(0, 0)
    client.resume_queue(name=queue)
    times = sorted(at for _, at in targets.take(count, seconds * 10))
    start_s = times[0] + 0.5
    within = [at for at in times if start_s <= at < start_s + seconds]
    return len(within) / seconds


def fill(address: str, queue: str, count: int) -> float:
    """Create `count` tasks that wait for an hour; returns the payload's megabytes."""
    from google.cloud import tasks_v2

    later = {"seconds": int(time.time()) + 3600}
    task: Any = {"http_request": {"url": "http://127.0.0.1:9/x", "body": PAYLOAD}, "schedule_time": later}
    request = tasks_v2.CreateTaskRequest.serialize(tasks_v2.CreateTaskRequest(parent=queue, task=task))
    with grpc.insecure_channel(address) as channel:
        call: Any = channel.unary_unary("/google.cloud.tasks.v2.CloudTasks/CreateTask")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: call(request), range(count)))
    return count * len(PAYLOAD) / 1024 / 1024


def new_queue(client: Any, name: str) -> str:
    """Make a queue and return its full name."""
    full_name = f"{PARENT}/queues/{name}-{os.getpid()}"
    client.create_queue(parent=PARENT, queue={"name": full_name})
    return full_name


def measure_creates(
    columns: list[tuple[Subject, Callable[[str, str], None]]], options: argparse.Namespace
) -> None:
    """The rows that compare with the no-op server: in turns, so that a busy moment hits both alike."""
    rates: dict[tuple[int, int], list[float]] = {}
    clients = []
    for subject, show in columns:
        idle_mb = subject.memory_mb()
        show("memory at rest, MB", "-" if idle_mb is None else f"{idle_mb:.0f}")
        client = client_for(subject.address)
        queue = new_queue(client, "create") if subject.real else f"{PARENT}/queues/q"
        if subject.real:
            client.pause_queue(name=queue)
        creates_per_s(client, queue, 1, 300)  # warm up
        clients.append((client, queue))
    for _ in range(TURNS):
        for number, (client, queue) in enumerate(clients):
            for callers, total in ((1, options.creates // TURNS), (16, options.creates * 2 // TURNS)):
                rates.setdefault((number, callers), []).append(creates_per_s(client, queue, callers, total))
    for number, (subject, show) in enumerate(columns):
        for callers, words in ((1, "one caller"), (16, "16 callers")):
            found = rates[number, callers]
            show(f"CreateTask/s, {words}: median, best", f"{statistics.median(found):.0f}, {max(found):.0f}")
        client, queue = clients[number]
        if subject.real:
            client.purge_queue(name=queue)


def measure_latency(
    columns: list[tuple[Subject, Callable[[str, str], None]]], targets: Targets, options: argparse.Namespace
) -> None:
    """The latency row, in turns; for the no-op server the load makes the request to the target itself."""
    found: dict[int, list[float]] = {}
    senders: list[tuple[Any, str, http.client.HTTPConnection | None]] = []
    for subject, _ in columns:
        client = client_for(subject.address)
        queue = new_queue(client, "latency") if subject.real else f"{PARENT}/queues/q"
        direct = None if subject.real else http.client.HTTPConnection(targets.url.removeprefix("http://"))
        latencies_ms(client, queue, targets, 50, direct)
        senders.append((client, queue, direct))
    for _ in range(TURNS):
        for number, (client, queue, direct) in enumerate(senders):
            part = latencies_ms(client, queue, targets, options.latencies // TURNS, direct)
            found.setdefault(number, []).extend(part)
    for number, (_, show) in enumerate(columns):
        cuts = statistics.quantiles(sorted(found[number]), n=100)
        show("create → delivered p50/p95/p99, ms", f"{cuts[49]:.2f}/{cuts[94]:.2f}/{cuts[98]:.2f}")


def measure(
    subject: Subject, targets: Targets, options: argparse.Namespace, show: Callable[[str, str], None]
) -> None:
    """The rows about the rate and waiting tasks."""
    client = client_for(subject.address)
    held = held_rate(client, new_queue(client, "rate"), targets, options.held_s)
    show(f"500/s held for {options.held_s:g} s", f"{held:.1f}")
    if options.waiting:
        before_mb = subject.memory_mb()
        payload_mb = fill(subject.address, new_queue(client, "waiting"), options.waiting)
        after_mb = subject.memory_mb()
        if before_mb is not None and after_mb is not None:
            each = (after_mb - before_mb - payload_mb) * 1024 * 1024 / options.waiting
            show(f"memory with {options.waiting} waiting, MB", f"{after_mb:.0f}")
            show("bytes a waiting task beyond its payload", f"{each:.0f}")


class Table:
    """The figures by row and column; each is also shown as soon as it is known."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, str]] = {}
        self.columns: list[str] = []

    def column(self, label: str) -> Callable[[str, str], None]:
        """A function that notes a figure in this column."""
        self.columns.append(label)

        def show(row: str, value: str) -> None:
            self.rows.setdefault(row, {})[label] = value
            print(f"{label}: {row}: {value}", file=sys.stderr, flush=True)

        return show

    def print(self) -> None:
        """The whole table."""
        width = max(map(len, self.rows))
        print(f"\n{'':{width}}  " + "  ".join(f"{column:>36}" for column in self.columns))
        for row, values in self.rows.items():
            cells = "  ".join(f"{values.get(column, '-'):>36}" for column in self.columns)
            print(f"{row:{width}}  {cells}")


def start_nothing(show: Callable[[str, str], None]) -> Subject:
    """Start the no-op server."""
    subject, took_ms = start("no-op", [sys.executable, __file__, "--serve-nothing"], real=False)
    show("start to first call, ms", f"{took_ms:.0f} (imports the client's types)")
    return subject


def start_fake(show: Callable[[str, str], None]) -> Subject:
    """Start our own fake a few times, and leave the last one running."""
    starts = []
    for _ in range(5):
        subject, took_ms = start("the fake", FAKE, real=True)
        starts.append(took_ms)
        subject.stop()
    show("start to first call, ms", f"{min(starts):.0f} (median of 5: {statistics.median(starts):.0f})")
    return start("the fake", FAKE, real=True)[0]


def measure_drain(
    subject: Subject, targets: Targets, options: argparse.Namespace, show: Callable[[str, str], None]
) -> None:
    """The drain row."""
    client = client_for(subject.address)
    drained = drain_per_s(client, new_queue(client, "drain"), targets, options.drain)
    show(f"drain of {options.drain}, tasks/s", f"{drained:.0f}")


def main() -> None:
    """Measure what the command line says, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--address", help="host:port of another emulator, already running")
    parser.add_argument("--pid", type=int, help="the other emulator's process, for the memory rows")
    parser.add_argument("--creates", type=int, default=3000, help="CreateTask calls for one caller")
    parser.add_argument("--latencies", type=int, default=1000, help="single tasks for the latency row")
    parser.add_argument("--held-s", type=float, default=5.0, help="seconds for which 500/s is held")
    parser.add_argument("--drain", type=int, default=5000, help="tasks in the paused queue")
    parser.add_argument(
        "--waiting", type=int, default=100_000, help="waiting tasks for the memory row; 0: none"
    )
    parser.add_argument("--serve-nothing", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve_nothing:
        serve_nothing()
        return
    table, targets = Table(), Targets()
    show_nothing = table.column("no-op")
    label = options.address or "the fake"
    show = table.column(label)
    nothing, subject = start_nothing(show_nothing), None
    try:
        subject = Subject(label, options.address, options.pid) if options.address else start_fake(show)
        columns = [(nothing, show_nothing), (subject, show)]
        measure_creates(columns, options)
        measure_latency(columns, targets, options)
        measure(subject, targets, options, show)
        if not options.address:
            # At most 500/s is legal, so the drain measures the fake with its token bucket switched off.
            subject.stop()
            subject, _ = start(label, [*FAKE, "--set", "enforce_rates=false"], real=True)
        measure_drain(subject, targets, options, show)
    finally:
        targets.close()
        nothing.stop()
        if subject is not None:
            subject.stop()
    table.print()


if __name__ == "__main__":
    main()
