//! What a reviewer found in the library, once each: what was wrong is named, and stays away.

#[path = "regressions/datagrams.rs"]
mod datagrams;
#[path = "support/deadline.rs"]
mod deadline;
#[path = "regressions/idle.rs"]
mod idle;
#[path = "regressions/leaving.rs"]
mod leaving;
#[path = "regressions/listeners.rs"]
mod listeners;
#[path = "regressions/mute.rs"]
mod mute;
#[path = "regressions/passed_over.rs"]
mod passed_over;
#[path = "regressions/refusing.rs"]
mod refusing;
#[path = "regressions/waits.rs"]
mod waits;
