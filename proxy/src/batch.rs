//! What repeating a batch or transaction would do: the worst of what repeating each of its entries would.
//!
//! A look into a request body that is held whole. It builds nothing of the body, and whatever it cannot read with
//! certainty counts as unsafe: a server may read a doubtful body another way.

use aorta_core::fhir_safety::{self, Safety, SafetyFacts};
use http::Method;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Judges a Bundle that is posted to the base. `facts` are those of the whole request: what they say of the pool
/// holds for each entry.
#[must_use]
pub fn judge(body: &[u8], facts: SafetyFacts<'_>) -> Safety {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = Bundle { facts }.deserialize(&mut reader).and_then(|safety| reader.end().map(|()| safety));
    read.unwrap_or(Safety::Unsafe)
}

/// An object whose members are read one by one; none of those that matter may stand twice.
macro_rules! object {
    ($name:ident<$value:ty> $expecting:literal) => {
        impl<'de> DeserializeSeed<'de> for $name<'_> {
            type Value = $value;

            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<$value, D::Error> {
                deserializer.deserialize_map(self)
            }
        }

        impl<'de> Visitor<'de> for $name<'_> {
            type Value = $value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($expecting)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<$value, A::Error> {
                self.read(map)
            }
        }
    };
}

#[derive(Clone, Copy)]
struct Bundle<'f> {
    facts: SafetyFacts<'f>,
}

object!(Bundle<Safety> "a Bundle");

impl Bundle<'_> {
    fn read<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<Safety, A::Error> {
        let (mut resource, mut kind, mut worst) = (None, None, None);
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match key.as_ref() {
                "resourceType" => once(&mut resource, map.next_value::<Cow<'_, str>>()? == "Bundle")?,
                "type" => {
                    let is_batch = matches!(&*map.next_value::<Cow<'_, str>>()?, "batch" | "transaction");
                    once(&mut kind, is_batch)?;
                }
                "entry" => once(&mut worst, map.next_value_seed(Entries { facts: self.facts })?)?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let is_batch = resource == Some(true) && kind == Some(true);
        // Nothing is done by what has no entries.
        Ok(if is_batch { worst.unwrap_or(Safety::Safe) } else { Safety::Unsafe })
    }
}

struct Entries<'f> {
    facts: SafetyFacts<'f>,
}

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = Safety;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Safety, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = Safety;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Safety, A::Error> {
        let mut worst = Safety::Safe;
        while let Some(safety) = list.next_element_seed(Entry { facts: self.facts })? {
            worst = worst.and(safety);
        }
        Ok(worst)
    }
}

struct Entry<'f> {
    facts: SafetyFacts<'f>,
}

object!(Entry<Safety> "an entry");

impl Entry<'_> {
    fn read<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<Safety, A::Error> {
        let mut safety = None;
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match key.as_ref() {
                "request" => once(&mut safety, map.next_value_seed(Request { facts: self.facts })?)?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        // An entry that asks for nothing is a mistake, and what a server makes of it is its own.
        Ok(safety.unwrap_or(Safety::Unsafe))
    }
}

struct Request<'f> {
    facts: SafetyFacts<'f>,
}

object!(Request<Safety> "a request");

impl Request<'_> {
    fn read<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<Safety, A::Error> {
        let (mut method, mut url, mut if_match, mut if_none_exist) = (None, None, None, None);
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            let place = match key.as_ref() {
                "method" => &mut method,
                "url" => &mut url,
                "ifMatch" => &mut if_match,
                "ifNoneExist" => &mut if_none_exist,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            once(place, map.next_value::<Cow<'_, str>>()?.into_owned())?;
        }
        let (Some(method), Some(url)) = (method, url) else { return Ok(Safety::Unsafe) };
        let method = Method::from_bytes(method.as_bytes()).map_err(de::Error::custom)?;
        let path = url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
        // A Bundle in a Bundle is judged by nobody.
        let is_batch = method == Method::POST && path.is_empty();
        let holds =
            |condition: Option<String>| condition.is_some_and(|text| !matches!(text.trim(), "" | "*"));
        let facts = SafetyFacts {
            method: &method,
            path,
            if_match: holds(if_match),
            if_none_exist: holds(if_none_exist),
            ..self.facts
        };
        Ok(if is_batch { Safety::Unsafe } else { fhir_safety::judge(facts) })
    }
}

