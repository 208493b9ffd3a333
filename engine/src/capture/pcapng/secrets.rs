//! The decryption secrets block (draft-ietf-opsawg-pcapng §4.7): counted by type, and kept as it is, within bounds, for
//! tools that decrypt. Nothing here does.

use super::told::Told;
use crate::capture::order::Order;

/// Bytes before the secrets: their type and length.
pub const SECRETS_START: usize = 8;

/// The word for a type of secrets.
fn word(kind: u32) -> &'static str {
    match kind {
        0x544c_534b => "tls_key_log",
        0x5353_484b => "ssh_key_log",
        0x5747_4b4c => "wireguard_key_log",
        0x5a4e_574b => "zigbee_nwk_key",
        0x5a41_5053 => "zigbee_aps_key",
        0x5541_4b4c => "opc_ua_key_log",
        _ => "unknown",
    }
}

/// Keeps the secrets in the body of a block, and notes its comments.
pub fn keep_secrets(order: Order, body: &[u8], told: &mut Told) {
    let stated = order.u32(body, 4) as usize;
    let Some(rest) = body.get(SECRETS_START..).filter(|rest| !rest.is_empty()) else { return };
    told.secret(word(order.u32(body, 0)), rest.get(..stated).unwrap_or(rest));
    let options = stated.checked_next_multiple_of(4).and_then(|end| rest.get(end..)).unwrap_or_default();
    told.comments(order, options, "decryption_secrets");
}

/// Notes a block whose body begins so, and has `room` bytes behind that.
pub fn note_secrets(order: Order, start: [u8; SECRETS_START], room: u64, told: &mut Told) {
    told.block("decryption_secrets");
    let stated = u64::from(order.u32(&start, 4));
    told.facts.broken_lists += u64::from(stated > room);
    let facts = told.facts.secrets.entry(word(order.u32(&start, 0))).or_default();
    facts.blocks += 1;
    facts.bytes = facts.bytes.saturating_add(stated.min(room));
}
