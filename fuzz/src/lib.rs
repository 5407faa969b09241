//! What every target shares: the heap is counted, so that a decoder that eats memory is a finding too.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

#[doc(hidden)]
pub use libfuzzer_sys;

/// A fuzz target: the decoder, and how many bytes of heap it may use besides 64 for every byte of input.
#[macro_export]
macro_rules! target {
    ($decoder:path, $heap:expr) => {
        #[global_allocator]
        static HEAP: $crate::Heap = $crate::Heap;

        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::measured(data, $heap, $decoder));
    };
}

/// Runs a decoder and measures what it held at its worst.
pub fn measured(data: &[u8], heap: usize, decoder: fn(&[u8])) {
    let before = LIVE.load(Relaxed);
    WORST.store(before, Relaxed);
    decoder(data);
    let used = WORST.load(Relaxed).saturating_sub(before);
    let most = heap.saturating_add(data.len().saturating_mul(64));
    assert!(used <= most, "{used} bytes of heap for {} bytes of input, {most} allowed", data.len());
}

static LIVE: AtomicUsize = AtomicUsize::new(0);
static WORST: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counting.
#[derive(Debug)]
pub struct Heap;

// SAFETY: every call is handed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(memory, layout) }
    }
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LIVE.fetch_sub(layout.size(), Relaxed);
        grow(size);
        unsafe { System.realloc(memory, layout, size) }
    }
}

fn grow(size: usize) {
    let live = LIVE.fetch_add(size, Relaxed).wrapping_add(size);
    WORST.fetch_max(live, Relaxed);
}