fn once<T, E: de::Error>(place: &mut Option<T>, value: T) -> Result<(), E> {
    if place.is_some() {
        return Err(E::custom("a member stands twice"));
    }
    *place = Some(value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;

    fn judged(body: &str) -> Safety {
        judge(
            body.as_bytes(),
            SafetyFacts {
                method: &Method::POST,
                path: "",
                if_match: false,
                if_none_exist: false,
                fhir: true,
                data_domain: true,
                retry_unconditional_put: false,
            },
        )
    }

    fn bundle(kind: &str, requests: &[&str]) -> String {
        let entries: Vec<_> =
            requests.iter().map(|request| format!(r#"{{"request":{{{request}}}}}"#)).collect();
        format!(r#"{{"resourceType":"Bundle","type":"{kind}","entry":[{}]}}"#, entries.join(","))
    }

    const GET: &str = r#""method":"GET","url":"Patient/1""#;
    const SEARCH: &str = r#""method":"POST","url":"Patient/_search?name=x""#;
    const READS: &str = r#""method":"POST","url":"ValueSet/$expand""#;
    const DELETE: &str = r#""method":"DELETE","url":"Patient/1""#;
    const UPDATE: &str = r#""method":"PUT","url":"Patient/1","ifMatch":"W/\"2\"""#;
    const PUT: &str = r#""method":"PUT","url":"Patient/1""#;
    const ANY_VERSION: &str = r#""method":"PUT","url":"Patient/1","ifMatch":"*""#;
    const CREATE_ONCE: &str = r#""method":"POST","url":"Patient","ifNoneExist":"identifier=a|b""#;
    const CREATE: &str = r#""method":"POST","url":"Patient""#;
    const NESTED: &str = r#""method":"POST","url":"/""#;

    #[test]
    fn a_batch_is_as_safe_as_its_least_safe_entry() {
        for kind in ["batch", "transaction"] {
            for (requests, expected) in [
                (&[][..], Safety::Safe),
                (&[GET, SEARCH, READS], Safety::Safe),
                (&[GET, DELETE], Safety::Idempotent),
                (&[UPDATE, GET], Safety::Idempotent),
                (&[CREATE_ONCE], Safety::Conditional),
                (&[CREATE_ONCE, UPDATE, DELETE, GET], Safety::Conditional),
                (&[GET, CREATE], Safety::Unsafe),
                (&[PUT], Safety::Unsafe),
                (&[ANY_VERSION], Safety::Unsafe),
                (&[NESTED], Safety::Unsafe),
                (&[r#""url":"Patient/1""#], Safety::Unsafe),
                (&[r#""method":"GET""#], Safety::Unsafe),
                (&[r#""method":"FETCH","url":"x""#], Safety::Unsafe),
            ] {
                assert_eq!(judged(&bundle(kind, requests)), expected, "{requests:?}");
            }
        }
    }

    #[test]
    fn what_is_no_batch_or_can_be_read_in_two_ways_is_unsafe() {
        let good = bundle("batch", &[GET]);
        assert_eq!(judged(&good), Safety::Safe);
        for wrong in [
            "",
            "[]",
            "{}",
            r#"{"resourceType":"Bundle","type":"batch","entry":[{}]}"#,
            r#"{"resourceType":"Bundle","type":"batch","entry":{}}"#,
            r#"{"resourceType":"Bundle","type":"batch","entry":[],"entry":[]}"#,
            r#"{"resourceType":"Bundle","type":"batch","type":"batch"}"#,
            r#"{"resourceType":"Patient","type":"batch"}"#,
            r#"{"type":"batch","entry":[]}"#,
            &bundle("document", &[GET]),
            &bundle("batch", &[r#""method":"GET","url":"x","method":"POST""#]),
            &bundle("batch", &[r#""method":"GET","url":"x"},"request":{"method":"POST","url":"x""#]),
            &bundle("batch", &[r#""method":"GET","url":5"#]),
            &format!("{good}{good}"),
            &good[..good.len() - 1],
        ] {
            assert_eq!(judged(wrong), Safety::Unsafe, "{wrong}");
        }
        assert_eq!(judged(&"[".repeat(100_000)), Safety::Unsafe);
    }

    #[test]
    fn one_create_among_any_number_of_reads_makes_a_batch_unsafe() {
        let all = [GET, SEARCH, READS, DELETE, UPDATE, CREATE_ONCE];
        for seed in 0..500 {
            let mut rng = Rng::with_seed(seed);
            let mut requests: Vec<_> = (0..rng.usize(0..20)).map(|_| all[rng.usize(..all.len())]).collect();
            assert_ne!(judged(&bundle("batch", &requests)), Safety::Unsafe, "seed {seed}");
            requests.insert(rng.usize(..=requests.len()), CREATE);
            assert_eq!(judged(&bundle("batch", &requests)), Safety::Unsafe, "seed {seed}");
        }
    }
}
