//! Work that behaviours ask for on a connection: run on its task, one after the other, and told in the order it was asked for.
//!
//! When much waits, a second thread helps, if the runtime has more than one: both take the oldest that nobody has begun. Tokio
//! runs whoever was woken last on the same thread, where nobody else may take it: without help, one busy connection with
//! signatures to check leaves the other threads idle.
use super::mailbox::{FEW, Job};
use crate::{JobId, shim::ToCore};
use peerage_core::{Bound, Runtime};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::Waker,
};

/// Jobs of one connection that wait to be run.
pub(crate) const JOBS: Bound = Bound {
    name: "swarm.task.jobs",
    default: 64,
    unit: "jobs",
    policy: "wait: nothing is read from the connection",
};
/// Connections that are helped at the same time; also fewer than the runtime has threads.
pub(crate) const HELPERS: Bound = Bound {
    name: "swarm.task.helpers",
    default: 8,
    unit: "connections whose jobs another thread runs as well, and fewer than there are threads",
    policy: "wait: the connection's task runs them alone",
};
/// So many are worth waking a thread.
const MANY: usize = 4;

/// Who may help, of one swarm.
#[derive(Debug, Default)]
pub(crate) struct Helpers {
    at_work: AtomicUsize,
}
impl Helpers {
    fn take(self: &Arc<Self>, most: usize) -> Option<Permit> {
        let one_more = |at_work| (at_work < most).then_some(at_work + 1);
        self.at_work.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok()?;
        Some(Permit(self.clone()))
    }
}
struct Permit(Arc<Helpers>);
impl Drop for Permit {
    fn drop(&mut self) {
        self.0.at_work.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Those of one connection.
pub(super) struct Jobs<M> {
    waiting: VecDeque<(JobId, Job<M>)>,
    /// While a helper is at work, and until all it had is told: instead of `waiting`.
    shared: Option<Arc<Shared<M>>>,
    helpers: Arc<Helpers>,
}

impl<M: Send + 'static> Jobs<M> {
    pub(super) fn new(helpers: Arc<Helpers>) -> Self {
        Self { waiting: VecDeque::new(), shared: None, helpers }
    }
    pub(super) fn push(&mut self, id: JobId, job: Job<M>) {
        match &self.shared {
            Some(shared) => shared.lock().waiting.push_back((id, job)),
            None => self.waiting.push_back((id, job)),
        }
    }
    pub(super) fn has_room(&self) -> bool {
        let shared = self.shared.as_ref().map_or(0, |shared| shared.lock().len());
        self.waiting.len().saturating_add(shared) < JOBS.get()
    }
    /// Gives back room that is not used.
    pub(super) fn shrink(&mut self) {
        self.waiting.shrink_to_fit();
    }

    /// Runs so many, and tells what has come of them and of the helper's. `true`: there are more. The waker is for when the helper
    /// has done what is waited for.
    pub(super) fn run(
        &mut self,
        most: usize,
        tell: &mut VecDeque<ToCore<M>>,
        runtime: &dyn Runtime,
        waker: &Waker,
    ) -> bool {
        self.take_back();
        self.call_for_help(runtime);
        let Some(shared) = &self.shared else {
            for _ in 0..most {
                let Some((id, job)) = self.waiting.pop_front() else { return false };
                tell.push_back(ToCore::Job(id, run(job)));
            }
            return !self.waiting.is_empty();
        };
        for _ in 0..most {
            if !shared.run_one() {
                break;
            }
        }
        let mut state = shared.lock();
        state.tell(tell);
        let more = !state.waiting.is_empty();
        // The helper has the next in its hands.
        state.waker = (!more && !state.begun.is_empty()).then(|| waker.clone());
        more
    }
    /// When the helper has left, what came since is this task's again.
    fn take_back(&mut self) {
        let Some(shared) = &self.shared else { return };
        let mut state = shared.lock();
        if state.helper_left && state.begun.is_empty() {
            self.waiting = std::mem::take(&mut state.waiting);
            drop(state);
            self.shared = None;
        }
    }
    fn call_for_help(&mut self, runtime: &dyn Runtime) {
        if self.shared.is_some() || self.waiting.len() < MANY {
            return;
        }
        let most = runtime.threads().saturating_sub(1).min(HELPERS.get());
        let Some(permit) = self.helpers.take(most) else { return };
        let state = State { waiting: std::mem::take(&mut self.waiting), ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), ended: Condvar::new() });
        let helper = Helper { shared: shared.clone(), _permit: permit };
        runtime.blocking(Box::new(move || while helper.shared.run_one() {}));
        self.shared = Some(shared);
    }
}
impl<M> Jobs<M> {
    /// The connection ends: tells what was run. What was not is left to whoever takes the end. For the one that a helper has
    /// in its hands it waits, as it would if it ran that itself.
    pub(super) fn end(&mut self, tell: &mut VecDeque<ToCore<M>>) -> VecDeque<(JobId, Job<M>)> {
        if let Some(shared) = self.shared.take() {
            let mut state = shared.lock();
            self.waiting = std::mem::take(&mut state.waiting);
            while state.begun.iter().any(|(_, result)| result.is_none()) {
                state.end_waits = true;
                state = shared.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.tell(tell);
        }
        std::mem::take(&mut self.waiting)
    }
}

/// What a connection and its helper have in common.
struct Shared<M> {
    state: Mutex<State<M>>,
    /// A job has.
    ended: Condvar,
}
struct State<M> {
    waiting: VecDeque<(JobId, Job<M>)>,
    /// In the order they were asked for: what came of them, once they have ended.
    begun: VecDeque<(JobId, Option<Option<M>>)>,
    /// How many were told: what stands in front of `begun` has this number.
    told: usize,
    helper_left: bool,
    /// The connection's end does.
    end_waits: bool,
    waker: Option<Waker>,
}
impl<M> Default for State<M> {
    fn default() -> Self {
        let (waiting, begun) = (VecDeque::new(), VecDeque::new());
        Self { waiting, begun, told: 0, helper_left: false, end_waits: false, waker: None }
    }
}
impl<M> State<M> {
    fn len(&self) -> usize {
        self.waiting.len().saturating_add(self.begun.len())
    }
    fn begin(&mut self) -> Option<(usize, Job<M>)> {
        let (id, job) = self.waiting.pop_front()?;
        let number = self.told.wrapping_add(self.begun.len());
        self.begun.push_back((id, None));
        Some((number, job))
    }
    /// What has ended, up to the first that has not.
    fn tell(&mut self, tell: &mut VecDeque<ToCore<M>>) {
        while let Some((_, Some(_))) = self.begun.front() {
            let Some((id, Some(result))) = self.begun.pop_front() else { return };
            self.told = self.told.wrapping_add(1);
            tell.push_back(ToCore::Job(id, result));
        }
        if self.begun.is_empty() {
            self.begun.shrink_to(FEW);
        }
    }
}
impl<M> Shared<M> {
    fn lock(&self) -> MutexGuard<'_, State<M>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Runs the oldest that nobody has begun; `false`: there is none.
    fn run_one(&self) -> bool {
        let Some((number, job)) = self.lock().begin() else { return false };
        let result = run(job);
        let mut state = self.lock();
        let at = number.wrapping_sub(state.told);
        if let Some((_, place)) = state.begun.get_mut(at) {
            *place = Some(result);
        }
        let waker = if at == 0 { state.waker.take() } else { None };
        if std::mem::take(&mut state.end_waits) {
            self.ended.notify_one();
        }
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }
}

/// Another thread, until nothing waits any more. It may never come to run, when the runtime ends.
struct Helper<M> {
    shared: Arc<Shared<M>>,
    _permit: Permit,
}
impl<M> Drop for Helper<M> {
    fn drop(&mut self) {
        self.shared.lock().helper_left = true;
    }
}

/// Runs a job; `None` if it panicked.
pub(crate) fn run<M>(job: Job<M>) -> Option<M> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).ok()
}
