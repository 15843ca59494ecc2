//! Keeping keys out of what a process leaves behind.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Makes the kernel write no core dump of this process and lets no other process of the same user look into it
/// (`PR_SET_DUMPABLE` and `RLIMIT_CORE`, both 0).
///
/// Registers, copies on the stack and swap are out of its reach.
///
/// # Errors
/// The kernel refuses.
pub fn keep_out_of_dumps() -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use rustix::process::{dumpable_behavior, getrlimit};

    use super::*;

    #[test]
    fn the_kernel_agreed() {
        keep_out_of_dumps().unwrap();
        assert!(matches!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable)));
        assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
    }
}
