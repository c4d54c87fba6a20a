//! What every model stands on: a kernel that is counted, a log, and figures.
//!
//! Knows neither sockets nor clients: how they are waited for is the model's affair.

use epollite::server::{datagram, stream};

use super::ledger::{Account, Ledger};
use crate::args::Echo;
use crate::log::Log;
use crate::meter::{Maker, Meter, Tally, Trace};
use crate::report::Snapshot;

/// Bytes that are read at once, and so the most that one client can make us hold. Any datagram
/// fits.
pub(super) const BUFFER_BYTES: usize = 64 << 10;

/// One thread's or one process' own.
pub(super) struct Stage<K: Meter> {
    pub(super) kernel: K,
    pub(super) log: Log,
    pub(super) open: u32,
    pub(super) stats: stream::Stats,
    pub(super) datagrams: datagram::Stats,
    pub(super) trace: Trace,
    maker: Option<Maker>,
    tally: Option<Tally>,
    account: Option<Account>,
}

impl<K: Meter> Stage<K> {
    pub(super) fn new(options: &Echo, trace: Trace, maker: Option<Maker>) -> Self {
        Self {
            kernel: K::fresh(),
            log: options.log,
            open: 0,
            stats: stream::Stats::default(),
            datagrams: datagram::Stats::default(),
            trace,
            maker,
            tally: options.is_counted.then(Tally::default),
            account: None,
        }
    }

    /// One for another thread or process of the same server, which has counted nothing yet.
    pub(super) fn another(&self, maker: Maker, ledger: &Ledger) -> Self {
        Self {
            kernel: K::fresh(),
            log: self.log,
            open: 0,
            stats: stream::Stats::default(),
            datagrams: datagram::Stats::default(),
            trace: self.trace.clone(),
            maker: Some(maker),
            tally: self.tally.map(|_| Tally::default()),
            account: Some(ledger.account(0)),
        }
    }

    /// From here on what is counted here is added up in `ledger`.
    pub(super) fn keep(&mut self, ledger: &Ledger) {
        self.account = Some(ledger.account(0));
    }

    /// Shows the calls that were made, and adds up what was counted since the last time.
    pub(super) fn settle(&mut self) {
        let snapshot = self.snapshot();
        if let Some(account) = &mut self.account {
            account.settle(snapshot);
        }
    }

    /// Shows and sums up the calls that were made, if that is wanted.
    pub(super) fn look(&mut self) {
        let Self { kernel, trace, maker, tally, .. } = self;
        show(kernel, trace, *maker, tally);
    }

    /// The same, of a kernel that somebody else has.
    pub(super) fn look_into(&mut self, kernel: &mut K) {
        let Self { trace, maker, tally, .. } = self;
        show(kernel, trace, *maker, tally);
    }

    pub(super) fn snapshot(&mut self) -> Snapshot {
        self.look();
        Snapshot {
            open: self.open.into(),
            stream: self.stats,
            datagram: self.datagrams,
            calls: self.kernel.counts(),
            tally: self.tally,
        }
    }
}

fn show<K: Meter>(kernel: &mut K, trace: &Trace, maker: Option<Maker>, tally: &mut Option<Tally>) {
    kernel.look(|record| {
        trace.line(maker, &record);
        if let Some(tally) = tally {
            tally.see(&record);
        }
    });
}
