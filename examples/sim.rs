//! Testing *your* handler without a network: a kernel in memory, a clock you hold, and calls
//! that fail when you say.
//!
//! The handler below is any code over `K: Kernel`. Here it runs on `Sim`; on `Linux` it is the
//! same code. Run it: `cargo run --example sim`.

use std::error::Error;
use std::time::Duration;

use epollite::{
    Errno, Event, Faults, Faulty, Interest, Kernel, Kind, Reactor, Received, Sim, Token, Trigger,
};

/// A handler to be tested: a guest may be silent for a second, then it is shown out.
struct Doorman<K: Kernel>(Reactor<(), K>);

impl<K: Kernel> Doorman<K> {
    fn greet(&mut self, guest: epollite::Fd) -> Result<Token, Box<dyn Error>> {
        let token = self.0.register_or_close(guest, Interest::READABLE, Trigger::Edge, ())?;
        self.wait_a_second(token);
        Ok(token)
    }

    fn wait_a_second(&mut self, token: Token) {
        let soon = self.0.kernel().now() + Duration::from_secs(1);
        if let Some(mut source) = self.0.source(token) {
            source.io.set_deadline(soon);
        }
    }

    /// Serves what is there; waits for nothing.
    fn turn(&mut self) -> Result<(), Errno> {
        let now = self.0.kernel().now();
        while let Some(event) = self.0.next(Some(now))? {
            match event {
                Event::Timer { token } => drop(self.0.close(token)),
                Event::Io { token, .. } => {
                    let Some(mut source) = self.0.source(token) else { continue };
                    match source.io.recv(&mut [0; 64]) {
                        Ok(Received::Bytes(_) | Received::Nothing) => self.wait_a_second(token),
                        Ok(Received::End) | Err(_) => drop(self.0.close(token)),
                    }
                }
                Event::Woken => {}
            }
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // One world; what each process opens is its own, and whatever it leaks is found at the end.
    let mut world = Sim::default();
    let mut doorman = Doorman(Reactor::on(world.process())?);

    let (near, far) = doorman.0.kernel().socketpair(Kind::Stream)?;
    let token = doorman.greet(near)?;
    world.advance(Duration::from_millis(900));
    doorman.0.kernel().send(&far, b"still here")?;
    doorman.turn()?;
    world.advance(Duration::from_millis(900));
    doorman.turn()?;
    assert!(doorman.0.source(token).is_some());
    println!("after 1.8 s, with a word between: still in");

    world.advance(Duration::from_millis(200));
    doorman.turn()?;
    assert!(doorman.0.source(token).is_none());
    println!("after 1.1 s of silence: shown out");
    doorman.0.kernel().close(far)?;

    // The same handler on a kernel whose first epoll_ctl fails: nothing may leak.
    let faults = Faults::once(0, Errno::ENOMEM).only(epollite::Call::EpollCtl);
    let mut doorman = Doorman(Reactor::on(Faulty::over(world.process(), faults))?);
    let (near, far) = doorman.0.kernel().socketpair(Kind::Stream)?;
    println!("no memory: {}", doorman.greet(near).err().ok_or("it should have failed")?);
    doorman.0.kernel().close(far)?;
    Ok(())
}
