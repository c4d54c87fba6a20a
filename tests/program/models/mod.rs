//! Every server model through the same black-box suite, and the table of their capabilities.

mod children;
mod late;
mod limits;
mod refused;
mod shut;
mod suite;
mod table;
