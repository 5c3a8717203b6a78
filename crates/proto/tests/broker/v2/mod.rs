mod changed;
mod dialog;
mod fast;
mod parties;
mod signature;
