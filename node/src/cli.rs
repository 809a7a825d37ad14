//! The command line: a noun and a verb; data on stdout, talk on stderr, the end in the exit code.

mod args;
mod assurance;
mod blob;
mod config;
mod credit;
mod door;
mod entry;
mod exec;
mod failure;
mod feed;
mod flags;
mod job;
mod key;
mod many;
mod node;
mod peer;
mod proof;
mod save;
mod show;
mod terminal;
mod tree;
mod trial;

pub use entry::main;
