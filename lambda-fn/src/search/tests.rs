use super::*;

fn pairs(query: &[(&str, &str)]) -> Vec<(String, String)> {
    query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn patients(query: &[(&str, &str)]) -> Search {
    Search::parse(ResourceType::PATIENT, &pairs(query)).unwrap()
}

fn only_test(name: &str, value: &str) -> Test {
    patients(&[(name, value)]).query.criteria.remove(0).any.remove(0)
}

fn refusal(query: &[(&str, &str)]) -> String {
    Search::parse(ResourceType::PATIENT, &pairs(query)).unwrap_err().0
}

#[test]
fn a_token_says_system_and_value_or_either() {
    let token = |system: Option<&str>, value: Option<&str>| {
        Test::Token(system.map(str::to_owned), value.map(str::to_owned))
    };
    assert_eq!(only_test("identifier", "P1"), token(None, Some("P1")));
    assert_eq!(only_test("identifier", "urn:s|P1"), token(Some("urn:s"), Some("P1")));
    assert_eq!(only_test("identifier", "|P1"), token(Some(""), Some("P1")));
    assert_eq!(only_test("identifier", "urn:s|"), token(Some("urn:s"), None));
    assert_eq!(only_test("identifier", r"a\|b\,c"), token(None, Some("a|b,c")));
}

#[test]
fn alternatives_are_split_at_commas_that_are_not_escaped() {
    let criteria = patients(&[("name", r"a\,b,c"), ("name", "d")]).query.criteria;
    assert_eq!(criteria[0].any, [Test::StartsWith("a,b".into()), Test::StartsWith("c".into())]);
    assert_eq!(criteria[1].any, [Test::StartsWith("d".into())]);
}

#[test]
fn modifiers_of_strings_are_known_and_others_are_refused() {
    assert_eq!(only_test("name:exact", "Døe"), Test::Exactly("Døe".into()));
    assert_eq!(only_test("name:contains", "Døe"), Test::Contains("doe".into()));
    assert_eq!(refusal(&[("name:sounds-like", "x")]), "this modifier is not offered on name");
    assert_eq!(refusal(&[("identifier:not", "x")]), "this modifier is not offered on identifier");
}

#[test]
fn a_reference_is_read_in_every_spelling() {
    let of = |name: &str, value: &str| {
        let kind = "Observation".parse().unwrap();
        Search::parse(kind, &pairs(&[(name, value)])).unwrap().query.criteria.remove(0).any.remove(0)
    };
    assert_eq!(of("patient", "7"), Test::Target("Patient/7".into()));
    assert_eq!(of("subject", "7"), Test::TargetId("7".into()));
    assert_eq!(of("subject", "Group/7"), Test::Target("Group/7".into()));
    assert_eq!(of("subject:Patient", "7"), Test::Target("Patient/7".into()));
    assert_eq!(of("subject", "http://h/Patient/7"), Test::Target("http://h/Patient/7".into()));
}

#[test]
fn an_unknown_parameter_is_listed_and_not_repeated() {
    let search =
        patients(&[("name", "jo"), ("shoe-size", "45"), ("_count", "5"), ("_cursor", "c"), ("family", "")]);
    assert_eq!(search.ignored, ["shoe-size"]);
    assert_eq!(search.understood, pairs(&[("name", "jo"), ("_count", "5")]));
    assert_eq!(search.cursor.as_deref(), Some("c"));
    assert_eq!(search.query.count, 5);
}

#[test]
fn a_page_has_its_bounds() {
    assert_eq!(patients(&[("_count", "100000")]).query.count, COUNT_MAX);
    assert_eq!(patients(&[("_summary", "count")]).query.count, 0);
    assert_eq!(refusal(&[("_count", "-1")]), "_count is not a number");
    assert_eq!(refusal(&[("_id", &"a,".repeat(300))]), "a search has at most 200 values");
}

#[test]
fn an_id_that_cannot_exist_matches_nothing_rather_than_everything() {
    assert_eq!(patients(&[("_id", "no/id")]).query.criteria[0].any, []);
}

#[test]
fn a_refused_date_is_not_repeated_to_the_client() {
    assert!(!refusal(&[("birthdate", "marker")]).contains("marker"));
}
