//! The registry of schemas as settings, and the schemas that stand in files.
//!
//! Owns when its addresses can be used, and what is in the files that routes name. What a schema means
//! is in `decide::schema`.
//!
//! Invariant: a route that names a file holds its text, or is at fault.

use config::{Config, Value, ValueKind};

use super::layers::Layer;
use super::problems::Problems;
use crate::decide::route::RouteSpec;

/// What the registry is for.
const URLS: &str = "schema_registry.urls";

/// The layer of routes with what stands in the files of their schemas; an empty one where no route
/// names a file.
pub(super) fn from_files(config: &Config, problems: &mut Problems) -> Layer {
    let mut layer = Layer::default();
    let mut routes = config.get_array("routes").unwrap_or_default();
    let mut any = false;
    for (place, route) in routes.iter_mut().enumerate() {
        let Some((schema, file)) = schema_with_file(route) else {
            continue;
        };
        any = true;
        match std::fs::read_to_string(file) {
            Ok(text) => {
                schema.insert("text".to_owned(), Value::new(None, text));
            }
            Err(error) => {
                let path = format!("routes[{place}].schema.file");
                problems.add(&path, format!("names a file that cannot be read: {error}"));
            }
        }
    }
    if any {
        layer.set_routes(routes);
    }
    layer
}

/// The table of a route's schema, and the file that it names.
fn schema_with_file(route: &mut Value) -> Option<(&mut config::Map<String, Value>, String)> {
    let ValueKind::Table(route) = &mut route.kind else {
        return None;
    };
    let ValueKind::Table(schema) = &mut route.get_mut("schema")?.kind else {
        return None;
    };
    let file = schema.get("file")?.clone().into_string().ok()?;
    Some((schema, file))
}

/// Adds what is wrong with the addresses, that there are none where a route needs one, and what is
/// wrong with how the relay says who it is.
pub(super) fn check(config: &Config, problems: &mut Problems) {
    check_identity(config, problems);
    if problems.name(URLS) {
        return;
    }
    let urls: Vec<String> = config.get(URLS).unwrap_or_default();
    if !urls.iter().all(|url| is_address(url)) {
        let text = "expected http://host:port or https://host:port, without a user and a password: \
                    these are schema_registry.username and schema_registry.password";
        problems.add(URLS, text);
    }
    let routes: Vec<RouteSpec> = config.get("routes").unwrap_or_default();
    if urls.is_empty() && routes.iter().any(|route| route.schema.is_some()) {
        problems.add(URLS, "expected one address or more: a route has a schema");
    }
}

/// Adds that there are two answers to who asks, or half of one.
fn check_identity(config: &Config, problems: &mut Problems) {
    let is_given = |key: &str| {
        let text = config.get_string(&format!("schema_registry.{key}"));
        text.is_ok_and(|text| !text.is_empty())
    };
    if is_given("username") && (is_given("token") || is_given("token_file")) {
        let text = "is given beside schema_registry.username: empty one of the two";
        problems.add("schema_registry.token", text);
    }
    for (given, missing) in [
        ("certificate_file", "key_file"),
        ("key_file", "certificate_file"),
    ] {
        if is_given(given) && !is_given(missing) {
            let text = format!("expected a file, as schema_registry.{given} names one");
            problems.add(&format!("schema_registry.{missing}"), text);
        }
    }
}

/// An address shows in logs, so no secret may stand in it.
fn is_address(url: &str) -> bool {
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme));
    rest.is_some_and(|rest| {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"@?#".contains(&byte);
        !rest.starts_with(['/', ':']) && !rest.is_empty() && rest.bytes().all(is_plain)
    })
}
