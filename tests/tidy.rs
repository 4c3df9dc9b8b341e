//! The house rules, as a test: new code obeys; what does not yet is named here, and a name that is not needed any
//! more fails too, so that the lists only get shorter.

#[cfg(test)]
mod rules {
    use std::fs;
    use std::path::{Path, PathBuf};

    /// The longest file a reader can keep in mind. Function length is clippy's (`too_many_lines`).
    const LINES_MAX: usize = 400;

    /// Who may name a library; everybody else reaches it through them.
    const WALLS: [Wall; 9] = [
        Wall {
            word: "pingora",
            inside: "proxy/src/",
            // The adapter: everything else of the proxy would survive another framework.
            allowed: &[
                "proxy/src/admin.rs",
                "proxy/src/door.rs",
                "proxy/src/downstream.rs",
                "proxy/src/downstream/http1.rs",
                "proxy/src/engine.rs",
                "proxy/src/engine/",
                "proxy/src/intake.rs",
                "proxy/src/line.rs",
                "proxy/src/listener.rs",
                "proxy/src/refusal/send.rs",
                "proxy/src/resolver.rs",
                "proxy/src/server.rs",
                "proxy/src/service.rs",
                "proxy/src/stop.rs",
                "proxy/src/tls.rs",
                "proxy/src/translate.rs",
                "proxy/src/wire.rs",
            ],
        },
        // The format can be changed in one module.
        Wall { word: "serde_yaml", inside: "proxy/src/", allowed: &["proxy/src/config/raw"] },
        // Configuration is read in one stage; the others look into requests and answers.
        Wall {
            word: "Deserialize",
            inside: "proxy/src/",
            allowed: &["proxy/src/batch.rs", "proxy/src/config/raw", "proxy/src/shape/"],
        },
        Wall { word: "redis", inside: "proxy/src/", allowed: &["proxy/src/quota/store.rs"] },
        Wall { word: "opentelemetry", inside: "proxy/src/", allowed: &["proxy/src/spans/otlp.rs"] },
        Wall { word: "rusqlite", inside: "lambda-fn/src/", allowed: &["lambda-fn/src/store/sqlite"] },
        Wall { word: "tokio_postgres", inside: "lambda-fn/src/", allowed: &["lambda-fn/src/store/postgres"] },
        Wall { word: "lambda_runtime", inside: "lambda-fn/src/", allowed: &["lambda-fn/src/main.rs"] },
        // Pages are made from views by templates; neither fetches anything.
        Wall { word: "tokio", inside: "viewer/src/view", allowed: &[] },
    ];

    /// Crates, and what their manifests must not name.
    const ABSENCES: [(&str, &[&str]); 5] = [
        (
            "proxy/core/Cargo.toml",
            &["pingora", "tokio", "hyper", "serde", "tracing", "\nfhir", "rand =", "aorta-"],
        ),
        ("proxy/Cargo.toml", &["\nfhir", "aorta-viewer", "aorta-fhir", "aorta-tests"]),
        ("viewer/Cargo.toml", &["aorta-core", "aorta-proxy", "aorta-fhir", "aorta-tests"]),
        ("lambda-fn/Cargo.toml", &["aorta-core", "aorta-proxy", "aorta-viewer", "aorta-tests"]),
        ("lambda-fn/fhir/Cargo.toml", &["tokio", "hyper", "http", "aorta-"]),
    ];

    /// Files of the proxy that read a clock although `clock.rs` should be the only one.
    const READ_A_CLOCK: [&str; 3] =
        ["proxy/src/engine/attempt.rs", "proxy/src/intake.rs", "proxy/src/resolver.rs"];

    /// Where slowness is modelled or time is kept, and a timer is the subject.
    const KEEP_TIME: [&str; 4] = [
        "tests/harness/load.rs",
        "tests/harness/program.rs",
        "tests/harness/upstream/http1.rs",
        "tests/harness/upstream/http2.rs",
    ];

