mod changed;
mod dialog;
mod parties;
