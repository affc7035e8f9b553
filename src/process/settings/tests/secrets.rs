//! Secrets come from files, and are shown nowhere.

use std::fs;

use super::{URL, load, refused, with};

/// A file with a secret; it lives as long as the folder.
fn secret_file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    fs::write(&file, text).unwrap();
    (folder, file.display().to_string())
}

#[test]
fn a_secret_may_come_from_a_file_without_its_newline() {
    let (_folder, file) = secret_file("postgres://relay:pass word@localhost/shop\r\n");
    let settings = load("", &[("DATABASE__URL_FILE", &file)]).unwrap();
    assert_eq!(
        settings.database.url.expose(),
        "postgres://relay:pass word@localhost/shop"
    );

    let (_folder, file) = secret_file("  canary \n");
    for toml in ["sasl.password_file", "'sasl.password_file'"] {
        let toml = format!("[kafka.properties]\n{toml} = '{file}'");
        let properties = load(&toml, &[URL]).unwrap().kafka.properties;
        assert_eq!(properties["sasl.password"].expose(), "  canary ");
        assert!(!properties.contains_key("sasl.password_file"));
    }
    let settings = with("KAFKA__PROPERTIES__SASL_PASSWORD_FILE", &file).unwrap();
    assert_eq!(
        settings.kafka.properties["sasl.password"].expose(),
        "  canary "
    );
}

#[test]
fn a_secret_file_is_refused_when_it_is_away_or_doubles_or_holds_no_secret() {
    let away = ("DATABASE__URL_FILE", "/nowhere/canary");
    assert_eq!(refused("", &[away]), ["database.url_file"]);
    let (_folder, file) = secret_file("");
    assert_eq!(
        refused("", &[("DATABASE__URL_FILE", &file)]),
        ["database.url"]
    );
    assert_eq!(
        refused("", &[URL, ("DATABASE__URL_FILE", &file)]),
        ["database.url"]
    );
    let toml = format!("[kafka.properties]\nsasl.password = 'x'\nsasl.password_file = '{file}'");
    assert_eq!(refused(&toml, &[URL]), ["kafka.properties.sasl.password"]);
    let toml = format!("[kafka.properties]\n'linger.ms_file' = '{file}'");
    assert_eq!(refused(&toml, &[URL]), ["kafka.properties.linger.ms_file"]);
}

#[test]
fn no_secret_is_shown() {
    let toml = "
        [kafka.properties]
        'sasl.password' = 'canary'
        'ssl.key.pem' = 'canary'
        'sasl.oauthbearer.config' = 'canary'
        'sasl.jaas.config' = 'canary'
    ";
    let settings = load(toml, &[URL]).unwrap();
    let shown = format!("{settings:?} {settings:#?}");
    assert!(shown.contains("sasl.password") && shown.contains("***"));
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn no_problem_shows_a_secret() {
    let env = [
        ("DATABASE__URL", "canary"),
        ("DATABASE__URL_FILE", "canary"),
        ("KAFKA__PROPERTIES__SASL_PASSWORD", "canary"),
        ("KAFKA__PROPERTIES__SASL_PASSWORD_FILE", "canary"),
        ("KAFKA__PROPERTIES__SSL_KEY_PASSWORD_FILE", "canary"),
        ("DATABASE__PASSWORD", "canary"),
    ];
    let error = load("", &env).unwrap_err();
    assert_eq!(error.problems.len(), 4, "{error}");
    assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    let error = load("database.url = ['canary']", &[]).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
}
