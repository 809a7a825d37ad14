//! Reading the settings: file < environment < flags, each mistake named with its remedy.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::config::{Config, Setting};

/// A settings file is a page; whatever is longer is something else.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// Where settings come from, beside the file.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// Environment variables by name.
    pub env: BTreeMap<String, String>,
    /// What was said on the command line.
    pub flags: Vec<(Setting, String)>,
}

/// Who has set a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    File(PathBuf),
    Environment(&'static str),
    Flag,
}

/// A configuration, and where each of its values comes from.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    pub origins: BTreeMap<Setting, Origin>,
}

/// Why the settings could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{}: there is no setting `{key}`\nhint: {}", file.display(), suggestion(key))]
    Unknown { file: PathBuf, key: String },
    #[error("{}: `{key}` cannot be set in the file\nhint: use --data-dir or DUGNAD_DATA_DIR", file.display())]
    NotInFile { file: PathBuf, key: &'static str },
    #[error("{} = `{value}` ({origin}) is not usable\nhint: {hint}", setting.key())]
    Value { setting: Setting, value: String, origin: Origin, hint: &'static str },
    #[error("{} is not readable as TOML: {why}\nhint: each line is `key = value`, with text in quotes", file.display())]
    Syntax { file: PathBuf, why: String },
    #[error("{}: {source}\nhint: make it a file that this user can read and write", file.display())]
    Io { file: PathBuf, source: io::Error },
    #[error("{} is no folder\nhint: choose another with --data-dir or DUGNAD_DATA_DIR", folder.display())]
    NoFolder { folder: PathBuf },
    #[error(
        "no data folder: neither HOME nor XDG_DATA_HOME is set\nhint: use --data-dir or DUGNAD_DATA_DIR"
    )]
    NoDataDir,
}

impl Layers {
    /// This process's environment, and these flags.
    pub fn of_process(flags: Vec<(Setting, String)>) -> Self {
        let text = |(key, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((key.into_string().ok()?, value.into_string().ok()?))
        };
        Self { env: std::env::vars_os().filter_map(text).collect(), flags }
    }

    /// Puts the layers on top of each other, the file of the data folder lowest.
    ///
    /// # Errors
    /// [`ConfigError`] names the first key that cannot be used.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        let data_dir = self.data_dir()?;
        let mut loaded = Loaded {
            config: Config::new(data_dir.clone()),
            origins: Setting::ALL.iter().map(|setting| (*setting, Origin::Default)).collect(),
        };
        let file = Config::file_in(&data_dir);
        for (setting, value) in read_file(&file)? {
            loaded.take(setting, &value, Origin::File(file.clone()))?;
        }
        for setting in Setting::ALL {
            if let Some(value) = self.env.get(setting.env()) {
                loaded.take(*setting, value, Origin::Environment(setting.env()))?;
            }
        }
        for (setting, value) in &self.flags {
            loaded.take(*setting, value, Origin::Flag)?;
        }
        Ok(loaded)
    }

    fn data_dir(&self) -> Result<PathBuf, ConfigError> {
        let flag = self.flags.iter().rev().find(|(setting, _)| *setting == Setting::DataDir);
        let set = |name: &str| self.env.get(name).filter(|value| !value.is_empty());
        if let Some(path) = flag.map(|(_, value)| value).or_else(|| set(Setting::DataDir.env())) {
            return Ok(PathBuf::from(path));
        }
        let xdg = set("XDG_DATA_HOME").map(PathBuf::from);
        let home = || set("HOME").map(|home| Path::new(home).join(".local/share"));
        xdg.or_else(home).map(|base| base.join("dugnad")).ok_or(ConfigError::NoDataDir)
    }
}

