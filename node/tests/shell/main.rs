//! What the shell promises its engine, each family of effects on its own, and nodes as a whole.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails, as it should")]

mod body;
mod guests;

mod a_job_runs_on_three_nodes;
mod bytes_are_fetched_and_checked;
mod jobs_go_out_on_the_networks_terms;
mod messages_are_opened_at_the_door;
mod one_owner_has_the_folder;
mod settings_say_what_is_wrong;
mod units_are_run_and_packed;
mod work_survives_a_kill;
