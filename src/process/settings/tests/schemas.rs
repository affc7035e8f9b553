//! The registry of schemas, and the schemas of routes.

use std::fs;

use super::*;
use crate::decide::schema::Naming;
use crate::record::SchemaType;

const AVRO: &str = r#"{"type": "record", "name": "Order", "fields": []}"#;

#[test]
fn every_key_of_a_schema_has_an_effect() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("order.avsc");
    fs::write(&file, AVRO).unwrap();
    let toml = format!(
        "[[routes]]
         schema = {{ type = 'avro', subject = 'record', file = '{}', register = true }}
         [[routes]]
         match = {{ event_type = 'x' }}
         schema = {{ type = 'json', subject = 'topic-record', record = 'x', version = 7 }}",
        file.display()
    );
    // The first is about all events, so the second would be one too many.
    let toml = toml.replacen("[[routes]]", "[[routes]]\nmatch = { event_type = 'y' }", 1);
    let settings = load(&toml, &[URL]).unwrap();
    let schemas: Vec<_> = settings
        .routes
        .iter()
        .map(|route| route.schema.clone().unwrap())
        .collect();
    assert_eq!(schemas[0].kind, SchemaType::Avro);
    assert_eq!(schemas[0].subject, Naming::Record);
    assert_eq!(schemas[0].text.as_deref(), Some(AVRO));
    assert!(schemas[0].register && !schemas[1].register);
    assert_eq!(schemas[1].kind, SchemaType::Json);
    assert_eq!(schemas[1].subject, Naming::TopicRecord);
    assert_eq!(schemas[1].record.as_deref(), Some("x"));
    assert_eq!(schemas[1].version.as_deref(), Some("7"));
    assert!(settings.routes().have_schemas());
    assert!(!load("", &[URL]).unwrap().routes().have_schemas());
}

#[test]
fn what_is_wrong_with_a_schema_is_told_by_its_key() {
    let path = |schema: &str| refused(&format!("[[routes]]\nschema = {schema}"), &[URL]);
    let at = |key: &str| vec![format!("routes[0].schema.{key}")];
    assert_eq!(path("{ type = 'thrift' }"), at("type"));
    assert_eq!(path("{ type = 'avro', subject = 'all' }"), at("subject"));
    assert_eq!(path("{ type = 'avro', version = 'newest' }"), at("version"));
    assert_eq!(
        path("{ type = 'avro', file = '/nowhere/x.avsc' }"),
        at("file")
    );
    assert_eq!(path("{ type = 'avro', register = 'yes' }"), at("register"));
    assert_eq!(path("{ type = 'avro', register = true }"), at("register"));
    assert_eq!(path("{ type = 'avro', subject = 'record' }"), at("record"));
    assert_eq!(
        path("{ type = 'avro', text = '{}' }"),
        at("text"),
        "a text stands in a file"
    );
}

#[test]
fn a_registry_is_addressed_without_secrets() {
    let refuses = |url: &str| refused("", &[URL, ("SCHEMA_REGISTRY__URLS", url)]);
    for url in [
        "localhost:8081",
        "http://relay:canary@localhost",
        "https://",
        "ftp://x",
    ] {
        assert_eq!(refuses(url), ["schema_registry.urls"], "{url}");
    }
    let toml = "schema_registry.urls = []\n[[routes]]\nschema = { type = 'avro' }";
    assert_eq!(refused(toml, &[URL]), ["schema_registry.urls"]);
    assert!(load("schema_registry.urls = []", &[URL]).is_ok());
}

#[test]
fn the_password_and_the_token_may_come_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    fs::write(&file, "canary\n").unwrap();
    let name = file.display().to_string();
    let settings = with("SCHEMA_REGISTRY__PASSWORD_FILE", &name).unwrap();
    assert_eq!(settings.schema_registry.password.expose(), "canary");
    assert!(!format!("{settings:?}").contains("canary"));
    let settings = with("SCHEMA_REGISTRY__TOKEN_FILE", &name).unwrap();
    assert_eq!(settings.schema_registry.token.expose(), "canary");
    assert!(!format!("{settings:?}").contains("canary"));
}

#[test]
fn who_asks_is_said_once_and_whole() {
    let refuses = |toml: &str| refused(&format!("[schema_registry]\n{toml}"), &[URL]);
    let twice = ["schema_registry.token"];
    assert_eq!(refuses("username = 'relay'\ntoken = 'canary'"), twice);
    let half = ["schema_registry.key_file"];
    assert_eq!(refuses("certificate_file = 'relay.pem'"), half);
    let half = ["schema_registry.certificate_file"];
    assert_eq!(refuses("key_file = 'relay.key'"), half);
    let whole = "[schema_registry]\ncertificate_file = 'relay.pem'\nkey_file = 'relay.key'";
    let registry = load(whole, &[URL]).unwrap().schema_registry;
    assert_eq!(registry.certificate_file, "relay.pem");
    assert_eq!(registry.key_file, "relay.key");
}
