//! The names of the outbox and of what stands beside it, quoted for SQL.
//!
//! Owns the rendering of statement templates. Knows no statement.
//!
//! Invariant: a rendered statement has no placeholder left, and a name can end no quotation.

/// The names of one outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    schema: String,
    table: String,
}

impl Names {
    /// The names for an outbox called `table` in `schema`, as the database spells them.
    pub fn new(schema: &str, table: &str) -> Self {
        Self {
            schema: schema.to_owned(),
            table: table.to_owned(),
        }
    }

    /// The schema, as the database spells it.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The outbox's name for people.
    pub fn outbox(&self) -> String {
        format!("{}.{}", self.schema, self.table)
    }

    /// Fills a template's placeholders in.
    pub fn render(&self, template: &str) -> String {
        let beside = |suffix: &str| self.qualified(&format!("{}_{suffix}", self.table));
        let index = |suffix: &str| quoted(&format!("{}_{suffix}", self.table));
        let pairs = [
            ("{schema}", quoted(&self.schema)),
            ("{outbox}", self.qualified(&self.table)),
            ("{outbox_text}", literal(&self.qualified(&self.table))),
            ("{sequence}", beside("seq_seq")),
            ("{sequence_text}", literal(&beside("seq_seq"))),
            ("{unpublished}", index("unpublished")),
            ("{unpublished_text}", literal(&beside("unpublished"))),
            ("{delayed}", index("delayed")),
            ("{dead}", index("dead")),
            ("{leases}", beside("relay_lanes")),
            ("{relays}", beside("relay_relays")),
            ("{identity}", beside("relay_identity")),
            ("{audit}", beside("relay_audit")),
            ("{migrations}", beside("relay_migrations")),
            ("{publish}", beside("publish")),
        ];
        pairs
            .into_iter()
            .fold(template.to_owned(), |sql, (placeholder, name)| {
                sql.replace(placeholder, &name)
            })
    }

    fn qualified(&self, name: &str) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(name))
    }
}

/// An identifier in double quotes.
pub fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// A text in single quotes, whatever `standard_conforming_strings` says.
pub(super) fn literal(text: &str) -> String {
    let text = text.replace('\'', "''");
    if text.contains('\\') {
        format!("E'{}'", text.replace('\\', "\\\\"))
    } else {
        format!("'{text}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_end_no_quotation() {
        let names = Names::new("a\"b", "o'x\\");
        let sql = names.render("SELECT {outbox_text} FROM {outbox}");
        assert_eq!(sql, r#"SELECT E'"a""b"."o''x\\"' FROM "a""b"."o'x\""#);
    }

    #[test]
    fn the_tables_beside_the_outbox_carry_its_name() {
        let names = Names::new("public", "outbox");
        assert_eq!(
            names.render("{leases} {migrations}"),
            r#""public"."outbox_relay_lanes" "public"."outbox_relay_migrations""#
        );
    }
}
