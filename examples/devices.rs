//! Descriptors of other kinds in the same loop: a timer, a child process, a file that is watched.
//!
//! ```text
//! cargo run --example devices
//! ```

use core::error::Error;
use core::time::Duration;
use std::io::Write;
use std::process::Command;

use epollite::kernel::{Access, Device, Devices};
use epollite::{Event, Interest, Kernel, Linux, Reactor, Trigger};

/// Ticks of the timer until it is removed.
const TICKS: u64 = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let mut reactor = Reactor::new()?;
    let period = Duration::from_millis(10);
    let timer = Linux.create(Device::Timer, None)?;
    Linux.timerfd_settime(&timer, period, period)?;
    reactor.register_or_close(timer, Interest::READABLE, Trigger::Level, "timer")?;

    let mut child = Command::new("true").spawn()?;
    let process = Linux.pidfd_open(child.id())?;
    reactor.register_or_close(process, Interest::READABLE, Trigger::Level, "child")?;

    let path = std::env::temp_dir().join(format!("epollite-devices-{}", std::process::id()));
    let mut file = std::fs::File::create(&path)?;
    let watched = Linux.open(path.to_str().ok_or("a path that is no text")?, Access::Read)?;
    let inotify = Linux.create(Device::Inotify, None)?;
    Linux.inotify_add_watch(&inotify, &watched)?;
    Linux.close(watched)?;
    reactor.register_or_close(inotify, Interest::READABLE, Trigger::Level, "file")?;
    file.write_all(b"changed")?;

    let mut ticks = 0;
    while !reactor.is_empty() {
        let Some(Event::Io { token, .. }) = reactor.next(None)? else { continue };
        let Some((&mut name, mut io)) = reactor.get_mut(token) else { continue };
        let mut buf = [0; 4096];
        match name {
            "timer" => {
                io.syscall(|kernel, fd| kernel.read(fd, &mut buf))?;
                // It counts expirations: a busy machine reports several at once.
                ticks += u64::from_ne_bytes(*buf.first_chunk().ok_or("a timer has 8 bytes")?);
                if ticks < TICKS {
                    continue;
                }
                println!("timer: {TICKS} ticks");
            }
            // A pidfd is readable when the process has ended, and has nothing to read.
            "child" => println!("child: {}", child.wait()?),
            _ => {
                io.syscall(|kernel, fd| kernel.read(fd, &mut buf))?;
                println!("file: changed");
            }
        }
        reactor.close(token);
    }
    std::fs::remove_file(path)?;
    Ok(())
}
