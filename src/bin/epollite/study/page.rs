//! The pages of `epollite study` on a terminal of 80 columns: text made from reports. Runs nothing.

mod facts;
mod glossary;
mod list;
mod one;
mod side_by_side;
mod start;

pub(super) use facts::facts;
pub(super) use glossary::glossary;
pub(super) use list::list;
pub(super) use one::{experiment, explanation, heading, model_result, step};
pub(super) use side_by_side::{Column, side_by_side};
pub(super) use start::{next, start};
