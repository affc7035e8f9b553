//! What it means that others take rows of the outbox.
//!
//! Owns the judgements, which are for teams that had another way out of the same table before.

use super::Finding;

/// What is looked at.
const ABOUT: &str = "others";

/// Whether writers delete their rows before anybody can read them: there were rows, none was ever marked, and
/// none is left.
pub fn vanishing(inserted: i64, updated: i64, deleted: i64, live: i64) -> Option<Finding> {
    let vanish = inserted > 0 && updated == 0 && deleted > 0 && live == 0;
    vanish.then(|| {
        let seen = format!("{inserted} rows were written, {deleted} deleted, and none was published");
        let cure = "let writers leave their rows to the relay: those that delete them at once (Quarkus unless \
                    quarkus.debezium-outbox.remove-after-insert=false) leave nothing to read";
        Finding::doubtful(ABOUT, seen, cure)
    })
}

/// Whether somebody follows the changes of the outbox, who sees each row that is marked.
pub fn followed(publications: &[String]) -> Option<Finding> {
    if publications.is_empty() {
        return None;
    }
    let seen = format!(
        "updates of the outbox are published by {}",
        publications.join(", ")
    );
    let cure = "a Debezium connector that still reads it sends every event as well, warns of every row that \
                the relay marks, and stops under table.op.invalid.behavior=fatal: stop it first, then drop \
                publication and slot";
    Some(Finding::doubtful(ABOUT, seen, cure))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_vanish_unread_are_told_from_rows_that_were_pruned() {
        assert!(vanishing(3, 0, 3, 0).is_some());
        for (inserted, updated, deleted, live) in
            [(0, 0, 0, 0), (3, 3, 3, 0), (3, 0, 2, 1), (3, 0, 0, 0)]
        {
            assert_eq!(vanishing(inserted, updated, deleted, live), None);
        }
    }

    #[test]
    fn a_publication_is_told_by_its_name() {
        assert_eq!(followed(&[]), None);
        let found = followed(&["dbz_publication".to_owned()]).unwrap();
        assert!(found.text.contains("dbz_publication"));
    }
}
