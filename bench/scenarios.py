"""Every row of the bench: scenario, transport, who takes part, and the limit its share is of.

To add a scenario: a file in kit/src/scenario/ (and its name in kit/src/scenario.rs, and in go/), and a line here.
"""

from dataclasses import dataclass
from typing import Optional

OURS = "peerage"
RIVALS = ("rust-libp2p", "litep2p", "go-libp2p")


@dataclass(frozen=True)
class Row:
    scenario: str
    transport: str
    unit: str
    # Stacks and limits that have the row, ours first.
    stacks: tuple
    # (scenario, transport, limit) that the table of figures names.
    limit: Optional[tuple] = None
    # Part of --quick: it has a factor to reach.
    quick: bool = False
    # pair: a server and a client. alone: one process. idle: our peers at everybody's server. build: cargo.
    kind: str = "pair"
    seconds: float = 1.0
    bytes: Optional[int] = None
    # Instead of what --runs says.
    runs: Optional[int] = None
    # Seconds until a run counts as hung.
    within: float = 120
    # Has a figure to reach that --quick has no time for.
    slow_figure: bool = False

    @property
    def figure(self):
        return self.quick or self.slow_figure

    @property
    def limit_is_beside(self):
        return self.limit is not None and self.limit[0] != self.scenario

    def has(self, stack):
        return stack in self.stacks or (self.limit_is_beside and self.limit[2] == stack)

    @property
    def rivals(self):
        return [stack for stack in self.stacks if stack in RIVALS]


def better_is_more(row):
    return row.unit.endswith("/s")


GIB = 1 << 30
TCP, TLS, QUIC = "tcp-noise", "tcp-tls", "quic"
# litep2p has no TLS over TCP.
BY_TRANSPORT = {
    TCP: ((OURS,) + RIVALS, ("tcp-chacha20", "tcp"), "tcp-chacha20"),
    TLS: ((OURS, "rust-libp2p", "go-libp2p"), ("tcp-aes", "tcp"), "tcp-aes"),
    QUIC: ((OURS,) + RIVALS, ("quinn-ours", "quinn"), "quinn-ours"),
}


def rows():
    for transport, (stacks, limits, limit) in BY_TRANSPORT.items():
        for scenario in ("bulk-up-1", "bulk-down-1", "bulk-up-8", "bulk-down-8"):
            yield Row(scenario, transport, "MiB/s", stacks + limits, (scenario, transport, limit), True, bytes=GIB)
        yield Row("bulk-streams-10000", transport, "MiB/s", stacks, seconds=20)

    for transport, (stacks, _, _) in BY_TRANSPORT.items():
        raw = {TCP: ("tcp",), QUIC: ("quinn",)}.get(transport, ())
        yield Row("connect", transport, "connections/s", stacks + raw, None, transport == TCP)
        limit = ("connect-request", QUIC, "quinn") if transport == QUIC else None
        yield Row("connect-request", transport, "connections/s", stacks + raw, limit, transport != TLS)
        yield Row("connect-request-64", transport, "connections/s", stacks)

        ping_pong = ("ping-pong-32", TCP, "tcp") if transport == TCP else None
        yield Row("ping-pong-32", transport, "round trips/s", stacks + raw, ping_pong, transport == TCP)
        yield Row("ping-pong-1024", transport, "round trips/s", stacks + raw)
        yield Row("open-1", transport, "streams/s", stacks, ping_pong, transport == TCP)
        yield Row("open-64", transport, "streams/s", stacks, None, transport == TCP)

        for size in (32, 1024, 65536):
            for in_flight in (1, 256):
                scenario, limit, ceiling = f"request-{size}-{in_flight}", None, ()
                if (size, in_flight) == (32, 1):
                    limit = ping_pong
                if (size, in_flight, transport) == (65536, 256, TCP):
                    ceiling = ("tcp-chacha20",)
                    limit = (scenario, TCP, *ceiling)
                with_factor = {TCP: ((32, 1), (32, 256), (65536, 256)), QUIC: ((32, 256), (65536, 256))}.get(transport, ())
                yield Row(scenario, transport, "requests/s", stacks + ceiling, limit, (size, in_flight) in with_factor,
                          slow_figure=(size, in_flight, transport) == (32, 256, TLS))
        # What the handle costs: its limit is our row without it. It prefers TLS to Noise.
        if transport != TCP:
            bare = ("request-32-256", transport, OURS)
            yield Row("peer-request-32-256", transport, "requests/s", (OURS,), bare, slow_figure=True)

    # rust-libp2p's floodsub has no signatures, litep2p no floodsub.
    for shape in ("pair", "chain", "mesh"):
        for size in (256, 1024):
            for window in (1, 64):
                for signed in ("unsigned", "signed"):
                    stacks = (OURS, "rust-libp2p", "go-libp2p") if signed == "unsigned" else (OURS, "go-libp2p")
                    yield Row(f"floodsub-{shape}-{size}-{window}-{signed}", TCP, "deliveries/s", stacks,
                              None, shape != "chain" and window == 64, "alone")

    for count in (1000, 5000):
        yield Row(f"idle-{count}", TCP, "KiB/connection", (OURS,) + RIVALS, kind="idle", seconds=30, runs=1, within=400,
                  slow_figure=count == 5000)
    yield Row("fairness-bulk", TCP, "µs p99", (OURS,) + RIVALS, seconds=3, slow_figure=True)
    yield Row("fairness-silent", TCP, "round trips/s", (OURS,) + RIVALS, seconds=3, slow_figure=True)

    yield Row("aead", TCP, "MiB/s", ("aead",), kind="alone")
    yield Row("aead", TLS, "MiB/s", ("aead",), kind="alone")
    yield Row("aead", QUIC, "MiB/s", ("aead",), kind="alone")
    yield Row("build", "-", "s", (OURS, "rust-libp2p", "floor"), kind="build", runs=2, slow_figure=True)


ROWS = list(rows())
