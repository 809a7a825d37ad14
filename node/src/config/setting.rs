//! The settings one by one: their names, what a text means to them, and how they are shown.

use std::net::SocketAddr;
use std::path::PathBuf;

use net::Reachability;

use crate::config::Config;

/// Slower, others would take this node for one that hangs.
const RATE_MIN: u64 = 64 << 10;
/// Two core-days of minting: nobody would join a network that asks for more.
const STAMP_BITS_MAX: u8 = 24;
/// A stamp that costs 65 times the job's own work.
const JOB_STAMP_MAX: u8 = 16;

macro_rules! settings {
    ($($variant:ident $key:literal $env:literal $about:literal,)*) => {
        /// One key of the configuration.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Setting { $(#[doc = $about] $variant,)* }

        impl Setting {
            /// All of them, in the order in which they are shown.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in the file.
            pub const fn key(self) -> &'static str {
                match self { $(Self::$variant => $key,)* }
            }

            /// Its environment variable.
            pub const fn env(self) -> &'static str {
                match self { $(Self::$variant => $env,)* }
            }

            /// What it is for, in one line.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$variant => $about,)* }
            }
        }
    };
}

settings! {
    DataDir "data_dir" "DUGNAD_DATA_DIR" "The folder of key, store and settings; not in the file, which lies in it.",
    Network "network" "DUGNAD_NETWORK" "The network's name; only nodes that use the same name meet.",
    Listen "listen" "DUGNAD_LISTEN" "Multiaddresses to listen on.",
    Bootstrap "bootstrap" "DUGNAD_BOOTSTRAP" "Multiaddresses of peers to join the network by.",
    External "external" "DUGNAD_EXTERNAL" "Multiaddresses at which others reach this node, such as a forwarded port.",
    Mdns "mdns" "DUGNAD_MDNS" "Whether to look for peers on the local network.",
    Reachability "reachability" "DUGNAD_REACHABILITY" "Whether others can reach this node: auto, public or private.",
    Cores "cores" "DUGNAD_CORES" "Units that may run at the same time.",
    Memory "memory" "DUGNAD_MEMORY" "Memory that one unit may ask for.",
    Storage "storage" "DUGNAD_STORAGE" "What all blobs together may take on disk.",
    UploadLimit "upload-limit" "DUGNAD_UPLOAD_LIMIT" "Bytes of blobs per second that this node sends, such as 2 MB; off is no limit.",
    DownloadLimit "download-limit" "DUGNAD_DOWNLOAD_LIMIT" "Bytes of blobs per second that this node fetches; off is no limit.",
    Works "works" "DUGNAD_WORKS" "Whether to work on others' jobs.",
    Keeps "keeps" "DUGNAD_KEEPS" "Whether to keep others' jobs for them.",
    StampBits "stamp-bits" "DUGNAD_STAMP_BITS" "Bits of the stamp that identities need in this network; 0 asks for none.",
    JobStamp "job-stamp" "DUGNAD_JOB_STAMP" "Bits of a stranger's job stamp beyond 0.1 % of its work; off asks for none.",
    Api "api" "DUGNAD_API" "Where the HTTP API listens; port 0 lets the system choose.",
    Log "log" "DUGNAD_LOG" "What is logged, such as info or net=debug,info.",
}

impl Setting {
    /// The setting of this name.
    pub fn named(key: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|setting| setting.key() == key)
    }

    /// Whether several values are written, separated by commas.
    pub const fn is_list(self) -> bool {
        matches!(self, Self::Listen | Self::Bootstrap | Self::External)
    }

    /// Gives `text` to the configuration, or says what it should look like.
    ///
    /// # Errors
    /// The form that the value must have.
    pub fn apply(self, text: &str, config: &mut Config) -> Result<(), &'static str> {
        match self {
            Self::DataDir => config.data_dir = parse_path(text)?,
            Self::Network => config.network = parse_name(text)?,
            Self::Listen => config.listen = parse_addresses(text)?,
            Self::Bootstrap => config.bootstrap = parse_addresses(text)?,
            Self::External => config.external = parse_addresses(text)?,
            Self::Mdns => config.mdns = parse_bool(text)?,
            Self::Reachability => config.reachability = parse_reachability(text)?,
            Self::Cores => config.cores = parse_cores(text)?,
            Self::Memory => config.memory_bytes = parse_size(text)?,
            Self::Storage => config.storage_bytes = parse_storage(text)?,
            Self::UploadLimit => config.upload_limit = parse_rate(text)?,
            Self::DownloadLimit => config.download_limit = parse_rate(text)?,
            Self::Works => config.works = parse_bool(text)?,
            Self::Keeps => config.keeps = parse_bool(text)?,
            Self::StampBits => config.stamp_bits = parse_stamp_bits(text)?,
            Self::JobStamp => config.job_stamp = parse_job_stamp(text)?,
            Self::Api => config.api = parse_api(text)?,
            Self::Log => config.log = parse_log(text)?,
        }
        Ok(())
    }

    /// The value as [`Setting::apply`] reads it.
    pub fn show(self, config: &Config) -> String {
        match self {
            Self::DataDir => config.data_dir.display().to_string(),
            Self::Network => config.network.clone(),
            Self::Listen => config.listen.join(","),
            Self::Bootstrap => config.bootstrap.join(","),
            Self::External => config.external.join(","),
            Self::Mdns => config.mdns.to_string(),
            Self::Reachability => match config.reachability {
                Reachability::Auto => "auto".to_owned(),
                Reachability::Public => "public".to_owned(),
                Reachability::Private => "private".to_owned(),
            },
            Self::Cores => config.cores.to_string(),
            Self::Memory => show_size(config.memory_bytes),
            Self::Storage => show_size(config.storage_bytes),
            Self::UploadLimit => show_rate(config.upload_limit),
            Self::DownloadLimit => show_rate(config.download_limit),
            Self::Works => config.works.to_string(),
            Self::Keeps => config.keeps.to_string(),
            Self::StampBits => config.stamp_bits.to_string(),
            Self::JobStamp => {
                config.job_stamp.map_or_else(|| "off".to_owned(), |bits| bits.to_string())
            }
            Self::Api => config.api.to_string(),
            Self::Log => config.log.clone(),
        }
    }
}

