//! Names of protocols, topics and DHT keys: all carry the network, so that networks cannot mix.

use libp2p::StreamProtocol;
use libp2p::gossipsub::{IdentTopic, TopicHash};
use protocol::{BlobId, FeedId, Hash, JobId, NetworkId, hash};

use crate::Topic;

/// What this network calls its protocols and topics.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    prefix: String,
}

impl Names {
    pub(crate) fn new(network: NetworkId) -> Self {
        let short: String = network.to_string().chars().take(16).collect();
        Self { prefix: format!("/dugnad/{short}") }
    }

    pub(crate) fn talk(&self) -> StreamProtocol {
        self.protocol("talk/1")
    }

    pub(crate) fn blob(&self) -> StreamProtocol {
        self.protocol("blob/2")
    }

    pub(crate) fn kad(&self) -> StreamProtocol {
        self.protocol("kad/1")
    }

    /// What identify calls the family of protocols.
    pub(crate) fn family(&self) -> String {
        format!("{}/1", self.prefix)
    }

    /// The part of gossipsub's protocol name before its version.
    pub(crate) fn gossip(&self) -> String {
        format!("{}/meshsub", self.prefix)
    }

    pub(crate) fn announcements(&self) -> IdentTopic {
        IdentTopic::new(format!("{}/announcements", self.prefix))
    }

    pub(crate) fn job(&self, job: JobId) -> IdentTopic {
        IdentTopic::new(format!("{}/job/{job}", self.prefix))
    }

    /// The topic of this name; `None` if it is not one of this network.
    pub(crate) fn topic(&self, name: &TopicHash) -> Option<Topic> {
        match name.as_str().strip_prefix(&self.prefix)? {
            "/announcements" => Some(Topic::Announcements),
            other => other.strip_prefix("/job/")?.parse().ok().map(Topic::Job),
        }
    }

    fn protocol(&self, name: &str) -> StreamProtocol {
        StreamProtocol::try_from_owned(format!("{}/{name}", self.prefix))
            .expect("it starts with a slash")
    }
}

/// A key of the DHT: what is provided, hashed under its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(Hash);

impl Key {
    /// Under which participants of a job are found.
    pub fn job(job: JobId) -> Self {
        Self(hash("dht job", &[job.as_bytes()]))
    }

    /// Under which the submitter of a feed is found, and whoever else has windows of it.
    pub fn feed(feed: FeedId) -> Self {
        Self(hash("dht feed", &[feed.as_bytes()]))
    }

    /// Under which holders of a blob are found: modules and roots of datasets, never single units.
    pub fn blob(blob: BlobId) -> Self {
        Self(hash("dht blob", &[blob.as_bytes()]))
    }

    pub(crate) fn record(self) -> libp2p::kad::RecordKey {
        libp2p::kad::RecordKey::new(self.0.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_read_back_in_its_own_network_only() {
        let (ours, other) = (NetworkId::named("ours"), NetworkId::named("other"));
        let (ours, other) = (Names::new(ours), Names::new(other));
        let job = JobId::new([9; 32]);
        assert_eq!(ours.topic(&ours.job(job).hash()), Some(Topic::Job(job)));
        assert_eq!(ours.topic(&ours.announcements().hash()), Some(Topic::Announcements));
        assert_eq!(ours.topic(&other.job(job).hash()), None);
        assert_eq!(ours.topic(&TopicHash::from_raw(format!("{}/job/x", ours.prefix))), None);
    }
}
