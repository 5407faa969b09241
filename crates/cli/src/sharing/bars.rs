//! How far it is, drawn on a terminal.
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

const WITH_TOTAL: &str = "  {msg} {bar:24} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
const WITHOUT: &str = "  {msg} {bytes}, {bytes_per_sec}";

/// One line for each transfer, of which there are no more than are served at once.
#[derive(Debug, Default)]
pub(super) struct Bars {
    /// On stderr; nothing is drawn where that is no terminal.
    all: MultiProgress,
    by_name: Mutex<BTreeMap<String, ProgressBar>>,
}
impl Bars {
    /// `total`: if it is known.
    pub(super) fn show(&self, name: &str, here: u64, total: Option<u64>) {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = by_name.get(name) {
            bar.set_position(here);
            return;
        }
        let bar = self.all.add(match total {
            Some(total) => ProgressBar::new(total).with_style(style(WITH_TOTAL)),
            None => ProgressBar::no_length().with_style(style(WITHOUT)),
        });
        bar.set_message(name.to_owned());
        bar.set_position(here);
        // What was here before says nothing about how fast it comes.
        bar.reset_eta();
        by_name.insert(name.to_owned(), bar);
    }
    pub(super) fn end(&self, name: &str) {
        let bar = self.by_name.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        if let Some(bar) = bar {
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
        let position = |name| bars.by_name.lock().unwrap().get(name).map(ProgressBar::position);
        assert_eq!((position("…abcdef"), position("reading")), (Some(20), Some(5)));
        bars.end("…abcdef");
        assert_eq!((position("…abcdef"), position("reading")), (None, Some(5)));
    }

    #[test]
    fn both_templates_can_be_read() {
        for template in [WITH_TOTAL, WITHOUT] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
