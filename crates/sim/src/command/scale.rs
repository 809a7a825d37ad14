//! `sim scale`: what one job costs on networks of up to thousands of peers.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Deserialize;
use sim::{JobSize, Measured};

#[derive(Debug, Args)]
pub(crate) struct Scale {
    /// Networks, the units of the job on each, and its eligibility level if it is to be another than a submitter
    /// would choose: peers:units or peers:units:level.
    #[arg(
        long,
        env = "SIM_NETWORKS",
        value_delimiter = ',',
        value_parser = network_at_level,
        default_value = "10:100000,100:100000,1000:1000000,10000:1000000"
    )]
    networks: Vec<(usize, u64, Option<u8>)>,
    /// Units of a batch in these jobs, and how long one takes, in virtual milliseconds.
    #[arg(long, env = "SIM_BATCH", default_value_t = 1024)]
    batch: u32,
    #[arg(long, env = "SIM_UNIT_MS", default_value_t = 10)]
    unit_ms: u64,
    /// The network in which somebody comes late, or many leave, and the units of the job on it.
    #[arg(long, env = "SIM_SOME", value_parser = network, default_value = "300:20000")]
    some: (usize, u64),
    /// Idle peers that a job of 100 units meets.
    #[arg(long, env = "SIM_IDLE", default_value_t = 10_000)]
    idle: usize,
    #[arg(long, env = "SIM_SEED", default_value_t = 1)]
    seed: u64,
    /// Measure only these.
    #[arg(long, env = "SIM_ONLY", value_delimiter = ',', value_enum)]
    only: Vec<What>,
    /// Where every row is noted, as TOML. What is there already is not measured again.
    #[arg(long, env = "SIM_LOG")]
    log: Option<PathBuf>,
    /// Where the table goes, in place of standard output.
    #[arg(long, env = "SIM_MARKDOWN")]
    markdown: Option<PathBuf>,
    /// Where the pictures go: what a unit costs, and beside it, ending in `-peers.svg`, what a peer pays.
    #[arg(long, env = "SIM_SVG")]
    svg: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// One job on each network.
    Jobs,
    /// A node that comes late.
    Late,
    /// Three in ten peers leave at once.
    Leave,
    /// A small job and many idle peers.
    Herd,
}

fn network(text: &str) -> Result<(usize, u64), String> {
    let hint = "expected peers and units such as 100:100000";
    let (peers, units) = text.split_once(':').ok_or(hint)?;
    match (peers.parse(), units.parse()) {
        (Ok(peers), Ok(units)) if 3 <= peers && 0 < units => Ok((peers, units)),
        (Ok(_) | Err(_), Ok(_) | Err(_)) => Err(hint.to_owned()),
    }
}

