//! The program as people and other programs use it: its commands, its nodes and their HTTP API.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails, as it should")]

mod process;
mod request;
mod running;

mod api;
mod cli;
mod datasets;
mod feeds;
mod mistakes;
mod proof;