fn parse_path(text: &str) -> Result<PathBuf, &'static str> {
    if text.is_empty() { Err("write the path of a folder") } else { Ok(PathBuf::from(text)) }
}

fn parse_name(text: &str) -> Result<String, &'static str> {
    let fits = !text.trim().is_empty() && text.len() <= 64 && !text.chars().any(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err("write a name of 1 to 64 bytes") }
}

fn parse_addresses(text: &str) -> Result<Vec<String>, &'static str> {
    let all: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    if 64 < all.len() {
        return Err("write at most 64 addresses");
    }
    let known = ["/ip4/", "/ip6/", "/dns/", "/dns4/", "/dns6/", "/dnsaddr/"];
    if all.iter().any(|address| !known.iter().any(|start| address.starts_with(start))) {
        return Err("write multiaddresses such as /ip4/192.0.2.1/tcp/4114, separated by commas");
    }
    Ok(all.into_iter().map(str::to_owned).collect())
}

fn parse_bool(text: &str) -> Result<bool, &'static str> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("write true or false"),
    }
}

fn parse_reachability(text: &str) -> Result<Reachability, &'static str> {
    match text {
        "auto" => Ok(Reachability::Auto),
        "public" => Ok(Reachability::Public),
        "private" => Ok(Reachability::Private),
        _ => Err("write auto, public or private"),
    }
}

fn parse_cores(text: &str) -> Result<usize, &'static str> {
    let cores = text.parse().ok().filter(|cores| (1..=1024).contains(cores));
    cores.ok_or("write a number from 1 to 1024; works = false lends nothing")
}

fn parse_size(text: &str) -> Result<u64, &'static str> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let scale: u64 = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err("write a size such as 512 MiB or 20 GB"),
    };
    let size = number.parse::<u64>().ok().and_then(|number| number.checked_mul(scale));
    size.ok_or("write a size such as 512 MiB or 20 GB")
}

fn parse_storage(text: &str) -> Result<u64, &'static str> {
    let size = parse_size(text)?;
    if size < 64 << 20 { Err("write a size of at least 64 MiB") } else { Ok(size) }
}

fn parse_rate(text: &str) -> Result<Option<u64>, &'static str> {
    let form = "write off, or bytes per second such as 2 MB, at least 64 KiB";
    match text {
        "off" => Ok(None),
        _ => match parse_size(text).map_err(|_| form)? {
            rate if rate < RATE_MIN => Err(form),
            rate => Ok(Some(rate)),
        },
    }
}

fn parse_stamp_bits(text: &str) -> Result<u8, &'static str> {
    let bits = text.parse().ok().filter(|bits| *bits <= STAMP_BITS_MAX);
    bits.ok_or("write a number from 0 to 24; each bit doubles the work, and 14 take minutes")
}

fn parse_job_stamp(text: &str) -> Result<Option<u8>, &'static str> {
    if text == "off" {
        return Ok(None);
    }
    let bits = text.parse().ok().filter(|bits| *bits <= JOB_STAMP_MAX);
    bits.map(Some).ok_or("write off, or a number from 0 to 16; each bit doubles the price")
}

fn parse_api(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "write an address and a port such as 127.0.0.1:4115")
}

fn parse_log(text: &str) -> Result<String, &'static str> {
    let parsed = tracing_subscriber::EnvFilter::try_new(text);
    parsed.map(|_| text.to_owned()).map_err(|_| "write a level such as info, or net=debug,info")
}

fn show_rate(rate: Option<u64>) -> String {
    rate.map_or_else(|| "off".to_owned(), show_size)
}

fn show_size(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let even = units.into_iter().find(|(shift, _)| bytes != 0 && bytes.is_multiple_of(1 << shift));
    match even {
        Some((shift, unit)) => format!("{} {unit}", bytes >> shift),
        None => bytes.to_string(),
    }
}
