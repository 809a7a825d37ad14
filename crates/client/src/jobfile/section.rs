//! A table of a TOML document whose keys are all known: the strict reader under job files.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What is wrong at one byte of the document, and what to do about it.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) why: String,
    pub(super) hint: Option<String>,
}

/// A table without unknown keys. `name` says in errors where it stands.
#[derive(Debug)]
pub(super) struct Section<'t> {
    name: String,
    at: usize,
    table: &'t DeTable<'t>,
}

/// A value with its key, for errors.
#[derive(Clone, Debug)]
pub(super) struct Item<'t> {
    key: String,
    value: &'t Spanned<DeValue<'t>>,
}

impl Fault {
    pub(super) fn new(at: usize, why: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { at, why: why.into(), hint: Some(hint.into()) }
    }
}

impl<'t> Section<'t> {
    /// Refuses a table that has a key not among `known`.
    pub(super) fn new(
        name: impl Into<String>,
        span: Range<usize>,
        table: &'t DeTable<'t>,
        known: &[&str],
    ) -> Result<Self, Fault> {
        let name = name.into();
        let mut keys: Vec<_> = table.keys().collect();
        keys.sort_by_key(|key| key.span().start);
        match keys.iter().find(|key| !known.contains(&key.get_ref().as_ref())) {
            Some(unknown) => Err(unknown_key(unknown, &name, known)),
            None => Ok(Self { name, at: span.start, table }),
        }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn get(&self, key: &str) -> Option<Item<'t>> {
        let value = self.table.get(key)?;
        Some(Item { key: key.to_owned(), value })
    }

    pub(super) fn need(&self, key: &str, example: &str) -> Result<Item<'t>, Fault> {
        self.get(key).ok_or_else(|| {
            Fault::new(self.at, format!("{} lacks `{key}`", self.name), format!("add {example}"))
        })
    }
}

impl<'t> Item<'t> {
    pub(super) fn at(&self) -> usize {
        self.value.span().start
    }

    pub(super) fn refuse<T>(
        &self,
        why: impl AsRef<str>,
        hint: impl Into<String>,
    ) -> Result<T, Fault> {
        Err(Fault::new(self.at(), format!("`{}` {}", self.key, why.as_ref()), hint))
    }

    pub(super) fn string(&self) -> Result<&'t str, Fault> {
        match self.value.get_ref() {
            DeValue::String(text) => Ok(text),
            other => self.wrong_type("a string", other),
        }
    }

    /// An integer within `low..=high`.
    pub(super) fn integer(&self, low: u64, high: u64) -> Result<u64, Fault> {
        let DeValue::Integer(integer) = self.value.get_ref() else {
            return self.wrong_type("an integer", self.value.get_ref());
        };
        match u64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(value) if (low..=high).contains(&value) => Ok(value),
            Ok(_) | Err(_) => self
                .refuse(format!("is {}", integer.as_str()), format!("allowed is {low} to {high}")),
        }
    }

    /// A number from 0 to `high`, in parts per million.
    pub(super) fn share_ppm(&self, high: f64) -> Result<u32, Fault> {
        self.number(0.0, high).map(|share| (share * 1e6).round() as u32)
    }

    /// A number within `low..=high`.
    pub(super) fn number(&self, low: f64, high: f64) -> Result<f64, Fault> {
        let number: Option<f64> = match self.value.get_ref() {
            DeValue::Float(float) => float.as_str().parse().ok(),
            DeValue::Integer(integer) => integer.as_str().parse().ok(),
            other => return self.wrong_type("a number", other),
        };
        match number.filter(|number| (low..=high).contains(number)) {
            Some(number) => Ok(number),
            None => self.refuse("is out of range", format!("allowed is {low} to {high}")),
        }
    }

    pub(super) fn boolean(&self) -> Result<bool, Fault> {
        match self.value.get_ref() {
            DeValue::Boolean(yes) => Ok(*yes),
            other => self.wrong_type("true or false", other),
        }
    }

    pub(super) fn is_string(&self) -> bool {
        matches!(self.value.get_ref(), DeValue::String(_))
    }

    pub(super) fn list(&self) -> Result<Vec<Self>, Fault> {
        match self.value.get_ref() {
            DeValue::Array(array) => {
                Ok(array.iter().map(|value| Self { key: self.key.clone(), value }).collect())
            }
            other => self.wrong_type("a list", other),
        }
    }

    /// A string, or a number or boolean as it is written.
    pub(super) fn text(&self) -> Result<String, Fault> {
        match self.value.get_ref() {
            DeValue::String(text) => Ok(text.to_string()),
            DeValue::Integer(integer) if integer.radix() == 10 => Ok(integer.as_str().to_owned()),
            DeValue::Float(float) => Ok(float.as_str().to_owned()),
            DeValue::Boolean(yes) => Ok(yes.to_string()),
            other @ (DeValue::Integer(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_)) => {
                self.wrong_type("a string, a decimal number or a boolean", other)
            }
        }
    }

    pub(super) fn section(
        &self,
        name: impl Into<String>,
        known: &[&str],
    ) -> Result<Section<'t>, Fault> {
        Section::new(name, self.value.span(), self.table()?, known)
    }

    /// One value of a table that has not been checked yet.
    pub(super) fn inside(&self, key: &str) -> Option<Self> {
        let value = self.table().ok()?.get(key)?;
        Some(Self { key: key.to_owned(), value })
    }

    /// The entries of a table whose keys are the author's own, in the order they are written in.
    pub(super) fn entries(&self) -> Result<Vec<(&'t str, Self)>, Fault> {
        let mut entries: Vec<_> = self.table()?.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let item = |(key, value): (&'t Spanned<_>, _)| {
            let key: &'t std::borrow::Cow<'t, str> = key.get_ref();
            (key.as_ref(), Self { key: key.to_string(), value })
        };
        Ok(entries.into_iter().map(item).collect())
    }

    fn table(&self) -> Result<&'t DeTable<'t>, Fault> {
        match self.value.get_ref() {
            DeValue::Table(table) => Ok(table),
            other => self.wrong_type("a table", other),
        }
    }

    fn wrong_type<T>(&self, wanted: &str, found: &DeValue<'_>) -> Result<T, Fault> {
        self.refuse(
            format!("is of type {}", found.type_str()),
            format!("give {wanted}; docs/JOBS.md has an example of every key"),
        )
    }
}

fn unknown_key(key: &Spanned<impl AsRef<str>>, section: &str, known: &[&str]) -> Fault {
    let name: String = key.get_ref().as_ref().chars().take(80).collect();
    let list = known.join(", ");
    let near = known
        .iter()
        .map(|candidate| (distance(&name, candidate), *candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1));
    let hint = match near {
        Some((_, near)) => format!("did you mean `{near}`? known are {list}"),
        None => format!("known are {list}"),
    };
    Fault::new(key.span().start, format!("{section} has an unknown key `{name}`"), hint)
}

/// How many letters to put in, take out or change to make one word the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
