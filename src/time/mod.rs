//! Time, by what it is for: a run's deadline, files read within one, the pauses between rounds, durations and
//! dates as Kubernetes writes them.

pub mod backoff;
pub mod date;
pub mod deadline;
pub mod duration;
pub mod reading;
