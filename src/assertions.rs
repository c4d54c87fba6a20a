//! Whether mistakes of a caller, and of this crate, are asserted.
//!
//! Knows the features of the crate.

/// With the feature `capi` and without debug assertions, as the libraries for C are built, they are
/// not: the archive has no panic path, and what would be wrong is then an error or does nothing.
pub(crate) const ASSERTS: bool = cfg!(any(not(feature = "capi"), debug_assertions));
