//! Tasks that see paths of their own, run by the process runner through the real `ff-run`.

mod artifacts;
mod paths;
mod rig;
mod sets;
mod volumes;
