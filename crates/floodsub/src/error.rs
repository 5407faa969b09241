/// Why a message was not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Too much is on its way already.
    #[error("too many messages are on their way: publish again when some of them are delivered")]
    QueueFull,
    /// An RPC holds 1 MiB.
    #[error("the message has {len} bytes, and at most {limit} fit: split it")]
    TooLarge {
        /// Of the data, on this topic.
        limit: usize,
        /// Of this data.
        len: usize,
    },
    /// The topic's name is too long.
    #[error("the topic's name has more than {limit} bytes")]
    TopicTooLong {
        /// In bytes.
        limit: usize,
    },
    /// The key cannot sign: an RSA key whose numbers do not belong together.
    #[error("the key cannot sign")]
    Signing,
}

/// Why a topic was not subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// There are too many already.
    #[error("at most {limit} topics can be subscribed to")]
    TooMany {
        /// How many there may be.
        limit: usize,
    },
    /// The topic's name is too long.
    #[error("the topic's name has more than {limit} bytes")]
    TopicTooLong {
        /// In bytes.
        limit: usize,
    },
    /// Too many commands wait for the swarm.
    #[error("the swarm is busy: try again once it was polled")]
    QueueFull,
}
