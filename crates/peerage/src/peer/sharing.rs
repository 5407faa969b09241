use super::Peer;
use peerage_files::{Contents, Fetch, Offering, Ticket};
use std::path::PathBuf;

impl Peer {
    /// Offers a file, a folder, or [several things](Contents) to whoever has the ticket, until what this comes to is dropped; the peer runs as
    /// long. Everything is read once before, and hashed, beside the tasks.
    ///
    /// # Errors
    /// If something cannot be read, changes meanwhile, or has a name that not every system takes; if it is too much.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(peer: peerage::Peer) -> Result<(), Box<dyn std::error::Error>> {
    /// let offer = peer.offer("holiday").await?;
    /// println!("the other side fetches it with {}", offer.ticket());
    /// offer.first_taken().await;
    /// # Ok(()) }
    /// ```
    pub fn offer(&self, contents: impl Into<Contents>) -> Offering {
        self.shared.files.offer(contents).holding(self.clone())
    }
    /// Fetches what a ticket stands for into a folder. The sender is looked for at the ticket's addresses and among those whom mDNS finds, and
    /// tried again when it is lost; what has arrived is kept, and not sent again, also after this program was killed.
    ///
    /// # Errors
    /// If the sender refuses or cheats, or something cannot be written. A sender that is not reached is tried for as long as
    /// [`Fetch::give_up_after`] says, by default for ever.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(peer: peerage::Peer, text: &str) -> Result<(), Box<dyn std::error::Error>> {
    /// let outcome = peer.fetch(text.parse()?, "downloads").await?;
    /// println!("{} files, {} were there already", outcome.received, outcome.there);
    /// # Ok(()) }
    /// ```
    pub fn fetch(&self, ticket: Ticket, into: impl Into<PathBuf>) -> Fetch {
        self.shared.files.fetch(ticket, into).holding(self.clone())
    }
}
