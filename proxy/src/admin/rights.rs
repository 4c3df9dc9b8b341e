//! Who asks, and what they may do.
//!
//! Without tokens whoever is on this machine may do everything, and nobody else anything. With tokens everybody
//! needs one. A program sends it as `Authorization: Bearer`; a browser asks for a name and a password, which are
//! the token's name and the token.

use super::answer::{self, Answer};
use crate::config::access::{Access, LOOPBACK, Right, Token};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{StatusCode, header};

/// What a browser, or a program, is to send.
const CHALLENGE: &str = r#"Basic realm="aorta admin", Bearer"#;

/// What a request shows of whoever sends it.
pub(super) struct Credentials<'a> {
    /// It comes from this machine, to an address of this machine only.
    pub(super) local: bool,
    /// Its `Authorization`.
    pub(super) shown: Option<&'a [u8]>,
}

/// Somebody who may do something, or everybody, who may look at what is for everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    /// A token's name, or that it is whoever is on this machine.
    pub(super) name: String,
    right: Option<Right>,
}

impl Caller {
    /// Everybody.
    pub(super) const fn nobody() -> Self {
        Self { name: String::new(), right: None }
    }
}

/// Why somebody may do nothing but what everybody may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stranger {
    /// There are no tokens, and it comes from another machine.
    Remote,
    /// Other machines may only probe.
    ProbesOnly,
    /// It shows no token.
    NoToken,
    /// It shows one that is none.
    WrongToken,
}

/// Whoever sends this.
pub(super) fn judge(access: &Access, credentials: &Credentials<'_>) -> Result<Caller, Stranger> {
    if access.probes_only && !credentials.local {
        return Err(Stranger::ProbesOnly);
    }
    if access.tokens.is_empty() {
        let everything = Caller { name: LOOPBACK.to_owned(), right: Some(Right::Write) };
        return if credentials.local { Ok(everything) } else { Err(Stranger::Remote) };
    }
    let shown = credentials.shown.ok_or(Stranger::NoToken)?;
    let (name, secret) = read(shown).ok_or(Stranger::WrongToken)?;
    // Each is compared, so that the time tells nothing of which it was.
    let fits = |token: &Token| {
        let right_name = name.as_ref().is_none_or(|name| *name == token.name.as_bytes());
        token.secret.is(&secret) && right_name
    };
    let found = access.tokens.iter().fold(None, |found, token| if fits(token) { Some(token) } else { found });
    let caller = found.map(|token| Caller { name: token.name.clone(), right: Some(token.right) });
    caller.ok_or(Stranger::WrongToken)
}

/// The name, where one is shown, and the secret.
fn read(shown: &[u8]) -> Option<(Option<Vec<u8>>, Vec<u8>)> {
    let split = shown.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = shown.split_at(split);
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some((None, rest.to_vec()));
    }
    let pair = scheme.eq_ignore_ascii_case(b"basic").then(|| STANDARD.decode(rest).ok()).flatten()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some((Some(pair[..colon].to_vec()), pair[colon + 1..].to_vec()))
}

