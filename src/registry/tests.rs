//! A registry that answers as it is told to, and what is learned from it.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::event::EventRef;
use crate::outcome::{Class, Failure};
use crate::process::settings::{SchemaRegistry, Secret};
use crate::record::{Record, SchemaName, SchemaOrigin, SchemaType};

/// What a question, by its first line, is answered with: a status and a body.
type Answer = fn(&str) -> (u16, &'static str);

/// Answers each question by what `answer` makes of its first line.
async fn registry(answer: Answer) -> SchemaRegistry {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut question = vec![0; 4096];
            let read = stream.read(&mut question).await.unwrap_or(0);
            let question = String::from_utf8_lossy(&question[..read]).into_owned();
            let (status, body) = answer(question.lines().next().unwrap_or_default());
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}", body.len());
            let text = format!("{head}\r\nconnection: close\r\n\r\n{body}");
            let _unheard = stream.write_all(text.as_bytes()).await;
        }
    });
    settings(vec![format!("http://{address}/api/")])
}

/// Nobody in particular asks there.
fn settings(urls: Vec<String>) -> SchemaRegistry {
    SchemaRegistry {
        urls,
        username: String::new(),
        password: Secret::new(""),
        token: Secret::new(""),
        ca_file: String::new(),
        certificate_file: String::new(),
        key_file: String::new(),
        timeout_ms: 20_000,
        refresh_ms: 60_000,
    }
}

fn name(subject: &str) -> Arc<SchemaName> {
    Arc::new(SchemaName {
        kind: SchemaType::Avro,
        subject: subject.to_owned(),
        message: None,
        origin: SchemaOrigin::Latest,
    })
}

fn try_encode(schemas: &Schemas, name: &Arc<SchemaName>) -> Result<Record, Failure> {
    let record = Record::new(Arc::from("orders"), 5, None, Some(b"\"text\""), 0);
    let at = EventRef {
        seq: 1,
        id: uuid::Uuid::nil(),
    };
    schemas.encoded(at, &record, name)
}

#[tokio::test]
async fn one_subject_at_which_the_registry_fails_keeps_no_other_from_being_read() {
    let settings = registry(|question| match question {
        "GET /api/subjects/a/versions/latest HTTP/1.1" => (500, "{}"),
        _ => (200, r#"{"id": 7, "schema": "\"string\""}"#),
    })
    .await;
    let schemas = start(&settings).unwrap();
    let mut trouble = schemas.trouble();
    schemas.want([name("a"), name("b c/d")]);
    trouble.changed().await.unwrap();
    let told = trouble.borrow().clone().unwrap_or_default();
    assert!(
        told.contains("\"a\"") && told.contains("HTTP 500"),
        "{told}"
    );
    let encoded = try_encode(&schemas, &name("b c/d")).unwrap();
    assert_eq!(encoded.value().unwrap()[..6], [0, 0, 0, 0, 7, 8]);
    let failure = try_encode(&schemas, &name("a")).unwrap_err();
    assert_eq!(failure.class, Class::Registry);
}

#[tokio::test]
async fn a_subject_is_one_segment_of_the_path() {
    let settings = registry(|question| match question {
        "GET /api/subjects/b%20c%2Fd%3F%C3%A9/versions/latest HTTP/1.1" => {
            (200, r#"{"id": 7, "schema": "\"string\""}"#)
        }
        _ => (404, "{\"error_code\": 40401}"),
    })
    .await;
    let asking = tokio::task::spawn_blocking(move || {
        let client = Client::new(&settings).unwrap();
        let found = client.find(&name("b c/d?\u{e9}"));
        (found, client.find(&name("other")))
    });
    let (found, missing) = asking.await.unwrap();
    assert_eq!(found, Ok(7));
    assert_eq!(missing, Err(RegistryError::Unknown { code: 40_401 }));
}

#[tokio::test]
async fn what_a_registry_answers_says_who_has_to_act() {
    let cases: [(Answer, bool); 6] = [
        (|_| (503, ""), true),
        (|_| (429, "slow down"), true),
        (|_| (200, "<html>"), true),
        (|_| (403, ""), false),
        (
            |_| (422, "{\"error_code\": 42201, \"message\": \"no\"}"),
            false,
        ),
        (
            |_| {
                (
                    200,
                    r#"{"id": 1, "schema": "{}", "schemaType": "PROTOBUF"}"#,
                )
            },
            false,
        ),
    ];
    for (answer, passes) in cases {
        let settings = registry(answer).await;
        let asking = tokio::task::spawn_blocking(move || {
            Client::new(&settings)
                .unwrap()
                .find(&name("a"))
                .unwrap_err()
        });
        let error = asking.await.unwrap();
        assert_eq!(error.is_away(), passes, "{error}");
    }
}

#[test]
fn who_asks_is_a_user_a_bearer_of_a_token_or_nobody() {
    let says = |username: &str, password: &str, token: &str| {
        identity::authorization(&SchemaRegistry {
            username: username.to_owned(),
            password: Secret::new(password),
            token: Secret::new(token),
            ..settings(Vec::new())
        })
    };
    assert_eq!(says("", "", ""), None);
    // RFC 7617, section 2.
    let basic = says("Aladdin", "open sesame", "");
    assert_eq!(basic.as_deref(), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
    // RFC 6750, section 2.1.
    let bearer = says("", "", "mF_9.B5f-4.1JqM");
    assert_eq!(bearer.as_deref(), Some("Bearer mF_9.B5f-4.1JqM"));
}
