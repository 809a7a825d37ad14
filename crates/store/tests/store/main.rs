//! The store on a temporary folder, and in processes that are killed.

mod blobs;
mod corrupt;
mod crash;
mod full_disk;
mod ground;
mod journal;
mod opening;
mod partials;
mod quota;
