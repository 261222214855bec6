//! Tasks that see paths of their own, run by the process runner through the real `ff-run`.

mod paths;
mod rig;
