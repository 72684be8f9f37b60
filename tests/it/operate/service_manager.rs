//! What a service manager hears by `NOTIFY_SOCKET`: ready, reloading, ready again, stopping.

use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::house::House;
use crate::world::daemon::{binary, ended};

struct Unit {
    child: Child,
    notices: UnixDatagram,
}

impl Drop for Unit {
    fn drop(&mut self) {
        // It has ended, or is to end now.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Unit {
    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    fn hears(&self) -> String {
        let begun = Instant::now();
        let mut notice = [0; 1024];
        while begun.elapsed() < Duration::from_secs(30) {
            if let Ok(count) = self.notices.recv(&mut notice) {
                return String::from_utf8_lossy(&notice[..count]).into_owned();
            }
        }
        panic!("the service manager hears nothing")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_hears_ready_reloading_and_stopping() {
    let house = House::furnish(75, "").await;
    let socket = house.folder.path().join("manager");
    let notices = UnixDatagram::bind(&socket).unwrap();
    notices.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let child = Command::new(binary().unwrap())
        .args(["serve", "--config"])
        .arg(&house.daemon.config)
        .env("NOTIFY_SOCKET", &socket)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut unit = Unit { child, notices };
    assert_eq!(unit.hears().trim(), "READY=1");
    unit.signal(Signal::SIGHUP);
    let reloading = unit.hears();
    assert!(reloading.contains("RELOADING=1") && reloading.contains("MONOTONIC_USEC="), "{reloading}");
    assert_eq!(unit.hears().trim(), "READY=1");
    unit.signal(Signal::SIGTERM);
    assert_eq!(unit.hears().trim(), "STOPPING=1");
    assert!(ended(&mut unit.child, Duration::from_secs(40)).unwrap().success());
}
