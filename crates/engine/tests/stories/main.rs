//! Stories of one engine: what happens to it, and exactly what it asks for.

mod a_job_fails;
mod a_job_is_cancelled_or_expires;
mod a_keeper_is_asked;
mod a_node_restarts;
mod a_peer_is_not_eligible;
mod a_submitter_publishes;
mod a_unit_never_ends;
mod a_worker_takes_a_batch;
mod a_worker_vanishes;
mod keepers_look_after_each_other;
mod only_what_is_sealed_is_remembered;
mod outcomes_are_withheld;
mod strangers_announce_a_job;
mod told;
mod what_was_read_is_revoked;
mod words_are_lost;
