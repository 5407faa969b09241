//! How far it is, drawn on a terminal.
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

const WITH_TOTAL: &str = "  {msg} {bar:24} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
const WITHOUT: &str = "  {msg} {bytes}, {bytes_per_sec}";

/// One line for each transfer, of which there are no more than are served at once.
#[derive(Debug, Default)]
pub(super) struct Bars {
    /// On stderr; nothing is drawn where that is no terminal.
    all: MultiProgress,
    by_name: Mutex<BTreeMap<String, Line>>,
}
#[derive(Debug, Default)]
struct Line {
    /// How it is connected.
    via: Option<String>,
    /// As soon as there is something to draw.
    bar: Option<ProgressBar>,
}
impl Line {
    fn text(&self, name: &str) -> String {
        self.via.as_ref().map_or_else(|| name.to_owned(), |via| format!("{name} via {via}"))
    }
}
impl Bars {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Line>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// `via`: if it is known.
    pub(super) fn connect(&self, name: &str, via: Option<String>) {
        let mut by_name = self.lock();
        let line = by_name.entry(name.to_owned()).or_default();
        line.via = via;
        if let Some(bar) = &line.bar {
            bar.set_message(line.text(name));
        }
    }
    /// `total`: if it is known.
    pub(super) fn show(&self, name: &str, here: u64, total: Option<u64>) {
        let mut by_name = self.lock();
        let line = by_name.entry(name.to_owned()).or_default();
        if let Some(bar) = &line.bar {
            bar.set_position(here);
            return;
        }
        let bar = self.all.add(match total {
            Some(total) => ProgressBar::new(total).with_style(style(WITH_TOTAL)),
            None => ProgressBar::no_length().with_style(style(WITHOUT)),
        });
        bar.set_message(line.text(name));
        bar.set_position(here);
        // What was here before says nothing about how fast it comes.
        bar.reset_eta();
        line.bar = Some(bar);
    }
    pub(super) fn end(&self, name: &str) {
        let line = self.lock().remove(name);
        if let Some(bar) = line.and_then(|line| line.bar) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }
    /// Does something while none is there.
    pub(super) fn beside<T>(&self, what: impl FnOnce() -> T) -> T {
        self.all.suspend(what)
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_there_until_it_has_ended() {
        let bars = Bars::default();
        bars.show("…abcdef", 10, Some(100));
        bars.show("…abcdef", 20, Some(100));
        bars.show("reading", 5, None);
        let position = |name| Some(bars.lock().get(name)?.bar.as_ref()?.position());
        assert_eq!((position("…abcdef"), position("reading")), (Some(20), Some(5)));
        bars.end("…abcdef");
        assert_eq!((position("…abcdef"), position("reading")), (None, Some(5)));
    }

    #[test]
    fn a_bar_says_how_it_is_connected_also_when_that_changes() {
        let bars = Bars::default();
        let message = || Some(bars.lock().get("receiving")?.bar.as_ref()?.message());
        bars.connect("receiving", Some("192.168.1.7 · quic".into()));
        assert_eq!(message(), None, "nothing is drawn before something comes");
        bars.show("receiving", 10, Some(100));
        assert_eq!(message().as_deref(), Some("receiving via 192.168.1.7 · quic"));
        bars.connect("receiving", Some("10.0.0.9 · tcp".into()));
        assert_eq!(message().as_deref(), Some("receiving via 10.0.0.9 · tcp"));
        bars.connect("receiving", None);
        assert_eq!(message().as_deref(), Some("receiving"));
    }

    #[test]
    fn both_templates_can_be_read() {
        for template in [WITH_TOTAL, WITHOUT] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
