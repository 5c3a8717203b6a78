mod changed;
mod dialog;
mod parties;
mod signature;
mod symmetric;
