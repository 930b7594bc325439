//! Reading the commands of a log as the runner of GitHub Actions does.

/// The properties of a command, each with its value.
pub(crate) type Properties = Vec<(String, String)>;

/// What GitHub's runner makes of a line: the command, its properties and its data (ActionCommand.TryParseV2 there).
pub(crate) fn command(line: &str) -> Option<(String, Properties, String)> {
    let rest = line.trim_start().strip_prefix("::")?;
    let (head, data) = rest.split_once("::")?;
    let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
    let unescaped = |text: &str| text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%");
    let properties = properties
        .split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| {
            let value = value.replace("%3A", ":").replace("%2C", ",");
            (key.to_owned(), unescaped(&value))
        })
        .collect();
    Some((name.to_owned(), properties, unescaped(data)))
}
