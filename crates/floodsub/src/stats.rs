/// What happened so far, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say what they count")]
#[non_exhaustive]
pub struct Stats {
    pub published: u64,
    pub received: u64,
    /// Told to the application.
    pub delivered: u64,
    /// Not told, because too much waits for it already.
    pub not_told: u64,
    /// Handed on, once per neighbour.
    pub forwarded: u64,
    /// Not handed on to a neighbour that was slow, or lost.
    pub not_forwarded: u64,
    pub dropped_for_slow_peers: u64,
    pub duplicates: u64,
    /// A signature that does not hold.
    pub forged: u64,
    /// Without a signature, where one is required; with one, where none may be.
    pub unsigned: u64,
    pub signed: u64,
    /// Topics that are no text, authors that are no peers, and the like.
    pub malformed: u64,
    /// Our own, come back.
    pub own_returned: u64,
    /// In our name, but not ours.
    pub claimed_ours: u64,
    pub not_subscribed: u64,
    /// Not checked, because too many were.
    pub unchecked: u64,
    /// Beyond the bounds of an RPC, or of a peer's topics.
    pub excess: u64,
    /// Written by a peer on the stream that is ours to write on.
    pub wrong_direction: u64,
    /// Peers that read one RPC per stream.
    pub one_shot_readers: u64,
}