/// Lets whoever has this right pass.
///
/// # Errors
/// The answer that refuses the others, with the remedy.
pub(super) fn demand(caller: &Result<Caller, Stranger>, right: Option<Right>) -> Result<(), Box<Answer>> {
    let Some(right) = right else { return Ok(()) };
    let forbid = |words: &str| Err(Box::new(answer::text(StatusCode::FORBIDDEN, words)));
    match caller {
        Ok(caller) if caller.right >= Some(right) => Ok(()),
        Ok(Caller { name, .. }) => forbid(&format!(
            "the token `{name}` may only look; this needs one whose `right` is `write` (admin.tokens)\n"
        )),
        Err(Stranger::Remote) => {
            forbid("from other machines this needs a token, and there are none; list some (admin.tokens)\n")
        }
        Err(Stranger::ProbesOnly) => {
            forbid("other machines may ask for /livez, /readyz and /metrics only (admin.remote)\n")
        }
        Err(stranger) => {
            let wrong =
                if *stranger == Stranger::NoToken { "a token is needed" } else { "this token is none" };
            let words = format!("{wrong}; send `Authorization: Bearer TOKEN` with one of admin.tokens\n");
            let refused = answer::text(StatusCode::UNAUTHORIZED, &words);
            Err(Box::new(answer::with(refused, header::WWW_AUTHENTICATE, CHALLENGE)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::access::Secret;

    fn access(tokens: &[(&str, Right)]) -> Access {
        let token = |(name, right): &(&str, Right)| Token {
            name: (*name).to_owned(),
            right: *right,
            secret: Secret::new(format!("the secret of {name}").as_bytes()),
        };
        Access { tokens: tokens.iter().map(token).collect(), probes_only: false }
    }

    fn ask(access: &Access, local: bool, shown: Option<&str>) -> Result<(String, Option<Right>), Stranger> {
        let credentials = Credentials { local, shown: shown.map(str::as_bytes) };
        judge(access, &credentials).map(|caller| (caller.name, caller.right))
    }

    fn basic(name: &str, secret: &str) -> String {
        format!("Basic {}", STANDARD.encode(format!("{name}:{secret}")))
    }

    #[test]
    fn without_tokens_this_machine_may_do_everything_and_no_other_anything() {
        let open = access(&[]);
        let everything = Ok(("loopback".to_owned(), Some(Right::Write)));
        assert_eq!(ask(&open, true, None), everything);
        assert_eq!(ask(&open, true, Some("Bearer anything")), everything);
        assert_eq!(ask(&open, false, Some("Bearer anything")), Err(Stranger::Remote));
    }

    #[test]
    fn with_tokens_everybody_needs_one_and_may_what_it_says() {
        let closed = access(&[("grafana", Right::Read), ("on-call", Right::Write)]);
        for local in [true, false] {
            assert_eq!(ask(&closed, local, None), Err(Stranger::NoToken));
            for (shown, name, right) in [
                ("Bearer the secret of grafana", "grafana", Right::Read),
                ("bearer  the secret of on-call ", "on-call", Right::Write),
                (&basic("on-call", "the secret of on-call"), "on-call", Right::Write),
            ] {
                assert_eq!(ask(&closed, local, Some(shown)), Ok((name.to_owned(), Some(right))), "{shown}");
            }
            for wrong in [
                "",
                "Bearer",
                "Bearer ",
                "Bearer the secret of nobody",
                "Bearer the secret of grafan",
                "Digest the secret of grafana",
                "Basic !!",
                &basic("grafana", "the secret of on-call"),
                &STANDARD.encode("no colon"),
            ] {
                assert_eq!(ask(&closed, local, Some(wrong)), Err(Stranger::WrongToken), "{wrong}");
            }
        }
    }

    #[test]
    fn where_others_may_only_probe_no_token_helps_them() {
        let access = Access { probes_only: true, ..access(&[("on-call", Right::Write)]) };
        let shown = Some("Bearer the secret of on-call");
        assert_eq!(ask(&access, false, shown), Err(Stranger::ProbesOnly));
        assert!(ask(&access, true, shown).is_ok());
    }

    #[test]
    fn who_may_not_is_told_what_is_missing() {
        let refused = |caller: Result<Caller, Stranger>, right| {
            let refused = demand(&caller, right).expect_err("refused");
            (refused.status().as_u16(), String::from_utf8(refused.into_body()).unwrap())
        };
        let reader = || Ok(Caller { name: "grafana".to_owned(), right: Some(Right::Read) });
        assert!(demand(&reader(), Some(Right::Read)).is_ok());
        assert!(demand(&Err(Stranger::NoToken), None).is_ok(), "some things are for everybody");
        for (caller, status, words) in [
            (reader(), 403, "`write`"),
            (Err(Stranger::Remote), 403, "admin.tokens"),
            (Err(Stranger::ProbesOnly), 403, "admin.remote"),
            (Err(Stranger::NoToken), 401, "Bearer TOKEN"),
            (Err(Stranger::WrongToken), 401, "is none"),
        ] {
            let (said, text) = refused(caller, Some(Right::Write));
            assert_eq!(said, status, "{text}");
            assert!(text.contains(words), "{text}");
        }
    }
}
