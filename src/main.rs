//! The `consentry` program. Everything is in the library.

use std::process::ExitCode;

/// A request makes dozens of small short-lived allocations, all of them on one thread: what mimalloc is built for. It
/// takes a quarter off the time of a request compared with the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    consentry::cli::main()
}
