//! Testing *your* handler without a network: a kernel in memory, a clock under your control, and
//! calls that fail on request.
//!
//! The handler below is code generic over `K: Kernel`. Here it runs on `Sim`; on `Linux` the same
//! code runs unchanged. Run it: `cargo run --example sim`.

use std::error::Error;
use std::time::Duration;

use epollite::instrument::{FaultInjector, FaultPlan};
use epollite::kernel::SocketType;
use epollite::sim::Sim;
use epollite::{Errno, Event, Interest, Kernel, Reactor, Received, Token, Trigger};

/// The handler under test: a connection that is idle for a second is closed.
struct IdleCloser<K: Kernel>(Reactor<(), K>);

impl<K: Kernel> IdleCloser<K> {
    fn add_connection(&mut self, socket: epollite::Fd) -> Result<Token, Box<dyn Error>> {
        let token = self.0.register_or_close(socket, Interest::READABLE, Trigger::Edge, ())?;
        self.reset_idle_timer(token);
        Ok(token)
    }

    fn reset_idle_timer(&mut self, token: Token) {
        let deadline = self.0.kernel().now() + Duration::from_secs(1);
        if let Some((_, mut io)) = self.0.get_mut(token) {
            io.set_deadline(deadline);
        }
    }

    /// Serves pending events; does not block.
    fn run_once(&mut self) -> Result<(), Errno> {
        let now = self.0.kernel().now();
        while let Some(event) = self.0.next(Some(now))? {
            match event {
                Event::Timer { token } => drop(self.0.close(token)),
                Event::Io { token, .. } => {
                    let Some((_, mut io)) = self.0.get_mut(token) else { continue };
                    match io.recv(&mut [0; 64]) {
                        Ok(Received::Bytes(_) | Received::WouldBlock) => {
                            self.reset_idle_timer(token)
                        }
                        Ok(Received::Eof) | Err(_) => drop(self.0.close(token)),
                    }
                }
                Event::Woken => {}
            }
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // One kernel; each process has its own descriptors, and leaks are reported at the end.
    let mut sim = Sim::default();
    let mut closer = IdleCloser(Reactor::with_kernel(sim.new_process())?);

    let (near, far) = closer.0.kernel().socketpair(SocketType::Stream)?;
    let token = closer.add_connection(near)?;
    sim.advance(Duration::from_millis(900));
    closer.0.kernel().send(&far, b"still here")?;
    closer.run_once()?;
    sim.advance(Duration::from_millis(900));
    closer.run_once()?;
    assert!(closer.0.get_mut(token).is_some());
    println!("after 1.8 s with data in between: still open");

    sim.advance(Duration::from_millis(200));
    closer.run_once()?;
    assert!(closer.0.get_mut(token).is_none());
    println!("after 1.1 s of silence: closed");
    closer.0.kernel().close(far)?;

    // The same handler on a kernel whose first epoll_ctl fails: nothing may leak.
    let faults = FaultPlan::once(0, Errno::ENOMEM).for_syscall(epollite::kernel::Syscall::EpollCtl);
    let mut closer =
        IdleCloser(Reactor::with_kernel(FaultInjector::new(sim.new_process(), faults))?);
    let (near, far) = closer.0.kernel().socketpair(SocketType::Stream)?;
    println!("no memory: {}", closer.add_connection(near).err().ok_or("it should have failed")?);
    closer.0.kernel().close(far)?;
    Ok(())
}
