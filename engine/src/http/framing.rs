//! Where a message body ends (RFC 9112 §6.3, rules in order).

use super::head::{ContentLength, Fields, RequestHead, ResponseHead, TransferEncoding};
use crate::record::{Framing, Role};

/// What follows a message head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing: the message is complete.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Everything up to the sender's FIN.
    UntilClose,
    /// No HTTP any more: CONNECT accepted, or 101.
    Tunnel,
    /// The end cannot be known; the connection is not readable as HTTP from here (rule 5, and rule 4 for requests).
    Unknowable,
}

impl Body {
    /// The contract's word; an unknowable end is read until the connection closes.
    #[must_use]
    pub const fn framing(self) -> Framing {
        match self {
            Body::None => Framing::None,
            Body::Length(_) => Framing::Length,
            Body::Chunked => Framing::Chunked,
            Body::UntilClose | Body::Unknowable => Framing::UntilClose,
            Body::Tunnel => Framing::Tunnel,
        }
    }
}

/// The methods that change how a response is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Its response has no body whatever it says.
    Head,
    /// A 2xx response turns the connection into a tunnel.
    Connect,
    /// Any other, or the request was not seen: the response to an unseen HEAD cannot be told from one with a body.
    Other,
}

impl Method {
    /// Methods are case-sensitive (RFC 9110 §9.1).
    #[must_use]
    pub fn of(name: &str) -> Self {
        match name {
            "HEAD" => Method::Head,
            "CONNECT" => Method::Connect,
            _ => Method::Other,
        }
    }
}

/// The body of a request.
#[must_use]
pub fn request_body(head: &RequestHead<'_>) -> Body {
    let fields = &head.fields;
    match (fields.transfer_encoding, fields.content_length) {
        (TransferEncoding::Chunked, _) => Body::Chunked,
        (TransferEncoding::Other, _) | (_, ContentLength::Invalid) => Body::Unknowable,
        (_, ContentLength::Bytes(n)) => Body::Length(n),
        (_, ContentLength::Absent) => Body::None,
    }
}

/// The body of a response to a request of this method.
#[must_use]
pub fn response_body(head: &ResponseHead<'_>, method: Method) -> Body {
    let fields = &head.fields;
    match (head.status, method, fields.transfer_encoding, fields.content_length) {
        (101, ..) | (200..=299, Method::Connect, ..) => Body::Tunnel,
        (_, Method::Head, ..) | (100..=199 | 204 | 304, ..) => Body::None,
        (_, _, TransferEncoding::Chunked, _) => Body::Chunked,
        (_, _, TransferEncoding::Other, _) | (_, _, _, ContentLength::Absent) => Body::UntilClose,
        (_, _, _, ContentLength::Invalid) => Body::Unknowable,
        (_, _, _, ContentLength::Bytes(n)) => Body::Length(n),
    }
}

