//! Whole numbers as Avro and Protobuf both write them, in as few bytes as they need.

/// Writes a number: seven bits a byte, the lowest first, with the sign as the lowest of all (Avro's
/// specification, "Binary Encoding"; Protobuf's `sint64`).
pub(super) fn put_long(out: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while rest > 0x7f {
        out.push((rest & 0x7f).to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    out.push(rest.to_le_bytes()[0]);
}
