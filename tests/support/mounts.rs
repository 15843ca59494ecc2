//! Disks of a test's own: mounts in a namespace that goes with the process.

use std::path::Path;
use std::process::{Command, Stdio};

const INSIDE: &str = "CONSENTRY_TEST_MOUNTS";

/// Whether this process may mount, as `test` needs it. If not, the test runs once more in a process that may, and has
/// nothing left to do here; where no such process can be made, that is said, and nothing is tested.
pub fn may_mount(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let namespaces = [&["-m"][..], &["-U", "-r", "-m"]];
    let works = |flags: &&[&str]| {
        let probe = ["sh", "-c", "mount -t tmpfs tmpfs /mnt"];
        let probe = Command::new("unshare").args(*flags).args(probe).stderr(Stdio::null()).status();
        probe.is_ok_and(|status| status.success())
    };
    let Some(flags) = namespaces.iter().copied().find(works) else {
        eprintln!("{test} was skipped: it needs a mount, and neither root nor a user namespace may make one here");
        return false;
    };
    let again = Command::new("unshare")
        .args(flags)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&again.stdout) + String::from_utf8_lossy(&again.stderr);
    assert!(again.status.success() && said.contains("1 passed"), "{said}");
    print!("{said}");
    false
}

/// Runs `mount` and says whether it worked.
pub fn mount(options: &[&str], target: &Path) -> bool {
    Command::new("mount").args(options).arg(target).stderr(Stdio::null()).status().unwrap().success()
}

/// A small disk at `target`.
pub fn small_disk(target: &Path, size: &str) {
    assert!(mount(&["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "tmpfs"], target));
}

pub fn unmount(target: &Path) {
    assert!(Command::new("umount").arg(target).status().unwrap().success());
}