    struct Wall {
        word: &'static str,
        inside: &'static str,
        allowed: &'static [&'static str],
    }

    struct Source {
        /// Below the workspace.
        name: String,
        text: String,
    }

    impl Source {
        fn is_rust(&self) -> bool {
            self.name.ends_with(".rs")
        }

        fn is_below(&self, places: &[&str]) -> bool {
            places.iter().any(|place| self.name.starts_with(place))
        }

        /// A test or its harness, by where it stands.
        fn is_test(&self) -> bool {
            self.name.starts_with("tests/")
                || self.name.contains("/tests/")
                || self.name.ends_with("/tests.rs")
        }

        /// The lines that are code for readers of the program: without comments, up to its unit tests.
        fn code(&self) -> impl Iterator<Item = &str> {
            let code = self.text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
            code.filter(|line| !line.trim_start().starts_with("//"))
        }
    }

    fn workspace() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace is there")
    }

    fn sources() -> Vec<Source> {
        let root = workspace();
        let mut found = Vec::new();
        walk(&root, &root, &mut found);
        assert!(found.len() > 100, "the walk lost its way: {} files", found.len());
        found
    }

    fn walk(root: &Path, directory: &Path, found: &mut Vec<Source>) {
        for entry in fs::read_dir(directory).expect("a directory can be read").flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if path.is_dir() {
                if !matches!(name.as_str(), "target" | ".git") {
                    walk(root, &path, found);
                }
                continue;
            }
            let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
            let is_text =
                matches!(kind, "rs" | "toml" | "yaml" | "yml" | "md" | "sh" | "service" | "html" | "css")
                    || matches!(name.as_str(), "Makefile" | "run");
            if let (true, Ok(text)) = (is_text, fs::read_to_string(&path)) {
                let name = path.strip_prefix(root).expect("below the root").display().to_string();
                found.push(Source { name, text });
            }
        }
    }

    fn nobody(rule: &str, broken: impl IntoIterator<Item = String>) {
        let broken: Vec<_> = broken.into_iter().collect();
        assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
    }

    /// Files whose lines hold a word, with the line.
    fn holding(sources: &[Source], applies: impl Fn(&Source) -> bool, words: &[String]) -> Vec<String> {
        let mut broken = Vec::new();
        for source in sources.iter().filter(|source| applies(source)) {
            for (number, line) in source.text.lines().enumerate() {
                if let Some(word) = words.iter().find(|word| line.contains(word.as_str())) {
                    broken.push(format!("{}:{}: {word}", source.name, number + 1));
                }
            }
        }
        broken
    }

    /// This file names what it forbids, so it writes it in two halves.
    fn joined(halves: &[(&str, &str)]) -> Vec<String> {
        halves.iter().map(|(first, second)| format!("{first}{second}")).collect()
    }

    #[test]
    fn every_file_says_what_it_is_for() {
        let silent = sources().into_iter().filter(|source| {
            let unit_tests = source.is_test() && !source.name.starts_with("tests/");
            let own_tests = source.name.starts_with("tests/harness/") && source.name.ends_with("/tests.rs");
            source.is_rust() && !unit_tests && !own_tests && !source.text.starts_with("//!")
        });
        nobody("start with `//!`", silent.map(|source| source.name));
    }

    #[test]
    fn no_file_is_longer_than_a_reader_can_keep_in_mind() {
        let long = sources().into_iter().filter(|source| source.is_rust());
        let long = long.map(|source| (source.name, source.text.lines().count()));
        let long = long.filter(|(_, lines)| *lines > LINES_MAX);
        nobody("split it", long.map(|(name, lines)| format!("{name}: {lines} lines, {LINES_MAX} at most")));
    }

    #[test]
    fn nothing_is_left_to_do_and_no_lint_is_silenced_without_a_reason() {
        let words = joined(&[("TO", "DO"), ("FIX", "ME"), ("X", "XX"), ("#[al", "low("), ("#![al", "low(")]);
        nobody("do it, or use `expect` with a reason", holding(&sources(), Source::is_rust, &words));
    }

    #[test]
    fn no_test_sleeps() {
        let applies = |source: &Source| {
            let is_test = source.name.starts_with("tests/e2e/")
                || source.name.starts_with("tests/harness/")
                || (source.is_test() && !source.name.starts_with("tests/"));
            source.is_rust() && is_test && !source.is_below(&KEEP_TIME)
        };
        let words = joined(&[("sleep", "("), ("sleep", "_until("), ("thread::", "park_timeout")]);
        nobody("wait on a fact (harness::eventually)", holding(&sources(), applies, &words));
    }

    #[test]
    fn nothing_points_into_one_machine() {
        let words = joined(&[("/ho", "me/"), ("/ro", "ot/"), ("/wo", "rk/"), ("/Us", "ers/")]);
        nobody("use a relative path", holding(&sources(), |_| true, &words));
    }

    #[test]
    fn modules_with_children_are_named_after_themselves() {
        let named = sources().into_iter().filter(|source| source.name.ends_with("/mod.rs"));
        nobody("rename it to `name.rs` beside `name/`", named.map(|source| source.name));
    }

    #[test]
    fn tests_are_named_as_promises() {
        let words = joined(&[("fn te", "st_")]);
        nobody("say what is promised", holding(&sources(), Source::is_rust, &words));
    }

    #[test]
    fn a_library_is_named_only_where_it_belongs() {
        let sources = sources();
        for wall in WALLS {
            let outside = sources.iter().filter(|source| {
                source.is_rust()
                    && source.name.starts_with(wall.inside)
                    && !source.is_test()
                    && !source.is_below(wall.allowed)
                    && source.code().any(|line| line.contains(wall.word))
            });
            let rule = format!("`{}` is not for", wall.word);
            nobody(&rule, outside.map(|source| source.name.clone()));
        }
    }

    #[test]
    fn a_manifest_names_nothing_its_crate_must_not_know() {
        for (manifest, absent) in ABSENCES {
            let text = fs::read_to_string(workspace().join(manifest)).expect("the manifest is there");
            let text = text.split("[dev-dependencies]").next().unwrap_or_default();
            let dependencies = text.split_once("[dependencies]").map_or("", |(_, after)| after);
            let named = absent.iter().filter(|name| dependencies.contains(**name));
            nobody(&format!("{manifest} must not name"), named.map(|name| name.trim().to_owned()));
        }
    }

    #[test]
    fn one_file_of_the_proxy_reads_the_clock() {
        let calls = joined(&[("Instant::", "now()"), ("SystemTime::", "now()")]);
        let reads = |source: &&Source| {
            source.code().any(|line| calls.iter().any(|call| line.contains(call.as_str())))
        };
        let sources = sources();
        let others = sources.iter().filter(|source| {
            source.name.starts_with("proxy/src/") && !source.is_test() && source.name != "proxy/src/clock.rs"
        });
        let reading: Vec<_> = others.filter(reads).map(|source| source.name.as_str()).collect();
        let new = reading.iter().filter(|name| !READ_A_CLOCK.contains(name));
        nobody("ask `clock.rs`", new.map(ToString::to_string));
        let gone = READ_A_CLOCK.iter().filter(|name| !reading.contains(name));
        nobody("take it off the list", gone.map(ToString::to_string));
    }

    #[test]
    fn only_templates_make_html() {
        let words = joined(&[("\"<", "div"), ("\"<", "p>"), ("\"<", "td"), ("\"<", "html"), ("|sa", "fe")]);
        let applies = |source: &Source| source.name.starts_with("viewer/src/") && !source.is_test();
        nobody("move it into a template", holding(&sources(), applies, &words));
    }
}
