mod changed;
mod dialog;
mod foreign;
mod parties;
mod signature;
mod symmetric;
