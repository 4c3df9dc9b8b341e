//! What the environment and the command line set, read once, every problem reported at once.

use std::fmt;
use std::path::PathBuf;

use crate::search::cursor::CursorKey;
use crate::store::Key;

/// Where records are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// One SQLite file, for the processes of one machine.
    Sqlite(PathBuf),
}

/// What is stored at the start if it is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seed {
    /// The one record of the original system, as `Patient/P123456`.
    Builtin,
    /// A file with a resource or a Bundle.
    File(PathBuf),
}

/// All that can be set.
#[derive(Clone)]
pub struct Settings {
    /// `AORTA_FHIR_DATABASE`
    pub database: Database,
    /// `AORTA_FHIR_SEED`
    pub seed: Option<Seed>,
    /// `AORTA_FHIR_ROOT`
    pub root: Option<Key>,
    /// `AORTA_FHIR_CURSOR_KEY`
    pub cursor_key: Option<CursorKey>,
}

/// All that is wrong, each line naming the variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

/// A cursor key that is shorter could be guessed.
const CURSOR_KEY_CHARS_MIN: usize = 16;

impl Settings {
    /// Reads the variables that `look_up` knows; an empty one counts as absent.
    pub fn read(look_up: impl Fn(&str) -> Option<String>) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let look_up = |name: &str| look_up(name).filter(|value| !value.is_empty());
        let database = look_up("AORTA_FHIR_DATABASE").ok_or_else(|| "is not set".to_owned());
        let database = database.and_then(|url| Database::parse(&url));
        let database = database
            .map_err(|what| problems.push(format!("AORTA_FHIR_DATABASE {what}; right would be sqlite:PATH")));
        let root = look_up("AORTA_FHIR_ROOT").and_then(|text| {
            let key = key(&text);
            if key.is_none() {
                problems.push("AORTA_FHIR_ROOT names no resource; right would be Patient/P123456".into());
            }
            key
        });
        let secret = look_up("AORTA_FHIR_CURSOR_KEY");
        if secret.as_ref().is_some_and(|secret| secret.chars().count() < CURSOR_KEY_CHARS_MIN) {
            problems.push(format!(
                "AORTA_FHIR_CURSOR_KEY is too short; right would be {CURSOR_KEY_CHARS_MIN} characters or more"
            ));
        }
        let seed = look_up("AORTA_FHIR_SEED").map(|seed| match seed.as_str() {
            "builtin" => Seed::Builtin,
            path => Seed::File(path.into()),
        });
        match database {
            Ok(database) if problems.is_empty() => {
                let cursor_key = secret.map(|secret| CursorKey::from_secret(&secret));
                Ok(Self { database, seed, root, cursor_key })
            }
            _ => Err(Problems(problems)),
        }
    }
}

impl Database {
    /// Reads `sqlite:PATH`.
    pub fn parse(url: &str) -> Result<Self, String> {
        match url.split_once(':') {
            Some(("sqlite", "" | ":memory:")) => Err("names no file".into()),
            // The rest could hold a password: it is not repeated.
            Some(("sqlite", path)) => Ok(Self::Sqlite(path.strip_prefix("//").unwrap_or(path).into())),
            Some(("postgres" | "postgresql", _)) => {
                Err("names PostgreSQL, which this version does not speak yet".into())
            }
            _ => Err("names no database that this version speaks".into()),
        }
    }
}

fn key(text: &str) -> Option<Key> {
    let (kind, id) = text.split_once('/')?;
    Some(Key { kind: kind.parse().ok()?, id: id.parse().ok()? })
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, Problems> {
        Settings::read(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_complete_environment_is_understood() {
        let settings = read(&[
            ("AORTA_FHIR_DATABASE", "sqlite:/tmp/records.db"),
            ("AORTA_FHIR_SEED", "builtin"),
            ("AORTA_FHIR_ROOT", "Patient/P123456"),
            ("AORTA_FHIR_CURSOR_KEY", "0123456789abcdef"),
        ])
        .ok()
        .unwrap();
        assert_eq!(settings.database, Database::Sqlite("/tmp/records.db".into()));
        assert_eq!(settings.seed, Some(Seed::Builtin));
        assert_eq!(settings.root.unwrap().to_string(), "Patient/P123456");
        assert!(settings.cursor_key.is_some());
    }

    #[test]
    fn every_problem_is_reported_at_once_and_no_secret_is_repeated() {
        let problems = read(&[
            ("AORTA_FHIR_DATABASE", "postgresql://u:secret@h/d"),
            ("AORTA_FHIR_ROOT", "Patient"),
            ("AORTA_FHIR_CURSOR_KEY", "secret"),
        ])
        .err()
        .unwrap();
        assert_eq!(problems.0.len(), 3);
        assert!(problems.to_string().contains("PostgreSQL"));
        assert!(!problems.to_string().contains("secret"));
    }

    #[test]
    fn the_readme_says_every_variable_and_no_other() {
        let readme = include_str!("../README.md");
        let rows = readme.lines().filter_map(|line| line.strip_prefix("| `AORTA_FHIR_")?.split('`').next());
        let told: BTreeSet<_> = rows.map(|name| format!("AORTA_FHIR_{name}")).collect();
        let asked = RefCell::new(BTreeSet::from(["AORTA_FHIR_LOG".to_owned()]));
        let _ = Settings::read(|name| {
            asked.borrow_mut().insert(name.to_owned());
            None
        });
        assert_eq!(told, asked.into_inner());
        let program = include_str!("main.rs");
        assert!(program.contains("AORTA_FHIR_LOG") && told.len() == 5);
        assert!(readme.contains(&format!("| {CURSOR_KEY_CHARS_MIN} characters or more |")));
    }

    #[test]
    fn a_database_is_one_file() {
        assert_eq!(Database::parse("sqlite:///a/b.db"), Ok(Database::Sqlite("/a/b.db".into())));
        assert_eq!(Database::parse("sqlite:b.db"), Ok(Database::Sqlite("b.db".into())));
        for wrong in ["", "b.db", "sqlite:", "sqlite::memory:", "mysql://h"] {
            assert!(Database::parse(wrong).is_err(), "{wrong}");
        }
    }
}