impl Loaded {
    fn take(&mut self, setting: Setting, value: &str, origin: Origin) -> Result<(), ConfigError> {
        if let Err(hint) = setting.apply(value, &mut self.config) {
            let value = value.chars().take(120).collect();
            return Err(ConfigError::Value { setting, value, origin, hint });
        }
        self.origins.insert(setting, origin);
        Ok(())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// Sets one key in the file of a data folder, leaving all other lines as they are.
///
/// # Errors
/// [`ConfigError`] if the value is not usable, or the file cannot be read or written.
pub fn set_in_file(data_dir: &Path, setting: Setting, value: &str) -> Result<(), ConfigError> {
    let file = Config::file_in(data_dir);
    if setting == Setting::DataDir {
        return Err(ConfigError::NotInFile { file, key: setting.key() });
    }
    let mut tried = Loaded { config: Config::new(data_dir.to_owned()), origins: BTreeMap::new() };
    tried.take(setting, value, Origin::Flag)?;
    let line = format!("{} = {}", setting.key(), to_toml(setting, value));
    let old = read_text(&file)?.unwrap_or_default();
    let is_it = |line: &str| {
        line.split_once('=').is_some_and(|(key, _)| key.trim().trim_matches('"') == setting.key())
    };
    let mut lines: Vec<&str> = old.lines().collect();
    match lines.iter().position(|line| is_it(line)) {
        Some(at) => lines[at] = &line,
        None => lines.push(&line),
    }
    let new = lines.join("\n") + "\n";
    parse(&file, &new)?;
    replace(&file, &new).map_err(|source| ConfigError::Io { file, source })
}

fn read_file(file: &Path) -> Result<Vec<(Setting, String)>, ConfigError> {
    read_text(file)?.map_or(Ok(Vec::new()), |text| parse(file, &text))
}

fn read_text(file: &Path) -> Result<Option<String>, ConfigError> {
    let io = |source| ConfigError::Io { file: file.to_owned(), source };
    match std::fs::metadata(file) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) if e.kind() == ErrorKind::NotADirectory => {
            let folder = file.parent().unwrap_or(file).to_owned();
            return Err(ConfigError::NoFolder { folder });
        }
        Err(e) => return Err(io(e)),
        Ok(meta) if FILE_BYTES_MAX < meta.len() => {
            return Err(io(io::Error::from(ErrorKind::FileTooLarge)));
        }
        Ok(_) => {}
    }
    std::fs::read_to_string(file).map(Some).map_err(io)
}

fn parse(file: &Path, text: &str) -> Result<Vec<(Setting, String)>, ConfigError> {
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| ConfigError::Syntax {
        file: file.to_owned(),
        why: e.to_string().trim_end().replace('\n', "\n  "),
    })?;
    table.into_iter().map(|(key, value)| read_key(file, key, value)).collect()
}

fn read_key(
    file: &Path,
    key: String,
    value: toml::Value,
) -> Result<(Setting, String), ConfigError> {
    let setting = Setting::named(&key)
        .ok_or_else(|| ConfigError::Unknown { file: file.to_owned(), key: key.clone() })?;
    if setting == Setting::DataDir {
        return Err(ConfigError::NotInFile { file: file.to_owned(), key: setting.key() });
    }
    let refused = |value: toml::Value, hint| ConfigError::Value {
        setting,
        value: value.to_string().chars().take(120).collect(),
        origin: Origin::File(file.to_owned()),
        hint,
    };
    let text = match value {
        toml::Value::String(text) => text,
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Boolean(on) => on.to_string(),
        toml::Value::Array(items) if setting.is_list() => {
            let texts: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            match texts {
                Some(texts) => texts.join(","),
                None => return Err(refused(toml::Value::Array(items), "write a list of texts")),
            }
        }
        other @ (toml::Value::Array(_)
        | toml::Value::Float(_)
        | toml::Value::Datetime(_)
        | toml::Value::Table(_)) => {
            return Err(refused(other, "write one text, number or true/false"));
        }
    };
    Ok((setting, text))
}

fn to_toml(setting: Setting, value: &str) -> String {
    let text = |text: &str| toml::Value::String(text.to_owned()).to_string();
    if setting.is_list() {
        let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty()).map(text);
        return format!("[{}]", parts.collect::<Vec<_>>().join(", "));
    }
    if value == "true" || value == "false" || value.parse::<u32>().is_ok() {
        value.to_owned()
    } else {
        text(value)
    }
}

fn replace(file: &Path, text: &str) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(text.as_bytes())?;
    new.as_file().sync_all()?;
    new.persist(file)?;
    Ok(())
}

fn suggestion(key: &str) -> String {
    let keys = Setting::ALL.iter().filter(|setting| **setting != Setting::DataDir);
    let near = keys.clone().map(|setting| (distance(key, setting.key()), setting.key())).min();
    match near {
        Some((steps, near)) if steps <= 3 => format!("did you mean `{near}`?"),
        Some(_) | None => {
            let all: Vec<&str> = keys.map(|setting| setting.key()).collect();
            format!("there are {}", all.join(", "))
        }
    }
}

/// How many letters must be added, left out or changed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.chars().enumerate() {
            let change = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(corner + 1);
        }
    }
    row[row.len() - 1]
}
