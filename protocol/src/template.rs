//! Templates in arguments: `{name}` stands for a unit's own value, `{{` and `}}` for braces.

/// A parsed argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template<'a>(Vec<Piece<'a>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Value(&'a str),
}

impl<'a> Template<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            pieces.push(Piece::Text(before));
            if brace.starts_with("{{") || brace.starts_with("}}") {
                pieces.push(Piece::Text(&brace[..1]));
                rest = &brace[2..];
            } else if let Some(end) = brace.starts_with('{').then(|| brace.find('}')).flatten() {
                pieces.push(Piece::Value(&brace[1..end]));
                rest = &brace[end + 1..];
            } else {
                return Err(
                    "a brace without its partner; write `{{` or `}}` for a brace itself".to_owned()
                );
            }
        }
        pieces.push(Piece::Text(rest));
        Ok(Self(pieces))
    }

    pub(crate) fn check(&self, names: &[&str]) -> Result<(), String> {
        let unknown = self.0.iter().find_map(|piece| match piece {
            Piece::Value(name) if !names.contains(name) => Some(*name),
            Piece::Value(_) | Piece::Text(_) => None,
        });
        match unknown {
            None => Ok(()),
            Some(name) => {
                Err(format!("`{{{name}}}` is not known here; there are {}", names.join(", ")))
            }
        }
    }

    /// The text with every value put in; unknown names were refused with the manifest.
    pub(crate) fn fill(&self, values: &[(&str, String)]) -> String {
        let value =
            |name: &str| values.iter().find(|(n, _)| *n == name).map_or("", |(_, v)| v.as_str());
        self.0
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text,
                Piece::Value(name) => value(name),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str) -> Result<String, String> {
        let template = Template::parse(text)?;
        template.check(&["index", "x"])?;
        Ok(template.fill(&[("index", "7".to_owned()), ("x", "1.5".to_owned())]))
    }

    #[test]
    fn values_are_put_in_and_braces_can_be_written() {
        assert_eq!(fill("--n={index},{x}"), Ok("--n=7,1.5".to_owned()));
        assert_eq!(fill("{{index}}"), Ok("{index}".to_owned()));
        assert_eq!(fill(""), Ok(String::new()));
        assert!(fill("{y}").is_err_and(|why| why.contains("index, x")));
        assert!(fill("a } b").is_err());
        assert!(fill("a { b").is_err());
    }
}
