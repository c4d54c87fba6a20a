//! Makes two traces of one scenario comparable: names that a kernel chooses freely are normalized.
//!
//! Depends on syscall records, not on scenarios.

use std::collections::HashMap;

use epollite::Addr;
use epollite::instrument::{Argument, ReturnValue, SyscallRecord};
use epollite::net::UnixAddr;

/// Calls with that many bytes fill a buffer or drain it. How many calls that takes, and how much
/// each moves, is up to the kernel.
const BLOCK_BYTES: usize = 4_096;

/// The trace, call by call, with the n-th created descriptor as descriptor n, the n-th port as port
/// n, and a name chosen by the kernel by its position, too.
pub(crate) fn renamed(records: impl Iterator<Item = SyscallRecord>) -> Vec<String> {
    let mut names = Names::default();
    records.filter(|record| !moves_a_block(record)).map(|record| names.rename(record)).collect()
}

fn moves_a_block(record: &SyscallRecord) -> bool {
    let is_bytes = |argument: &Argument| match argument {
        Argument::Number(room) => usize::try_from(*room).is_ok_and(|room| room >= BLOCK_BYTES),
        _ => false,
    };
    matches!(record.name, "recvfrom" | "sendto" | "read" | "write")
        && record.arguments.iter().any(is_bytes)
}

/// The default buffer size is a setting of the machine, and so is the congestion control.
fn is_setting_of_the_machine(record: &SyscallRecord) -> bool {
    let settings = ["SO_SNDBUF", "SO_RCVBUF", "TCP_CONGESTION"].map(Argument::Name);
    record.name == "getsockopt" && record.arguments.get(2).is_some_and(|it| settings.contains(it))
}

#[derive(Default)]
struct Names {
    /// The open descriptors, by number.
    fds: HashMap<u32, u32>,
    made: u32,
    ports: Vec<u16>,
    chosen: Vec<UnixAddr>,
}

impl Names {
    fn rename(&mut self, mut record: SyscallRecord) -> String {
        for argument in &mut record.arguments {
            match argument {
                Argument::Fd(number) => *number = self.fd(*number),
                Argument::Pair(pair) => *pair = pair.map(|number| self.make(number)),
                Argument::Addr(addr) => *addr = self.addr(*addr),
                Argument::Messages(messages) => {
                    messages.iter_mut().for_each(|message| message.addr = self.addr(message.addr));
                }
                Argument::Message(message) => message.addr = self.addr(message.addr),
                Argument::MessageParts(message) => {
                    message.addr = message.addr.map(|addr| self.addr(addr));
                    let is_received = record.name == "recvmsg";
                    for number in &mut message.descriptors {
                        *number = if is_received { self.make(*number) } else { self.fd(*number) };
                    }
                }
                // The capacity of a queue is a setting of the machine.
                Argument::Value(bytes) if record.name == "ioctl" => *bytes = (*bytes).min(1),
                // The address of an untouched buffer.
                Argument::Address(at) => *at = 0,
                _ => {}
            }
        }
        if is_setting_of_the_machine(&record) {
            record.arguments.truncate(3);
        }
        if let Ok(ReturnValue::Fd(number)) = &mut record.result {
            *number = self.make(*number);
        }
        if record.name == "close"
            && let Some(Argument::Fd(serial)) = record.arguments.first()
        {
            self.fds.retain(|_, open| open != serial);
        }
        record.to_string()
    }

    fn make(&mut self, number: u32) -> u32 {
        self.made += 1;
        self.fds.insert(number, self.made);
        self.made
    }

    /// A descriptor not created in this scenario keeps its number: there should be none.
    fn fd(&self, number: u32) -> u32 {
        self.fds.get(&number).copied().unwrap_or(number)
    }

    fn addr(&mut self, addr: Addr) -> Addr {
        match addr {
            Addr::Unix(name) if name.as_abstract().is_some() => {
                let place = place(&mut self.chosen, name);
                let name = UnixAddr::abstract_name(format!("name {place}").as_bytes());
                Addr::Unix(name.expect("it is short"))
            }
            _ => match addr.port() {
                None | Some(0) => addr,
                Some(port) => addr.with_port(place(&mut self.ports, port)),
            },
        }
    }
}

/// The position of `item`, from 1; appended if it is new.
fn place<T: PartialEq>(list: &mut Vec<T>, item: T) -> u16 {
    let at = list.iter().position(|known| *known == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    });
    u16::try_from(at + 1).expect("a scenario is short")
}
