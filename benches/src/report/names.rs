//! What the report calls the contenders.

/// The name for people of a contender in the results.
pub(crate) fn label(contender: &str) -> String {
    match contender {
        "ours" => "outbox-relay".to_owned(),
        "debezium-default" => "Debezium Server".to_owned(),
        "debezium-tuned" => "Debezium Server, tuned".to_owned(),
        "limit-kafka" => "Kafka's client alone".to_owned(),
        "limit-postgres" => "claiming and marking alone".to_owned(),
        _ => poller(contender).unwrap_or_else(|| contender.to_owned()),
    }
}

/// `naive-rust-100`, or with a client's name, `naive-go-franz-go-100`.
fn poller(contender: &str) -> Option<String> {
    let (of, batch) = contender.strip_prefix("naive-")?.rsplit_once('-')?;
    let batch: u32 = batch.parse().ok()?;
    let (language, client) = of.split_once('-').unwrap_or((of, ""));
    let language = match language {
        "rust" => "Rust",
        "go" => "Go",
        _ => return None,
    };
    let client = if client.is_empty() {
        String::new()
    } else {
        format!(" with {client}")
    };
    Some(format!("poller in {language}{client}, batch {batch}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poller_is_called_by_its_language_and_batch() {
        assert_eq!(label("naive-rust-5000"), "poller in Rust, batch 5000");
        assert_eq!(label("naive-go-100"), "poller in Go, batch 100");
        assert_eq!(
            label("naive-go-kafka-go-100"),
            "poller in Go with kafka-go, batch 100"
        );
        assert_eq!(label("somebody"), "somebody");
    }
}
