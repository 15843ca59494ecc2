//! Who can get at the memory of a proxy that keeps a ledger: no core dump is written, and no other process of the same
//! user may look. What root reads from a running process is not promised here.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::eventually;
use crate::support::ledger::Place;

/// A user who owns nothing.
const NOBODY: &str = "65534";

/// What `sh` does with `script` in the place, at best as an ordinary user: root may look into everything.
fn shell(place: &Place, script: &str, as_nobody: bool) -> Command {
    let user = format!("--reuid={NOBODY}");
    let group = format!("--regid={NOBODY}");
    let sh = ["sh", "-c", script];
    let mut command = if as_nobody {
        let mut command = Command::new("setpriv");
        command.args([&*user, &*group, "--clear-groups"]).args(sh);
        command
    } else {
        let mut command = Command::new("sh");
        command.args(&sh[1..]);
        command
    };
    command.current_dir(place.directory.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Runs `script`, which becomes a proxy, until it records.
fn proxy(place: &Place, before: &str, as_nobody: bool) -> Child {
    let script = format!("{before} exec {} run --config c.toml", env!("CARGO_BIN_EXE_consentry"));
    let process = shell(place, &script, as_nobody).spawn().unwrap();
    let journal = place.directory.path().join("data/ledger.sqlite");
    eventually("it keeps a journal", || std::fs::metadata(&journal).is_ok_and(|file| file.len() > 0));
    process
}

#[test]
fn an_abort_leaves_no_core_dump() {
    let place = Place::new();
    let control = shell(&place, "ulimit -c unlimited && kill -ABRT $$", false).status().unwrap();
    if !control.core_dumped() {
        eprintln!("skipped: no program leaves a core dump here (ulimit, or kernel.core_pattern)");
        return;
    }
    let mut process = proxy(&place, "ulimit -c unlimited &&", false);
    assert!(Command::new("kill").args(["-ABRT", &process.id().to_string()]).status().unwrap().success());
    let status = process.wait().unwrap();
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));
}

/// Whether an ordinary user may read the layout and the memory of their own process `pid`.
fn can_look(place: &Place, pid: u32, as_nobody: bool) -> bool {
    let look = format!("head -c 1 /proc/{pid}/maps | grep -q . && head -c 1 /proc/{pid}/environ > /dev/null");
    shell(place, &look, as_nobody).status().unwrap().success()
}

#[test]
fn another_process_of_the_same_user_may_not_look_into_the_memory() {
    let place = Place::new();
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        let given = Command::new("chown").args(["-R", NOBODY]).arg(place.directory.path()).status().unwrap();
        let runs = shell(&place, &format!("{} --version", env!("CARGO_BIN_EXE_consentry")), true).status();
        if !given.success() || !runs.is_ok_and(|status| status.success()) {
            eprintln!("skipped: root may look into everything, and no other user can run the program here");
            return;
        }
    }
    let mut control = shell(&place, "exec sleep 60", is_root).spawn().unwrap();
    let is_asleep = |path: &Path| std::fs::read_to_string(path).is_ok_and(|name| name.trim() == "sleep");
    eventually("it sleeps", || is_asleep(format!("/proc/{}/comm", control.id()).as_ref()));
    assert!(can_look(&place, control.id(), is_root), "into other programs, they may");
    let mut process = proxy(&place, "", is_root);
    std::thread::sleep(Duration::from_millis(200));
    assert!(process.try_wait().unwrap().is_none(), "it runs");
    assert!(!can_look(&place, process.id(), is_root));
    for child in [&mut control, &mut process] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