/// Whether two readers may disagree on where this message ends: Transfer-Encoding beside Content-Length (§6.1),
/// Transfer-Encoding in HTTP/1.0, a request whose last coding is not chunked, or lengths that contradict.
#[must_use]
pub fn is_ambiguous(sender: Role, version: u8, fields: &Fields<'_>) -> bool {
    let encoding = fields.transfer_encoding;
    let measured = fields.content_length != ContentLength::Absent;
    let encoded = encoding != TransferEncoding::Absent && (measured || version == 0);
    let endless = encoding == TransferEncoding::Other && sender == Role::Client;
    encoded || endless || fields.content_length == ContentLength::Invalid
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{Parsed, parse};

    fn of_response(lines: &str, method: Method) -> (Body, bool) {
        let bytes = format!("HTTP/{lines}\r\n\r\n");
        let Parsed::Complete(_, head) = parse::<ResponseHead>(bytes.as_bytes()) else { panic!("{lines}") };
        (response_body(&head, method), is_ambiguous(Role::Server, head.version, &head.fields))
    }

    fn of_request(lines: &str) -> (Body, bool) {
        let bytes = format!("POST / HTTP/{lines}\r\n\r\n");
        let Parsed::Complete(_, head) = parse::<RequestHead>(bytes.as_bytes()) else { panic!("{lines}") };
        (request_body(&head), is_ambiguous(Role::Client, head.version, &head.fields))
    }

    const TE: &str = "Transfer-Encoding: chunked";
    const CL: &str = "Content-Length: 5";

    #[test]
    fn rule_1_responses_without_body_whatever_they_say() {
        for status in ["100", "102", "103", "199", "204", "304"] {
            for header in [CL, TE, "X: y"] {
                assert_eq!(
                    of_response(&format!("1.1 {status} x\r\n{header}"), Method::Other).0,
                    Body::None,
                    "{status}"
                );
            }
        }
        for header in [CL, TE, "X: y"] {
            assert_eq!(of_response(&format!("1.1 200 x\r\n{header}"), Method::Head).0, Body::None);
        }
    }

    #[test]
    fn rule_2_connect_accepted_and_101_are_tunnels() {
        assert_eq!(of_response(&format!("1.1 200 x\r\n{CL}"), Method::Connect).0, Body::Tunnel);
        assert_eq!(of_response(&format!("1.1 299 x\r\n{TE}"), Method::Connect).0, Body::Tunnel);
        assert_eq!(of_response(&format!("1.1 407 x\r\n{CL}"), Method::Connect).0, Body::Length(5));
        assert_eq!(of_response("1.1 101 x", Method::Other).0, Body::Tunnel);
        assert_eq!(of_response("1.1 101 x", Method::Head).0, Body::Tunnel);
    }

    #[test]
    fn rule_3_transfer_encoding_wins_over_content_length_and_is_flagged() {
        assert_eq!(of_response(&format!("1.1 200 x\r\n{CL}\r\n{TE}"), Method::Other), (Body::Chunked, true));
        assert_eq!(of_request(&format!("1.1\r\n{TE}\r\n{CL}")), (Body::Chunked, true));
    }

    #[test]
    fn rule_4_chunked_last_or_until_close_or_a_request_that_cannot_be_read() {
        assert_eq!(of_response(&format!("1.1 200 x\r\n{TE}"), Method::Other), (Body::Chunked, false));
        assert_eq!(of_request(&format!("1.1\r\n{TE}")), (Body::Chunked, false));
        let gzip = "1.1 200 x\r\nTransfer-Encoding: gzip";
        assert_eq!(of_response(gzip, Method::Other), (Body::UntilClose, false));
        assert_eq!(of_request("1.1\r\nTransfer-Encoding: gzip"), (Body::Unknowable, true));
        assert_eq!(of_response(&format!("1.0 200 x\r\n{TE}"), Method::Other), (Body::Chunked, true));
    }

    #[test]
    fn rule_5_an_invalid_length_is_unrecoverable_and_a_repeated_one_is_not() {
        assert_eq!(of_response("1.1 200 x\r\nContent-Length: 5, 6", Method::Other), (Body::Unknowable, true));
        assert_eq!(of_request("1.1\r\nContent-Length: x"), (Body::Unknowable, true));
        assert_eq!(of_request("1.1\r\nContent-Length: 5, 5"), (Body::Length(5), false));
    }

    #[test]
    fn rules_6_to_8_length_then_nothing_for_requests_and_until_close_for_responses() {
        assert_eq!(of_response(&format!("1.1 200 x\r\n{CL}"), Method::Other), (Body::Length(5), false));
        assert_eq!(of_request(&format!("1.0\r\n{CL}")), (Body::Length(5), false));
        assert_eq!(of_request("1.1\r\nX: y"), (Body::None, false));
        assert_eq!(of_response("1.1 200 x\r\nX: y", Method::Other), (Body::UntilClose, false));
    }
}
