use futures::{FutureExt, StreamExt, future::poll_fn, stream, stream::BoxStream};
use if_watch::tokio::IfWatcher;
use peerage_core::{Bound, Interface};
use std::{collections::BTreeMap, io, time::Duration};
use tokio::{
    runtime::Handle,
    time::{Sleep, sleep},
};

pub(crate) const INTERFACES: Bound = Bound {
    name: "runtime.interfaces",
    default: 256,
    unit: "interfaces",
    policy: "drop: those listed last are not used",
};
pub(crate) const ADDRESSES: Bound = Bound {
    name: "runtime.interface.addresses",
    default: 256,
    unit: "addresses per interface",
    policy: "drop: those listed last are not used",
};

/// The watcher sees addresses come and go, but not a cable that is pulled while they stay.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// An interface comes up in several steps: one list for all of them.
const SETTLE: Duration = Duration::from_millis(50);
/// Steps that are drained at once; more start another round.
const STEPS: usize = 1024;

/// The interfaces that are up: at once, and again whenever the list has changed.
pub(crate) fn watch(handle: Handle) -> BoxStream<'static, Vec<Interface>> {
    let watch = Watch { handle, watcher: None, last: None };
    stream::unfold(watch, |mut watch| async move {
        let list = watch.next().await;
        Some((list, watch))
    })
    .boxed()
}

struct Watch {
    handle: Handle,
    /// A trigger, nothing more: what it reports is looked up in the system's own list.
    watcher: Option<IfWatcher>,
    last: Option<Vec<Interface>>,
}

impl Watch {
    async fn next(&mut self) -> Vec<Interface> {
        loop {
            // Before the list is read, so that no change falls between the two.
            self.start_watcher();
            match list() {
                Ok(list) if self.last.as_ref() != Some(&list) => {
                    self.last = Some(list.clone());
                    return list;
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "the interfaces cannot be listed"),
            }
            self.wait().await;
        }
    }

    fn start_watcher(&mut self) {
        if self.watcher.is_none() {
            let _inside = self.handle.enter();
            match IfWatcher::new() {
                Ok(watcher) => self.watcher = Some(watcher),
                Err(error) => tracing::debug!(%error, "interfaces are polled only"),
            }
        }
    }

    /// Until something may have changed.
    async fn wait(&mut self) {
        let look_again = pause(&self.handle, LOOK_AGAIN);
        let Some(watcher) = &mut self.watcher else { return look_again.await };
        let step = poll_fn(|cx| watcher.poll_if_event(cx));
        futures::pin_mut!(look_again, step);
        let mut failed = match futures::future::select(step, look_again).await {
            futures::future::Either::Left((step, _)) => step.is_err(),
            futures::future::Either::Right(_) => return,
        };
        pause(&self.handle, SETTLE).await;
        for _ in 0..STEPS {
            match poll_fn(|cx| watcher.poll_if_event(cx)).now_or_never() {
                Some(Ok(_)) => {}
                Some(Err(_)) => failed = true,
                None => break,
            }
            if failed {
                break;
            }
        }
        if failed {
            // A watcher that fails at once must not make us spin.
            self.watcher = None;
            pause(&self.handle, LOOK_AGAIN).await;
        }
    }
}

/// The stream may be polled outside of the runtime.
fn pause(handle: &Handle, time: Duration) -> Sleep {
    let _inside = handle.enter();
    sleep(time)
}

fn list() -> io::Result<Vec<Interface>> {
    let mut all: BTreeMap<u32, Interface> = BTreeMap::new();
    for found in if_addrs::get_if_addrs()? {
        let Some(index) = found.index.filter(|_| found.is_oper_up()) else { continue };
        if !all.contains_key(&index) && all.len() >= INTERFACES.get() {
            continue;
        }
        let ip = found.ip();
        let interface = all.entry(index).or_insert_with(|| Interface {
            index,
            multicast: carries_multicast(&found),
            loopback: false,
            name: found.name.into(),
            addresses: Vec::new(),
        });
        // Linux does not say of `lo` that it carries multicast, but it does.
        interface.loopback |= ip.is_loopback();
        interface.multicast |= interface.loopback;
        if !interface.addresses.contains(&ip) && interface.addresses.len() < ADDRESSES.get() {
            interface.addresses.push(ip);
        }
    }
    let mut list: Vec<_> = all.into_values().collect();
    for interface in &mut list {
        interface.addresses.sort_unstable();
    }
    Ok(list)
}

#[cfg(target_os = "linux")]
fn carries_multicast(found: &if_addrs::Interface) -> bool {
    const IFF_MULTICAST: u32 = 0x1000;
    let flags = std::fs::read_to_string(format!("/sys/class/net/{}/flags", found.name)).ok();
    let flags = flags.and_then(|text| u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok());
    // In a namespace without its own /sys the name may be missing.
    flags.map_or(!found.is_p2p(), |flags| flags & IFF_MULTICAST != 0)
}
#[cfg(not(target_os = "linux"))]
fn carries_multicast(found: &if_addrs::Interface) -> bool {
    !found.is_p2p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_list_comes_at_once_and_is_not_repeated() {
        let mut lists = watch(Handle::current());
        let first = lists.next().now_or_never().flatten().expect("no waiting");
        let loopback = first.iter().find(|interface| interface.loopback);
        if let Some(loopback) = loopback {
            assert!(loopback.multicast && loopback.index > 0 && !loopback.name.is_empty());
        }
        for interface in &first {
            let mut addresses = interface.addresses.clone();
            addresses.dedup();
            assert_eq!(addresses, interface.addresses, "listed once each");
        }
        let second = tokio::time::timeout(Duration::from_millis(300), lists.next()).await;
        if let Ok(Some(second)) = second {
            assert_ne!(first, second, "only after a change");
        }
    }
}
