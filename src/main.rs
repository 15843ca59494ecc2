//! The `consentry` program. Everything is in the library.

use std::process::ExitCode;

use mimalloc::MiMalloc;
use zeroizing_alloc::ZeroAlloc;

/// A request makes dozens of small short-lived allocations, all of them on one thread: what mimalloc is built for. It
/// takes a quarter off the time of a request compared with the system's allocator. What is freed is zeroed (2 % of a
/// request), so that addresses and tokens of requests that have ended are not found in memory.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<MiMalloc> = ZeroAlloc(MiMalloc);

fn main() -> ExitCode {
    consentry::cli::main()
}
