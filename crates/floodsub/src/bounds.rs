use peerage_core::Bound;

const fn bound(name: &'static str, default: u64, unit: &'static str, policy: &'static str) -> Bound {
    Bound { name, default, unit, policy }
}
/// go's limit for an RPC.
pub(crate) const RPC_MAX: Bound =
    bound("floodsub.rpc", 1 << 20, "bytes", "refuse ours, reset the stream of theirs");
/// What rust-libp2p's floodsub reads, and all it reads of a stream is one RPC.
pub(crate) const ONE_SHOT_MAX: Bound =
    bound("floodsub.one_shot_rpc", 2_048, "bytes", "not sent; reported as not delivered");
pub(crate) const TOPIC_MAX: Bound = bound("floodsub.topic", 1_024, "bytes", "refuse ours, ignore theirs");
pub(crate) const TOPICS_MAX: Bound = bound("floodsub.topics", 128, "topics of ours", "refuse");
pub(crate) const PEER_TOPICS_MAX: Bound = bound("floodsub.peer_topics", 1_024, "topics per peer", "ignore");
pub(crate) const RPC_SUBSCRIPTIONS_MAX: Bound =
    bound("floodsub.rpc_subscriptions", 2_048, "entries per RPC", "ignore the rest");
pub(crate) const RPC_MESSAGES_MAX: Bound =
    bound("floodsub.rpc_messages", 256, "messages per RPC", "ignore the rest");
pub(crate) const MESSAGE_TOPICS_MAX: Bound =
    bound("floodsub.message_topics", 16, "topics per message", "drop the message");
pub(crate) const INBOUND_MAX: Bound = bound("floodsub.inbound", 64, "streams per connection", "wait");
/// Odd, so that two halves stay under it: see `Neighbour::send`.
pub(crate) const QUEUED_MAX: Bound =
    bound("floodsub.stream_queue", (2 << 20) + 1, "bytes per stream", "keep in the peer's queue");
pub(crate) const WAITING_MAX: Bound =
    bound("floodsub.peer_queue", 256, "RPCs per peer", "drop; reported as not delivered");
pub(crate) const WAITING_BYTES_MAX: Bound =
    bound("floodsub.peer_queue_bytes", 4 << 20, "bytes per peer", "drop; reported as not delivered");
pub(crate) const SENT_MAX: Bound =
    bound("floodsub.resend", 256, "RPCs per peer", "the oldest are not sent again");
pub(crate) const SHOTS_MAX: Bound =
    bound("floodsub.one_shot_streams", 8, "streams per peer", "wait in the peer's queue");
pub(crate) const ATTEMPTS_MAX: Bound =
    bound("floodsub.attempts", 5, "streams in a row that failed", "give the peer up");
pub(crate) const SEEN_MAX: Bound = bound("floodsub.seen", 65_536, "messages", "forget the oldest");
pub(crate) const SEEN_SECS: Bound = bound("floodsub.seen_time", 120, "seconds", "forget");
pub(crate) const CHECKS_MAX: Bound =
    bound("floodsub.checks", 1_024, "signatures being checked", "drop the message");
pub(crate) const CHECKS_BYTES_MAX: Bound =
    bound("floodsub.check_bytes", 16 << 20, "bytes being checked", "drop the message");
pub(crate) const COPIES_MAX: Bound =
    bound("floodsub.check_copies", 8, "differing copies of a message", "drop the copy");
pub(crate) const TRACKED_MAX: Bound =
    bound("floodsub.tracked", 1_024, "published messages on their way", "refuse");
pub(crate) const TRACKED_BYTES_MAX: Bound =
    bound("floodsub.tracked_bytes", 16 << 20, "bytes of published messages on their way", "refuse");
pub(crate) const DELIVERY_SECS: Bound =
    bound("floodsub.delivery_time", 10, "seconds", "reported as not delivered");

/// Every bound of this crate: see the table in `ARCHITECTURE.md`.
pub const BOUNDS: &[Bound] = &[
    RPC_MAX,
    ONE_SHOT_MAX,
    TOPIC_MAX,
    TOPICS_MAX,
    PEER_TOPICS_MAX,
    RPC_SUBSCRIPTIONS_MAX,
    RPC_MESSAGES_MAX,
    MESSAGE_TOPICS_MAX,
    INBOUND_MAX,
    QUEUED_MAX,
    WAITING_MAX,
    WAITING_BYTES_MAX,
    SENT_MAX,
    SHOTS_MAX,
    ATTEMPTS_MAX,
    SEEN_MAX,
    SEEN_SECS,
    CHECKS_MAX,
    CHECKS_BYTES_MAX,
    COPIES_MAX,
    TRACKED_MAX,
    TRACKED_BYTES_MAX,
    DELIVERY_SECS,
];