fn network_at_level(text: &str) -> Result<(usize, u64, Option<u8>), String> {
    let (of, level) = match text.match_indices(':').nth(1) {
        Some((at, _)) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let (peers, units) = network(of)?;
    match level.map(str::parse::<u8>) {
        None => Ok((peers, units, None)),
        Some(Ok(level)) if level <= 32 => Ok((peers, units, Some(level))),
        Some(Ok(_) | Err(_)) => {
            Err("expected a level from 0 to 32 after the second colon".to_owned())
        }
    }
}

/// The rows so far.
#[derive(Debug, Default, Deserialize)]
struct Rows {
    #[serde(default)]
    row: Vec<Measured>,
}

impl Scale {
    pub(crate) fn run(&self) -> io::Result<bool> {
        let mut known = self.read_log()?;
        let mut rows = Vec::new();
        writeln!(io::stderr(), "{}", sim::heading())?;
        let Self { batch, unit_ms, some, idle, seed, .. } = *self;
        for (nodes, units, level) in
            self.networks.iter().filter(|_| self.wants(What::Jobs)).copied()
        {
            let job = || sim::one_job(nodes, JobSize { units, batch, unit_ms }, level, seed);
            rows.push(self.measure(&mut known, (sim::ONE_JOB, nodes, units), job)?);
        }
        let jobs = rows.len();
        let (some, units) = some;
        let size = JobSize { units, batch: 16, unit_ms: 1000 };
        if self.wants(What::Late) {
            let job = || sim::late_joiner(some, size, seed);
            rows.push(self.measure(&mut known, (sim::LATE_JOINER, some, size.units), job)?);
        }
        if self.wants(What::Leave) {
            let job = || sim::third_leaves(some, size, seed);
            rows.push(self.measure(&mut known, (sim::THIRD_LEAVES, some, size.units), job)?);
        }
        if self.wants(What::Herd) {
            rows.push(self.measure(&mut known, (sim::HERD, idle, 100), || sim::herd(idle, seed))?);
        }
        self.write(&rows, jobs)?;
        Ok(true)
    }

    /// A row from the log, or else a new one for it.
    fn measure(
        &self,
        known: &mut Rows,
        (what, nodes, units): (&str, usize, u64),
        job: impl FnOnce() -> Measured,
    ) -> io::Result<Measured> {
        let is_it = |row: &Measured| row.what == what && (row.nodes, row.units) == (nodes, units);
        if let Some(at) = known.row.iter().position(is_it) {
            return Ok(known.row.swap_remove(at));
        }
        let row = job();
        writeln!(io::stderr(), "{}", row.row())?;
        if let Some(path) = &self.log {
            let text = toml::to_string(&row).map_err(io::Error::other)?;
            let mut log = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
            write!(log, "[[row]]\n{text}\n")?;
        }
        Ok(row)
    }

    fn read_log(&self) -> io::Result<Rows> {
        match &self.log {
            Some(path) if path.exists() => {
                toml::from_str(&std::fs::read_to_string(path)?).map_err(io::Error::other)
            }
            Some(_) | None => Ok(Rows::default()),
        }
    }

    fn wants(&self, what: What) -> bool {
        self.only.is_empty() || self.only.contains(&what)
    }

    fn write(&self, rows: &[Measured], jobs: usize) -> io::Result<()> {
        let mut table = format!("{}\n", sim::heading());
        rows.iter().for_each(|row| table += &format!("{}\n", row.row()));
        match &self.markdown {
            Some(path) => std::fs::write(path, self.made_by() + &table)?,
            None => write!(io::stdout(), "{table}")?,
        }
        if let Some(path) = self.svg.as_ref().filter(|_| jobs != 0) {
            let (jobs, _) = rows.split_at(jobs);
            std::fs::write(path, sim::per_unit(jobs).to_svg())?;
            let stem = path.with_extension("");
            let beside = format!("{}-peers.svg", stem.display());
            std::fs::write(beside, sim::per_peer(jobs).to_svg())?;
        }
        Ok(())
    }

    /// How to make the file again.
    fn made_by(&self) -> String {
        let Self { networks, batch, unit_ms, some, idle, seed, only, .. } = self;
        let tell = |(nodes, units, level): &(usize, u64, Option<u8>)| {
            format!(
                "{nodes}:{units}{}",
                level.map_or_else(String::new, |level| format!(":{level}"))
            )
        };
        let networks: Vec<String> = networks.iter().map(tell).collect();
        let mut options = format!(
            "--networks {} --batch {batch} --unit-ms {unit_ms} --some {}:{} --idle {idle} --seed {seed}",
            networks.join(","),
            some.0,
            some.1
        );
        let names = only.iter().filter_map(ValueEnum::to_possible_value);
        let only: Vec<String> = names.map(|name| name.get_name().to_owned()).collect();
        if !only.is_empty() {
            options += &format!(" --only {}", only.join(","));
        }
        format!(
            "<!-- made by: cargo run --release -p sim -- scale {options} --markdown FILE --svg FILE -->\n"
        )
    }
}
