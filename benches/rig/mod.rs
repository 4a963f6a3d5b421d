//! The stand on which Weir is compared: processes, loads, and the table that comes of them.

pub mod failover;
pub mod goals;
pub mod loads;
pub mod providers;
pub mod rounds;
pub mod server;
pub mod stand;
pub mod table;
