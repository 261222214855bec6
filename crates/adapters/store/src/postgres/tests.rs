mod databases;
mod doctor;
mod faults;
mod migrations;
mod races;

pub(crate) use databases::fresh;
