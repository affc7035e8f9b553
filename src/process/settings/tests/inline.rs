//! Lists of tables in one variable: what is read of them, and what is refused.

use super::*;

/// The routes' topics.
fn topics(toml: &str, routes: &str) -> Vec<Option<String>> {
    let settings = load(toml, &[URL, ("ROUTES", routes)]).unwrap();
    let routes = settings.routes.into_iter();
    routes.map(|route| route.topic).collect()
}

#[test]
fn routes_are_given_by_one_variable_as_json_or_as_toml() {
    let file = "[[routes]]\ntopic = 'of-the-file'\nmatch = { event_type = 'x' }";
    let json = r#"[{"match": {"headers": {"Tenant": "acme"}}, "topic": "a", "headers": {"r": "1"}},
        {"topic": "b"}]"#;
    let toml = "[{ match = { headers = { Tenant = 'acme' } }, topic = 'a', headers = { r = '1' } },
        { topic = \"b\" }]";
    let [json_routes, toml_routes] =
        [json, toml].map(|text| load(file, &[URL, ("ROUTES", text)]).unwrap().routes);
    assert_eq!(json_routes, toml_routes);
    assert_eq!(json_routes[0].about.headers["Tenant"], "acme", "as spelt");
    assert_eq!(json_routes[0].headers["r"], "1");
    let both = [Some("a".to_owned()), Some("b".to_owned())];
    assert_eq!(topics(file, json), both, "it wins over the file");
    assert_eq!(topics(file, " "), [], "no table, and none of the file");
}

#[test]
fn declared_topics_are_given_by_one_variable_as_json_or_as_toml() {
    let json = r#"[{"name": "orders", "partitions": 6, "config": {"retention.ms": 5}}]"#;
    let toml = "[{ name = 'orders', partitions = 6, config = { 'retention.ms' = 5 } }]";
    for text in [json, toml] {
        let settings = with("TOPICS__DECLARE", text).unwrap();
        let [declared] = settings.topics.declare.as_slice() else {
            panic!("{text}");
        };
        assert_eq!(
            (declared.name.as_str(), declared.partitions),
            ("orders", Some(6))
        );
        assert_eq!(declared.config["retention.ms"], "5");
    }
}

#[test]
fn what_is_wrong_with_such_a_list_is_told_by_its_key_and_shows_nothing_of_it() {
    let parts: [(&str, &str, &str); 7] = [
        ("ROUTES", "topic=canary", "routes"),
        ("ROUTES", r#"{"topic": "canary"}"#, "routes"),
        ("ROUTES", r#"[{"topic": "canary",}]"#, "routes"),
        ("ROUTES", "[]\ncanary = 1", "routes"),
        ("ROUTES", r#"[{"topc": "canary"}]"#, "routes[0].topc"),
        ("TOPICS__DECLARE", "canary,orders", "topics.declare"),
        (
            "TOPICS__DECLARE",
            r#"[{"name": "a b"}]"#,
            "topics.declare[0].name",
        ),
    ];
    for (name, text, path) in parts {
        let error = with(name, text).unwrap_err();
        assert_eq!(error.problems[0].path, path, "{error}");
        assert_eq!(error.problems.len(), 1, "{error}");
        let told = error.to_string();
        assert!(told.contains("(in the environment)"), "{told}");
        assert!(!told.contains("canary"), "{told}");
    }
    let both = load("", &[URL, ("ROUTES", "[]"), ("ROUTES__TOPIC", "x")]).unwrap_err();
    assert_eq!(both.problems[0].path, "routes");
}
