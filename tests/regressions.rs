//! What a reviewer found in the library, once each: what was wrong is named, and stays away.

#[path = "regressions/datagrams.rs"]
mod datagrams;
#[path = "regressions/leaving.rs"]
mod leaving;
#[path = "regressions/refusing.rs"]
mod refusing;
#[path = "regressions/waits.rs"]
mod waits;
