//! `[limits]`: what a message, a connection and the machine may be asked to bear.

use std::time::Duration;

use crate::config::reader::Table;
use crate::config::value::{bytes, count, duration};

const LONGEST_EXTRACT: Duration = Duration::from_secs(120);
const LEAST_MEMORY: u64 = 128 << 20;

/// `[limits]`
#[derive(Clone, Debug)]
pub struct Limits {
    pub message_bytes: usize,
    pub header_bytes: usize,
    pub line_bytes: usize,
    pub command_bytes: usize,
    pub recipients: usize,
    pub connections: usize,
    pub connections_per_address: usize,
    /// New connections a minute from one address that is no client's.
    pub connections_per_minute: usize,
    pub messages_per_connection: usize,
    pub errors_per_connection: usize,
    /// Wrong logins from one network, after which it is not heard for `lockout`.
    pub lockout_after: usize,
    pub lockout: Duration,
    pub idle: Duration,
    pub session: Duration,
    /// How long a connection may last before somebody has logged in over it.
    pub login: Duration,
    pub data: Duration,
    /// Bytes of messages that may be in memory before new ones are answered 4xx.
    pub memory_bytes: usize,
    /// Free disk below which new messages are answered 4xx.
    pub disk_reserve_bytes: u64,
    pub mime_depth: usize,
    pub mime_parts: usize,
    /// How many times its encoded size a part may grow to when decoded.
    pub mime_ratio: usize,
    /// Decoded bytes of one message that are read in all.
    pub mime_bytes: usize,
    /// How long the attachments of one message may be read in all.
    pub extract_time: Duration,
    /// Memory of the process that reads them.
    pub extract_memory: u64,
    /// How deep archives may lie in archives.
    pub archive_depth: usize,
}

impl Limits {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Limits {
        let command_line = table.line_of("command_bytes");
        let memory_line = table.line_of("memory_bytes");
        let (extract_line, extract_memory_line) = (table.line_of("extract_time"), table.line_of("extract_memory"));
        let limits = Limits {
            message_bytes: table.setting("message_bytes", bytes),
            header_bytes: table.setting("header_bytes", bytes),
            line_bytes: table.setting("line_bytes", bytes),
            command_bytes: table.setting("command_bytes", bytes),
            recipients: table.setting("recipients", count),
            connections: table.setting("connections", count),
            connections_per_address: table.setting("connections_per_address", count),
            connections_per_minute: table.setting("connections_per_minute", count),
            messages_per_connection: table.setting("messages_per_connection", count),
            errors_per_connection: table.setting("errors_per_connection", count),
            lockout_after: table.setting("lockout_after", count),
            lockout: table.setting("lockout", duration),
            idle: table.setting("idle", duration),
            session: table.setting("session", duration),
            login: table.setting("login", duration),
            data: table.setting("data", duration),
            memory_bytes: table.setting("memory_bytes", bytes),
            disk_reserve_bytes: table.setting("disk_reserve_bytes", bytes),
            mime_depth: table.setting("mime_depth", count),
            mime_parts: table.setting("mime_parts", count),
            mime_ratio: table.setting("mime_ratio", count),
            mime_bytes: table.setting("mime_bytes", bytes),
            extract_time: table.setting("extract_time", duration),
            extract_memory: table.setting("extract_memory", bytes),
            archive_depth: table.setting("archive_depth", count),
        };
        // RFC 5321 §4.5.3.1.4: a command line has up to 512 octets.
        if limits.command_bytes < 512 && limits.command_bytes > 0 {
            table.mistake(command_line, "command_bytes", "write at least 512: SMTP's own commands need that many");
        }
        if limits.memory_bytes < limits.message_bytes && limits.memory_bytes > 0 {
            let text = "write at least message_bytes: a message of that size could never be taken";
            table.mistake(memory_line, "memory_bytes", text);
        }
        // RFC 5321 §4.5.3.2.6: the client waits for its answer meanwhile.
        if limits.extract_time > LONGEST_EXTRACT {
            table.mistake(extract_line, "extract_time", "write at most 2m: the client waits for its answer meanwhile");
        }
        if limits.extract_memory < LEAST_MEMORY && limits.extract_memory > 0 {
            table.mistake(
                extract_memory_line,
                "extract_memory",
                "write at least 128MiB: with less, no document is read",
            );
        }
        limits
    }
}
