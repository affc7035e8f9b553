//! Schemas and values that nobody thought of.

use apache_avro::types::Value as Avroed;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{as_json, decoded, encoded, read_back};

/// A schema and values of it; named types are numbered as they come.
fn pairs() -> impl Strategy<Value = (Value, Value)> {
    let leaf = prop_oneof![
        Just((json!("null"), Value::Null)),
        any::<bool>().prop_map(|flag| (json!("boolean"), json!(flag))),
        any::<i32>().prop_map(|number| (json!("int"), json!(number))),
        any::<i64>().prop_map(|number| (json!("long"), json!(number))),
        any::<f64>().prop_map(|number| (json!("double"), json!(number))),
        ".*".prop_map(|text| (json!("string"), json!(text))),
        any::<Vec<u8>>().prop_map(|bytes| (json!("bytes"), json!(STANDARD.encode(bytes)))),
        any::<[u8; 4]>().prop_map(|bytes| {
            let fixed = json!({"type": "fixed", "name": "N", "size": 4});
            (fixed, json!(STANDARD.encode(bytes)))
        }),
        (0..3_usize).prop_map(|at| {
            let symbols = ["A", "B", "C"];
            (
                json!({"type": "enum", "name": "N", "symbols": symbols}),
                json!(symbols[at]),
            )
        }),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            (inner.clone(), 0..4_usize).prop_map(|((schema, value), many)| {
                (
                    json!({"type": "array", "items": schema}),
                    json!(vec![value; many]),
                )
            }),
            (inner.clone(), ".*").prop_map(|((schema, value), key)| {
                (
                    json!({"type": "map", "values": schema}),
                    json!({ key: value }),
                )
            }),
            (inner.clone(), any::<bool>()).prop_map(|((schema, value), is_null)| {
                if schema == "null" || schema.is_array() {
                    return (schema, value);
                }
                let value = if is_null { Value::Null } else { value };
                (json!(["null", schema]), value)
            }),
            proptest::collection::vec(inner, 0..5).prop_map(|parts| {
                let (mut fields, mut value) = (Vec::new(), serde_json::Map::new());
                for (number, (schema, part)) in parts.into_iter().enumerate() {
                    let name = format!("f{number}");
                    fields.push(json!({"name": name, "type": schema}));
                    value.insert(name, part);
                }
                (
                    json!({"type": "record", "name": "N", "fields": fields}),
                    Value::Object(value),
                )
            }),
        ]
    })
}

/// Gives every named type a name of its own.
fn number_names(schema: &mut Value, count: &mut usize) {
    match schema {
        Value::Object(table) => {
            if table.get("name") == Some(&json!("N")) {
                *count += 1;
                table.insert("name".to_owned(), json!(format!("N{count}")));
            }
            table
                .values_mut()
                .for_each(|inner| number_names(inner, count));
        }
        Value::Array(all) => all.iter_mut().for_each(|inner| number_names(inner, count)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

proptest! {
    #[test]
    fn what_fits_a_schema_is_read_back_as_it_was((mut schema, value) in pairs()) {
        number_names(&mut schema, &mut 0);
        let bytes = encoded(&schema, &value.to_string()).unwrap();
        prop_assert_eq!(as_json(decoded(&schema, &bytes)), value);
    }

    #[test]
    fn any_text_is_encoded_or_refused((mut schema, _) in pairs(), text in ".*", (_, value) in pairs()) {
        number_names(&mut schema, &mut 0);
        for json in [text, value.to_string()] {
            if let Ok(bytes) = encoded(&schema, &json) {
                decoded(&schema, &bytes);
            }
        }
    }

    #[test]
    fn a_decimal_keeps_all_its_digits(unscaled in any::<i128>(), scale in 0..40_u32) {
        let digits = unscaled.unsigned_abs().to_string();
        let digits = format!("{digits:0>width$}", width = usize::try_from(scale).unwrap() + 1);
        let (whole, fraction) = digits.split_at(digits.len() - usize::try_from(scale).unwrap());
        let sign = if unscaled < 0 { "-" } else { "" };
        let point = if scale > 0 { "." } else { "" };
        let schema = json!({"type": "bytes", "logicalType": "decimal", "precision": 40, "scale": scale});
        let value = read_back(schema, &format!("{sign}{whole}{point}{fraction}"));
        let Avroed::Decimal(decimal) = value else { panic!("{value:?}") };
        prop_assert_eq!(num_bigint::BigInt::from(decimal), num_bigint::BigInt::from(unscaled));
    }
}
