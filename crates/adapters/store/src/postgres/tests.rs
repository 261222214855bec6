mod databases;

pub(crate) use databases::fresh;
