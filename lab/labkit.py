"""Network namespaces and processes that speak JSON lines: what the scripts in lab/ and interop/ are made of.

Everything made here is ended here: namespaces at exit, processes with them. Only the standard library is used.
"""

import atexit
import json
import os
import queue
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def fail(why):
    print(f"FAILED: {why}", flush=True)
    sys.exit(1)


def program(profile="release"):
    """The `peerage` program, built if need be."""
    given = os.environ.get("PEERAGE_BIN")
    if given:
        return given
    flags = ["--release"] if profile == "release" else []
    subprocess.run(["cargo", "build", "--quiet", "-p", "peerage-cli", *flags], cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return str(target / profile / "peerage")


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(percent / 100 * (len(ordered) - 1)))]


def spread(values):
    return f"median {statistics.median(values):.3f}, min {min(values):.3f}, max {max(values):.3f}"


class Namespace:
    """A host of its own."""

    def __init__(self, name):
        self.name = f"pg{os.getpid()}{name}"
        run("ip", "netns", "add", self.name)
        atexit.register(self.remove)
        self.run("ip", "link", "set", "lo", "up")

    def run(self, *words, **options):
        return run("ip", "netns", "exec", self.name, *words, **options)

    def wrap(self, words):
        return ["ip", "netns", "exec", self.name, *words]

    def remove(self):
        subprocess.run(["ip", "netns", "del", self.name], stderr=subprocess.DEVNULL, check=False)


class Lan:
    """Hosts on one bridge, with real multicast over IPv4 and IPv6."""

    def __init__(self, count):
        self.switch = Namespace("sw")
        self.switch.run("ip", "link", "add", "br0", "type", "bridge")
        # A learning bridge floods multicast; a snooping one waits for reports.
        self.switch.run("ip", "link", "set", "br0", "type", "bridge", "mcast_snooping", "0")
        self.switch.run("ip", "link", "set", "br0", "up")
        self.hosts = [self.join(n) for n in range(1, count + 1)]

    def join(self, n):
        host = Namespace(f"h{n}")
        port = f"p{n}"
        run("ip", "link", "add", port, "netns", self.switch.name, "type", "veth",
            "peer", "name", "eth0", "netns", host.name)
        self.switch.run("ip", "link", "set", port, "master", "br0", "up")
        host.run("ip", "address", "add", f"10.77.0.{n}/24", "dev", "eth0")
        host.run("ip", "link", "set", "eth0", "up")
        host.run("ip", "route", "add", "224.0.0.0/4", "dev", "eth0")
        return host

    def cable(self, n, plugged):
        self.switch.run("ip", "link", "set", f"p{n}", "up" if plugged else "down")


def run(*words, **options):
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        fail(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


class Process:
    """A program that prints one JSON object per line."""

    def __init__(self, words, name, namespace=None, env=None):
        self.name = name
        self.events = []
        self.queue = queue.Queue()
        self.stderr = tempfile.TemporaryFile(mode="w+")
        words = namespace.wrap(words) if namespace else words
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.stderr,
            text=True, bufsize=1, env={**os.environ, **(env or {})})
        threading.Thread(target=self._read, daemon=True).start()
        atexit.register(self.kill)

    def _read(self):
        for line in self.process.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                event = {"event": "unreadable", "line": line}
            event["_at"] = time.monotonic()
            self.queue.put(event)
        self.queue.put({"event": "_end", "_at": time.monotonic()})

    def wait(self, event, within=10.0, **fields):
        """The first such event, also one that came before."""
        def fits(e):
            return e.get("event") == event and all(
                test(e.get(key)) if callable(test) else e.get(key) == test for key, test in fields.items())
        until = time.monotonic() + within
        seen = 0
        while True:
            for e in self.events[seen:]:
                if fits(e):
                    return e
            seen = len(self.events)
            left = until - time.monotonic()
            try:
                self.events.append(self.queue.get(timeout=max(left, 0.001)))
            except queue.Empty:
                wanted = {"event": event, **{k: v for k, v in fields.items() if not callable(v)}}
                fail(f"{self.name}: no {wanted} within {within} s\n{self.story()}")

    def story(self):
        self.stderr.seek(0)
        lines = [json.dumps({k: v for k, v in e.items() if k != "_at"}) for e in self.events[-40:]]
        return "\n".join(["  " + line for line in lines] + ["  stderr: " + self.stderr.read()[-3000:]])

    def drain(self):
        while not self.queue.empty():
            self.events.append(self.queue.get())
        return self.events

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def ended(self, within=10.0):
        try:
            return self.process.wait(timeout=within)
        except subprocess.TimeoutExpired:
            fail(f"{self.name} did not end within {within} s\n{self.story()}")


class Chat(Process):
    """`peerage chat TOPIC --json`, in a home of its own."""

    def __init__(self, binary, topic, nick, *flags, namespace=None):
        self.home = tempfile.mkdtemp(prefix="peerage-lab-")
        atexit.register(shutil.rmtree, self.home, ignore_errors=True)
        words = [binary, "chat", topic, "--json", "--nick", nick, *flags]
        super().__init__(words, nick, namespace, env={"PEERAGE_HOME": self.home})

    def peer(self):
        return self.wait("ready")["peer"]
