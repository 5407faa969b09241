"""What the checks against every foreign stack share: its program speaks the same words and the same JSON lines.

    PROGRAM floodsub TOPIC [--listen ADDR] [--dial ADDR] ..   |   PROGRAM pipe listen|connect ADDR
"""

import atexit
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "lab"))
from labkit import Chat, Process, fail  # noqa: E402

TCP, QUIC = "/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"
TOPIC = "kitchen"


def loopback(address=TCP):
    return ("--no-mdns", "--listen", address, "--stay")


def address_of(chat):
    address = chat.wait("listening")["addr"]
    return address if "/p2p/" in address else f"{address}/p2p/{chat.peer()}"


def pair(programs, name, kind, we_dial, *flags, over=TCP):
    """A chat of ours and a foreign peer, connected on loopback; who dials is the caller's choice."""
    ours_program, their_program = programs
    if we_dial:
        theirs = Process([their_program, kind, TOPIC, "--listen", over, *flags], name)
        ours = Chat(ours_program, TOPIC, "ana", *loopback(over), "--peer", theirs.wait("listening")["addr"])
    else:
        ours = Chat(ours_program, TOPIC, "ana", *loopback(over))
        theirs = Process([their_program, kind, TOPIC, "--dial", address_of(ours), *flags], name)
    ours_id, their_id = ours.peer(), theirs.wait("ready")["peer"]
    theirs.wait("connected", peer=ours_id, dialer=not we_dial)
    ours.wait("joined", peer=their_id)
    return ours, theirs, ours_id, their_id


def pings_and_knows(theirs, ours_id, over):
    """Three answers, and identify with what the chat speaks."""
    info = theirs.wait("identified", peer=ours_id)
    if not info["agent"].startswith("peerage/") or "(ana)" not in info["agent"]:
        fail(f"identify says {info}")
    for protocol in ("/ipfs/ping/1.0.0", "/ipfs/id/1.0.0", "/floodsub/1.0.0"):
        if protocol not in info["protocols"]:
            fail(f"{protocol} is missing in {info}")
    if not any(over.split("/")[3] in a for a in info["addrs"]):
        fail(f"no address in {info}")
    pings, until = [], time.monotonic() + 10
    while len(pings) < 3:
        if time.monotonic() > until:
            fail(f"{len(pings)} pings within 10 s\n{theirs.story()}")
        time.sleep(0.05)
        pings = [e for e in theirs.drain() if e.get("event") == "ping"]
    bad = [e for e in pings if not e["ok"]]
    if bad:
        fail(f"pings failed: {bad}")


def listening(process):
    """The address in the first JSON line on stderr that has one."""
    for line in process.stderr:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if event.get("event") == "listening":
            return event["addr"]
    fail("it does not listen")


def feed(process, data):
    process.stdin.write(data)
    process.stdin.close()


def pipe(programs, over=TCP):
    """`peerage pipe` and theirs, each opening and each accepting; both directions at once, compared byte by byte."""
    ours_program, their_program = programs
    quiet = ("--ephemeral", "--json")
    for we_listen in (True, False):
        ours = [ours_program, "pipe", "listen", "--listen", over, *quiet] if we_listen else [ours_program, "pipe", "connect"]
        theirs = [their_program, "pipe", "connect"] if we_listen else [their_program, "pipe", "listen", over]
        files = [tempfile.TemporaryFile() for _ in range(2)]
        inputs = [random.Random(n).randbytes(5_000_000 + n) for n in range(2)]
        options = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
        first = subprocess.Popen(ours if we_listen else theirs, stdout=files[0], **options)
        atexit.register(first.kill)
        address = listening(first)
        second = subprocess.Popen(
            (theirs + [address]) if we_listen else (ours + [address, *quiet]), stdout=files[1], **options)
        atexit.register(second.kill)
        for process in (first, second):
            threading.Thread(target=process.stderr.read, daemon=True).start()
        feeding = [threading.Thread(target=feed, args=pair) for pair in zip((first, second), inputs)]
        [thread.start() for thread in feeding]
        [thread.join(30) for thread in feeding]
        codes = [process.wait(30) for process in (first, second)]
        [file.seek(0) for file in files]
        if codes != [0, 0] or files[0].read() != inputs[1] or files[1].read() != inputs[0]:
            fail(f"pipe, we listen: {we_listen}: exit codes {codes}")


def run_checks(name, checks, within=900):
    """Those whose name contains the word on the command line, all without one; in so many seconds."""
    signal.signal(signal.SIGALRM, lambda *_: fail(f"{name} took longer than {within} s"))
    signal.alarm(within)
    pattern = sys.argv[1] if len(sys.argv) > 1 else ""
    for what, check in checks:
        if pattern in what:
            check()
            print(f"ok: {what}", flush=True)
    print(f"{name}: passed")


def perf_example():
    subprocess.run(["cargo", "build", "--quiet", "-p", "peerage", "--example", "perf"], cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return str(target / "debug/examples/perf")
