"""Programs of the bench: how they are built, started and ended. Only the standard library."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent


# The server's and the client's; on a machine with a single core they are the same.
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = str(CORES[0]), str(CORES[-1])


class Missing(Exception):
    """A stack that cannot be built here."""


class Failed(Exception):
    """A run that did not come to its end."""


def log(line):
    print(line, file=sys.stderr, flush=True)


class Stack:
    def __init__(self, package, limit=False, flags=()):
        self.package = package
        self.limit = limit
        self.flags = list(flags)
        self.program = None

    def build(self):
        """Its program; built once per run of the bench."""
        if self.program is None:
            self.program = Program(self, self.compile())
        return self.program

    def compile(self):
        if self.package == "bench-litep2p" and not shutil.which(os.environ.get("PROTOC", "protoc")):
            raise Missing("its build needs protoc (protobuf-compiler)")
        return cargo(self.package)


class Go(Stack):
    def compile(self):
        if not shutil.which("go"):
            raise Missing("Go is not installed")
        binary = target() / "measured" / "bench-go"
        words = ["go", "build", "-o", str(binary), "."]
        done = subprocess.run(words, cwd=HERE / "go", capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Missing(done.stderr.strip()[-400:])
        return binary


def target():
    return Path(os.environ.get("CARGO_TARGET_DIR", HERE / "target"))


BUILT = {}


def cargo(package):
    """Each in a call of its own, so that no stack is compiled with another's features."""
    if package not in BUILT:
        words = ["cargo", "build", "--quiet", "--profile", "measured", "-p", package]
        done = subprocess.run(words, cwd=HERE, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Missing("it does not build: " + done.stderr.strip()[-400:])
        BUILT[package] = target() / "measured" / package
    return BUILT[package]


def limit(name):
    return Stack("bench-limits", True, ["--stack", name])


STACKS = {
    "peerage": Stack("bench-peerage"),
    "rust-libp2p": Stack("bench-rust-libp2p"),
    "litep2p": Stack("bench-litep2p"),
    "go-libp2p": Go("go"),
    **{name: limit(name) for name in ("tcp", "tcp-chacha20", "tcp-aes", "quinn", "quinn-ours", "aead")},
}


class Program:
    def __init__(self, stack, binary):
        self.stack = stack
        self.binary = str(binary)

    def words(self, role, rest):
        return [self.binary, role, *self.stack.flags, *rest]

    @contextlib.contextmanager
    def server(self, words):
        with start(self.words("server", [*words, "--core", SERVER_CORE])) as (process, line):
            yield process, line["address"]

    def last_line(self, role, words, within):
        """Runs to its end; the JSON it printed."""
        with tempfile.TemporaryFile(mode="w+") as errors:
            process = subprocess.Popen(self.words(role, words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=errors, text=True)
            try:
                out, _ = process.communicate(timeout=within)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                raise Failed(f"not done within {within:.0f} s: {tail(errors)}") from None
            lines = [line for line in out.splitlines() if line.startswith("{")]
            if process.returncode != 0 or not lines:
                raise Failed(f"exit {process.returncode}: {tail(errors)}")
            line = json.loads(lines[-1])
            line.setdefault("extra", {})
            return line


def tail(errors):
    errors.seek(0)
    return errors.read().strip()[-300:].replace("\n", " ")


@contextlib.contextmanager
def start(words, within=20):
    """A process that says one JSON line and runs until it is ended: the process, and the line."""
    with tempfile.TemporaryFile(mode="w+") as errors:
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            timer = threading.Timer(within, process.kill)
            timer.start()
            line = process.stdout.readline()
            timer.cancel()
            if not line.startswith("{"):
                process.wait(1 if process.poll() is None else None)
                raise Failed(f"the server did not start: {tail(errors)}")
            yield process, json.loads(line)
            if process.poll() is not None:
                raise Failed(f"the server ended, exit {process.returncode}: {tail(errors)}")
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()


@contextlib.contextmanager
def relay(transport, address, delay_ms):
    """The same address behind a relay that carries everything so much later, each way."""
    if address.startswith("/"):
        port = re.search(r"/(?:tcp|udp)/(\d+)", address).group(1)
    else:
        port = address.rsplit(":", 1)[1]
    words = [str(cargo("bench-limits")), "relay", "--stack", "relay", "--transport", transport,
             "--to", f"127.0.0.1:{port}", "--delay-ms", str(delay_ms)]
    with start(words) as (_, line):
        new = str(line["port"])
        if address.startswith("/"):
            yield re.sub(r"(/(?:tcp|udp)/)\d+", lambda found: found.group(1) + new, address, count=1)
        else:
            yield f"{address.rsplit(':', 1)[0]}:{new}"
