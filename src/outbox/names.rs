//! The names of the outbox, of its columns and of what stands beside it, quoted for SQL.
//!
//! Owns the rendering of statement templates. Knows no statement.
//!
//! Invariant: a rendered statement has no placeholder left, and a name can end no quotation.

use super::columns::Columns;
use crate::decide::envelope::Place;

/// The names of one outbox, and how its columns are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    schema: String,
    table: String,
    columns: Columns,
}

impl Names {
    /// The names for an outbox called `table` in `schema`, as the database spells them.
    pub fn new(schema: &str, table: &str) -> Self {
        Self {
            schema: schema.to_owned(),
            table: table.to_owned(),
            columns: Columns::ours(),
        }
    }

    /// The same, for a table with these columns.
    pub(super) fn with(self, columns: Columns) -> Self {
        Self { columns, ..self }
    }

    /// How the columns are read.
    pub(super) fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The schema, as the database spells it.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The outbox's name for people.
    pub fn outbox(&self) -> String {
        format!("{}.{}", self.schema, self.table)
    }

    /// Where large payloads go, as records tell it to consumers: into a store, or into a table.
    pub fn place(&self, store: Option<&str>) -> Place {
        match store {
            Some(address) => Place::Store(address.to_owned()),
            None => Place::Table(format!("postgresql:{}.{}_payload", self.schema, self.table)),
        }
    }

    /// How the columns are read, for people.
    pub fn about_columns(&self) -> String {
        let Columns {
            payload, headers, ..
        } = &self.columns;
        format!("the payload is {payload}, the headers are {headers}")
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
            ("{payloads}", beside("payload")),
            ("{publish}", beside("publish")),
            ("{adoption}", beside("relay_adoption")),
            ("{adoption_text}", literal(&beside("relay_adoption"))),
            ("{migrations_text}", literal(&beside("relay_migrations"))),
            ("{adopting}", index("adopting")),
            ("{seq_index}", index("seq_key")),
            ("{number}", beside("relay_number")),
            ("{number_trigger}", index("relay_number")),
            (
                "{number_text}",
                literal(&format!("{}_relay_number", self.table)),
            ),
        ];
        let sql = pairs
            .into_iter()
            .fold(template.to_owned(), |sql, (placeholder, name)| {
                sql.replace(placeholder, &name)
            });
        self.render_row("o", &sql)
    }

    /// Fills in what stands for the columns of the row of this name, each as `{row.column}`.
    pub(super) fn render_row(&self, row: &str, template: &str) -> String {
        self.columns
            .of_row(row)
            .fold(template.to_owned(), |sql, (column, expression)| {
                sql.replace(&format!("{{{row}.{column}}}"), &expression)
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
