//! What files, directories and clocks do to a server, one module per kind.
//!
//! Recovery's own tests go through every kind of damage; these show that the whole server keeps to the same verdicts, says
//! them clearly, and ends or goes on as it should.

mod clock;
mod damage;
mod directory;
mod storage;
mod torn_tail;
