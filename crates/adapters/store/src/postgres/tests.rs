mod answers;
mod archive;
mod databases;
mod doctor;
mod faults;
mod migrations;
mod races;
mod retention;

pub(crate) use databases::fresh;
