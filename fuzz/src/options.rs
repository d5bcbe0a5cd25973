//! All options, as strings.

use lakeflow_redis::options::Options;

use super::replies::check_text;

/// Lines of `name=value`: those before an empty one are a connector's, those after it a read's.
pub fn options(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n');
    let pairs = |lines: &mut dyn Iterator<Item = &str>| -> Vec<(String, String)> {
        let lines = lines.take_while(|line| !line.is_empty());
        let pairs = lines.filter_map(|line| line.split_once('='));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    let options = match Options::for_connector(pairs(&mut lines)) {
        Ok(options) => options,
        Err(error) => return check_text(&error),
    };
    let _ = (options.place(), options.connection(), options.databases());
    match options.for_read(pairs(&mut lines)) {
        Ok(read) => match read.read() {
            Ok(read) => assert!(read.partitions > 0),
            Err(error) => check_text(&error),
        },
        Err(error) => check_text(&error),
    }
}
