//! A worker hands its sockets over to another server: the part of the protocol that needs the loop.

use epollite::event::Ready;
use epollite::kernel::close_quietly;
use epollite::{Errno, Fd, Interest, Received, Sent, Token, Trigger};

use super::{UserSource, Worker};
use crate::instrument::InstrumentedKernel;
use crate::operation::handover::SUCCESSOR_TIMEOUT;
use crate::operation::notify;
use crate::operation::takeover::{ANSWER_TIMEOUT, CLOSED, READY};

/// Successors that are answered in one turn; all but one are refused.
const SUCCESSORS_MAX: u32 = 16;

impl<K: InstrumentedKernel> Worker<K> {
    /// Adds the socket that a successor connects to. Edge-triggered: one that cannot be accepted,
    /// for lack of descriptors, must not be reported in every wait.
    pub(crate) fn open_control(&mut self, socket: Fd) -> Result<(), Errno> {
        let source = Box::new(UserSource::Control);
        let token = self.server.register(socket, Interest::READABLE, Trigger::Edge, source)?;
        if let Some(handover) = &mut self.handover {
            handover.control = Some(token);
        }
        Ok(())
    }

    /// Accepts successors. The first one gets the sockets, and this server goes on as before.
    pub(super) fn on_control(&mut self, control: Token) {
        for _ in 0..SUCCESSORS_MAX {
            let Some((_, mut io)) = self.server.get_mut(control) else { return };
            let Ok(Some((socket, _))) = io.accept() else { return };
            if let Err(why) = self.admit(socket) {
                let text = format!("takeover refused: {why}");
                self.log.event("takeover_refused", &text, &why);
            }
        }
        if let Some((_, mut io)) = self.server.get_mut(control) {
            io.requeue(Ready::READABLE);
        }
    }

    fn admit(&mut self, socket: Fd) -> Result<(), String> {
        let Some(handover) = self.handover.as_mut() else { return Ok(()) };
        let kernel = self.server.kernel();
        let result = match handover.successor {
            Some(_) => Err("another takeover is going on".into()),
            None => handover.send_sockets(kernel, &socket),
        };
        if let Err(why) = result {
            close_quietly(kernel, socket);
            return Err(why);
        }
        let source = Box::new(UserSource::Successor);
        let token = self
            .server
            .register(socket, Interest::READABLE, Trigger::Level, source)
            .map_err(|errno| format!("epoll_ctl: {errno}"))?;
        handover.successor = Some(token);
        let deadline = self.server.kernel().now() + SUCCESSOR_TIMEOUT;
        if let Some((_, mut io)) = self.server.get_mut(token) {
            io.set_deadline(deadline);
        }
        Ok(())
    }

    /// The successor is ready, has ended, or takes too long.
    pub(super) fn on_successor(&mut self, token: Token) {
        let mut byte = [0];
        let Some((_, mut io)) = self.server.get_mut(token) else { return };
        let is_ready = io.recv(&mut byte) == Ok(Received::Bytes(1)) && byte == [READY];
        // One that was ready and has ended since does not serve.
        if is_ready && io.recv(&mut byte) == Ok(Received::WouldBlock) {
            io.cancel_deadline();
            self.coordinator.request_handover(self.index);
            self.apply_requests();
            return;
        }
        self.close_successor();
        if !self.coordinator.is_handing_over() {
            let why = "the successor has ended, or does not serve in time";
            self.log.event("takeover_refused", &format!("takeover abandoned: {why}"), why);
        }
    }

    /// Tells the successor that no thread listens any more.
    pub(super) fn confirm_handover(&mut self) {
        let Some(handover) = &self.handover else { return };
        let serves_for = handover.serves_for;
        if let Some((_, mut io)) = handover.successor.and_then(|token| self.server.get_mut(token))
            && io.send(&[CLOSED]) != Ok(Sent::Bytes(1))
        {
            let why = "the successor has ended";
            self.log.event("takeover_unconfirmed", &format!("handed over: {why}"), why);
        }
        // The files are the successor's, and so is the service.
        self.socket_files.forget();
        notify::hand_over();
        self.close_handover();
        self.close_metrics();
        let text = "handed over to another server; connections are served until they end";
        self.log.event("handed_over", text, "taken over by another server");
        self.serves_until = Some(self.server.kernel().now() + serves_for);
        self.set_deadline();
    }

    /// Adds the connection to the server that this one replaces.
    pub(crate) fn open_predecessor(&mut self, connection: Fd) -> Result<(), Errno> {
        let source = Box::new(UserSource::Predecessor);
        let token = self.server.register(connection, Interest::READABLE, Trigger::Level, source)?;
        self.predecessor = Some(token);
        Ok(())
    }

    /// Tells the predecessor, if there is one, that this server serves. Its files become this
    /// server's with the answer: a server that ends before must not remove them, since its
    /// predecessor goes on.
    pub(crate) fn replace_predecessor(&mut self) {
        let deadline = self.server.kernel().now() + ANSWER_TIMEOUT;
        let token = self.predecessor;
        let Some((_, mut io)) = token.and_then(|token| self.server.get_mut(token)) else { return };
        io.set_deadline(deadline);
        if io.send(&[READY]) != Ok(Sent::Bytes(1)) {
            self.close_predecessor(Some("it has ended"));
        }
    }

    /// The predecessor accepts no more, or has ended.
    pub(super) fn on_predecessor(&mut self) {
        let mut byte = [0];
        let token = self.predecessor;
        let Some((_, mut io)) = token.and_then(|token| self.server.get_mut(token)) else { return };
        match io.recv(&mut byte) {
            Ok(Received::WouldBlock) => {}
            Ok(Received::Bytes(1)) if byte == [CLOSED] => self.close_predecessor(None),
            _ => self.close_predecessor(Some("it has ended")),
        }
    }

    /// Ends the takeover; with a reason, it was not confirmed. The files are this server's from
    /// here on even so: two servers that serve are better than none.
    pub(super) fn close_predecessor(&mut self, why: Option<&str>) {
        self.socket_files.give();
        self.drop_predecessor();
        if let Some(why) = why {
            let text = format!("taken over without an answer: {why}");
            self.log.event("takeover_unconfirmed", &text, why);
        }
    }

    fn drop_predecessor(&mut self) {
        let token = self.predecessor.take();
        if let Some((socket, _)) = token.and_then(|token| self.server.deregister(token)) {
            close_quietly(self.server.kernel(), socket);
        }
    }

    fn close_successor(&mut self) {
        let token = self.handover.as_mut().and_then(|handover| handover.successor.take());
        if let Some((socket, _)) = token.and_then(|token| self.server.deregister(token)) {
            close_quietly(self.server.kernel(), socket);
        }
    }

    /// Closes everything that is held for a successor.
    pub(super) fn close_handover(&mut self) {
        self.close_successor();
        self.drop_predecessor();
        let Some(handover) = self.handover.take() else { return };
        let control = handover.control.and_then(|token| self.server.deregister(token));
        if let Some((socket, _)) = control {
            close_quietly(self.server.kernel(), socket);
        }
        handover.close(self.server.kernel());
    }
}
