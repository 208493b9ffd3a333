//! HTTP/1.x on reassembled streams: framing, pairing, persistence.
