//! The allocator of the program, and of the benchmarks that are held against it.

use tikv_jemallocator::Jemalloc;
use zeroizing_alloc::ZeroAlloc;

/// Wipes memory that is given back: libraries copy credentials too, into buffers that they do not wipe.
pub type Wiping = ZeroAlloc<Jemalloc>;

/// For a program's `#[global_allocator]`.
pub const WIPING: Wiping = ZeroAlloc(Jemalloc);
