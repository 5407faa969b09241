//! Acknowledgements and new paths, as they come: a congestion controller that is quinn's Cubic and passes word on.
//!
//! Quinn tells nobody of an acknowledgement but its congestion controller. A connection's paths have controllers of their own, made
//! by its [`Factory`] or cloned from the path before; all of them share the connection's [`Pulse`].
use peerage_core::Code;
use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics, Cubic, CubicConfig};
use quinn_proto::RttEstimator;
use std::{
    any::Any,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Waker,
    time::{Duration, Instant},
};

/// What the controllers of one connection tell its task.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// Acknowledgements are waited for.
    waiting: AtomicBool,
    /// How many have come.
    acks: AtomicU64,
    /// There may be a new path.
    path: AtomicBool,
    /// What was sent is not answered.
    silent: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Pulse {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }
    /// Whom to wake.
    pub(super) fn set_task(&self, waker: &Waker) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if !task.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *task = Some(waker.clone());
        }
    }
    fn wake(&self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(task) = task {
            task.wake();
        }
    }
    /// From now on every acknowledgement wakes the task, or none.
    pub(super) fn wait(&self, yes: bool) {
        self.waiting.store(yes, Ordering::SeqCst);
    }
    pub(super) fn acks(&self) -> u64 {
        self.acks.load(Ordering::SeqCst)
    }
    /// Whether there may be a new path since this was last asked.
    pub(super) fn take_path(&self) -> bool {
        self.path.swap(false, Ordering::AcqRel)
    }
    fn on_path(&self) {
        self.path.store(true, Ordering::Release);
        self.wake();
    }
    /// Whether what was sent was not answered since this was last asked.
    pub(super) fn take_silence(&self) -> bool {
        self.silent.swap(false, Ordering::AcqRel)
    }
    fn on_silence(&self) {
        self.silent.store(true, Ordering::Release);
        self.wake();
    }
    fn on_acks(&self) {
        self.acks.fetch_add(1, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) {
            self.wake();
        }
    }
}

/// Of one connection.
pub(crate) struct Factory(Arc<Pulse>);
impl Factory {
    pub(crate) fn new(pulse: &Arc<Pulse>) -> Self {
        Self(pulse.clone())
    }
}
impl ControllerFactory for Factory {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        self.0.on_path();
        let cubic = Cubic::new(Arc::new(CubicConfig::default()), now, current_mtu);
        Box::new(Told { cubic, pulse: self.0.clone(), unanswered: None })
    }
}

/// So many packets, or batches of them, over so long a time are not answered by chance.
const UNANSWERED: (u32, Duration) = (3, Duration::from_millis(150));

/// Cubic, and whom to tell.
struct Told {
    cubic: Cubic,
    pulse: Arc<Pulse>,
    /// How much was sent since the last acknowledgement, and when that began.
    unanswered: Option<(u32, Instant)>,
}
impl Controller for Told {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.cubic.on_sent(now, bytes, last_packet_number);
        let (sent, since) = self.unanswered.unwrap_or((0, now));
        let sent = sent.saturating_add(1);
        if sent >= UNANSWERED.0 && now.saturating_duration_since(since) >= UNANSWERED.1 {
            self.unanswered = Some((1, now));
            self.pulse.on_silence();
        } else {
            self.unanswered = Some((sent, since));
        }
    }
    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, rtt: &RttEstimator) {
        self.cubic.on_ack(now, sent, bytes, app_limited, rtt);
    }
    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, largest: Option<u64>) {
        self.cubic.on_end_acks(now, in_flight, app_limited, largest);
        self.unanswered = None;
        self.pulse.on_acks();
    }
    fn on_congestion_event(&mut self, now: Instant, sent: Instant, is_persistent: bool, lost_bytes: u64) {
        self.cubic.on_congestion_event(now, sent, is_persistent, lost_bytes);
    }
    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.cubic.on_mtu_update(new_mtu);
    }
    fn window(&self) -> u64 {
        self.cubic.window()
    }
    fn metrics(&self) -> ControllerMetrics {
        self.cubic.metrics()
    }
    /// A path whose port alone is new starts with what is known of the one before.
    fn clone_box(&self) -> Box<dyn Controller> {
        self.pulse.on_path();
        Box::new(Self { cubic: self.cubic.clone(), pulse: self.pulse.clone(), unanswered: None })
    }
    fn initial_window(&self) -> u64 {
        self.cubic.initial_window()
    }
    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// What an application's code is on the wire.
pub(super) fn varint(code: Code) -> quinn::VarInt {
    quinn::VarInt::from_u32(code.0)
}
