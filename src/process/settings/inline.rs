//! Lists of tables in one variable of the environment: `OUTBOX_RELAY__ROUTES`, for example.
//!
//! Owns how such a text is read: as JSON, or as TOML has it behind an equals sign. Does not know which
//! keys the tables have.
//!
//! Invariant: what is told of a text that cannot be read quotes nothing of it.

use config::Value;

use super::layers::{parse, without_excerpt};
use super::problems::Problems;

/// Behind this name the text is TOML.
const NAME: &str = "list";

/// The list that a text holds for a key; none where it is at fault. Blanks alone hold no table.
pub(super) fn list(path: &str, text: &str, problems: &mut Problems) -> Option<Value> {
    if text.trim().is_empty() {
        return Some(Value::new(None, Vec::<Value>::new()));
    }
    // The parser's own reason may quote a value.
    let json = match serde_json::from_str(text) {
        Ok(list) => return Some(list),
        Err(error) => format!("line {}, column {}", error.line(), error.column()),
    };
    let toml = match parse(&format!("{NAME} = {text}")) {
        Ok(mut tree) if tree.len() == 1 => return tree.swap_remove(NAME),
        Ok(_) => "it goes on behind the list".to_owned(),
        Err(error) => without_excerpt(&error),
    };
    let text = format!(
        "expected a list of tables, [{{…}}, {{…}}], which this is neither as JSON ({json}) nor as \
         TOML ({toml}) (in the environment)"
    );
    problems.add(path, text);
    None
}
