//! What a server says of itself.

use lakeflow_redis::topology::Server;

use super::replies::check_text;

/// The reply to INFO.
pub fn info(bytes: &[u8]) {
    match Server::parse(&String::from_utf8_lossy(bytes)) {
        Ok(server) => {
            let known = server.databases.keys().all(|db| {
                let expires = server.databases[db].expires;
                server.keys_expire(*db) == (expires != Some(0))
            });
            assert!(known);
            assert!(!server.scans_by_type() || server.redis_version.0 >= 6);
            let _ = (
                server.to_string(),
                server.has_no_touch(),
                server.check_loaded(),
            );
        }
        Err(error) => check_text(&error),
    }
}
