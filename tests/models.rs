//! Every server model through the same black-box suite, and the table of what each can do.

#[expect(dead_code, reason = "each test of the program uses its own part of the support")]
mod support;

#[path = "models/children.rs"]
mod children;
#[path = "models/late.rs"]
mod late;
#[path = "models/limits.rs"]
mod limits;
#[path = "models/refused.rs"]
mod refused;
#[path = "models/shut.rs"]
mod shut;
#[path = "models/suite.rs"]
mod suite;
#[path = "models/table.rs"]
mod table;
