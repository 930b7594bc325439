//! What a shell has built in, as far as its effect on variables, directories or output is known (POSIX.1-2017, sections 2.14 and 4,
//! and bash's manual).

use super::FileKind;
use super::run::Shell;
use super::state::{Flow, Patterns};
use super::value::{Export, Setting, Value};

impl Shell<'_> {
    /// `command -v`, `type` and `which`: where commands are.
    pub(super) fn locate(&mut self, names: &[Value]) {
        for name in names {
            let Some(text) = name.complete() else {
                self.print(&Value::unknown());
                self.state.status = None;
                return;
            };
            let function = self.state.functions.get(text);
            if function.is_some_and(|function| function.may_be_missing) {
                self.print(&Value::unknown());
                self.state.status = None;
                return;
            }
            let is_own = is_built_in(text) || function.is_some();
            let path = self.plain("PATH").map(|path| path.text);
            let found = match path {
                _ if is_own => Some(text.to_owned()),
                _ if text.contains('/') => self.absolute(name),
                Some(path) => self.on_path(text, &path, true),
                None => None,
            };
            if let Some(found) = found {
                self.print(&Value::known(format!("{found}\n")));
            } else {
                self.print(&Value::unknown());
                self.state.status = None;
            }
        }
    }

    // Long: one arm for each command.
    pub(super) fn built_in(&mut self, name: &str, arguments: &[Value], declared: Vec<Setting>) {
        self.state.status = Some(true);
        match name {
            "false" => self.state.status = Some(false),
            "export" | "readonly" | "declare" | "typeset" | "local" => self.declare(name, arguments, declared),
            "unset" => self.unset(arguments),
            "cd" => self.change_directory(arguments),
            "pushd" | "popd" => self.directory_stack(name == "pushd", arguments),
            "pwd" => {
                let directory = self.state.directory.clone();
                self.print_line(&directory);
            }
            "." | "source" => self.source(arguments),
            "eval" => self.evaluate(arguments),
            "trap" => {
                let action = arguments.iter().find(|word| !word.text.starts_with('-'));
                if let (Some(survey), Some(action)) = (&mut self.survey, action) {
                    survey.trap(action);
                }
            }
            "set" => self.set_options(arguments),
            "shift" => self.shift(arguments),
            "test" => self.state.status = self.test(arguments),
            "[" => {
                let end = arguments.len().saturating_sub(1);
                self.state.status = self.test(&arguments[..end]);
            }
            "echo" => self.echo(arguments),
            "printf" => self.printf(arguments),
            "exit" | "return" | "break" | "continue" => self.leave(name, arguments),
            "read" => self.read_line(arguments),
            "type" | "hash" => self.locate(arguments),
            "shopt" => self.choose_patterns(arguments),
            "mapfile" | "readarray" | "getopts" | "let" => self.set_unknown(arguments),
            "wait" | "kill" | "jobs" | "fg" | "bg" => self.state.status = None,
            _ => {}
        }
    }

    fn evaluate(&mut self, arguments: &[Value]) {
        let mut text = Value::default();
        for argument in arguments {
            text.push(argument);
            text.push_str(" ");
        }
        if let Some(text) = text.complete() {
            self.nested(|shell| shell.text(text));
        } else {
            self.state.is_clouded = true;
            self.state.status = None;
        }
    }

    fn shift(&mut self, arguments: &[Value]) {
        let count = arguments.first().map_or(Some(1), |count| count.text.parse().ok());
        let rest = count.and_then(|count: usize| self.state.arguments.get(count..));
        let rest = rest.map(<[Value]>::to_vec);
        self.state.status = Some(rest.is_some());
        self.state.arguments = rest.unwrap_or_else(|| self.state.arguments.clone());
    }

    /// The commands that leave what is running: `exit`, `return`, `break` and `continue`.
    fn leave(&mut self, name: &str, arguments: &[Value]) {
        let levels = arguments.first().and_then(|levels| levels.text.parse().ok());
        let levels = levels.unwrap_or(1);
        let flow = match name {
            "break" => Some(Flow::Break(levels)),
            "continue" => Some(Flow::Continue(levels)),
            "exit" => Some(Flow::Exit),
            _ => (!self.locals.is_empty() || self.sourced > 0).then_some(Flow::Return),
        };
        if name == "exit" || name == "return" {
            self.state.status = arguments.first().map_or(self.state.status, status_of);
        }
        self.state.flow = flow.unwrap_or(self.state.flow);
    }

    /// `shopt`, of whose options those count that say what becomes of a pattern.
    fn choose_patterns(&mut self, arguments: &[Value]) {
        let names = |name: &str| arguments.iter().any(|argument| argument.text == name);
        if names("nullglob") && self.state.patterns != Patterns::Kept {
            self.state.patterns = if names("-s") {
                Patterns::Dropped
            } else {
                Patterns::Expanded
            };
        }
    }

    /// Commands that set variables to what is not known here.
    fn set_unknown(&mut self, arguments: &[Value]) {
        for argument in arguments {
            for name in super::names_in(&argument.text) {
                self.set(name, Value::unknown(), false);
            }
        }
        self.state.status = None;
    }

    // Long: every option of five commands.
    fn declare(&mut self, name: &str, arguments: &[Value], declared: Vec<Setting>) {
        let (mut exports, mut is_undone, mut is_function) = (name == "export", false, false);
        let mut is_local = (name != "export" && name != "readonly") && !self.locals.is_empty();
        let mut settings = Vec::new();
        for argument in arguments {
            if let Some(options) = argument
                .text
                .strip_prefix(['-', '+'])
                .filter(|options| !options.is_empty())
            {
                let is_minus = argument.text.starts_with('-');
                if name == "export" {
                    is_undone |= options.contains('n');
                } else if options.contains('x') {
                    (exports, is_undone) = (is_minus, !is_minus);
                }
                is_function |= options.contains('f');
                // What is set by another name, or by an expression, is not followed.
                self.state.is_clouded |= is_minus && name != "export" && options.contains('n');
                is_local &= !options.contains('g');
                continue;
            }
            let (name, value) = match argument.text.split_once('=') {
                Some((name, value)) => {
                    let value = Value {
                        text: value.to_owned(),
                        is_complete: argument.is_complete,
                    };
                    (name, Some(value))
                }
                None => (argument.text.as_str(), None),
            };
            if !super::is_name(name) || (value.is_none() && !argument.is_complete) {
                self.state.is_clouded |= !argument.is_complete;
                continue;
            }
            settings.push(Setting {
                name: name.to_owned(),
                value,
                is_appended: false,
            });
        }
        settings.extend(declared);
        if is_function {
            return;
        }
        for setting in settings {
            if is_local {
                self.make_local(&setting);
            }
            let name = setting.name.clone();
            let was_set = self.state.variables.contains_key(&name);
            if exports && !is_undone && setting.value.is_none() && !was_set {
                // It is exported as soon as it is set.
                self.state.exported_later.insert(name.clone(), Export::Always);
            }
            self.apply(setting, exports);
            if is_undone {
                self.keep_to_itself(&name);
            }
        }
    }

    /// What processes that are started do not get any more.
    fn keep_to_itself(&mut self, name: &str) {
        self.state.exported_later.remove(name);
        if let Some(variable) = self.state.variables.get_mut(name) {
            variable.export = Export::Never;
        }
    }

    fn make_local(&mut self, setting: &Setting) {
        let before = self.outside(&setting.name);
        if let Some(locals) = self.locals.last_mut() {
            locals.entry(setting.name.clone()).or_insert(before);
        }
        if setting.value.is_none() {
            self.state.variables.remove(&setting.name);
        }
    }

    fn unset(&mut self, arguments: &[Value]) {
        let (mut is_function, mut is_variable) = (false, false);
        for argument in arguments {
            match argument.complete() {
                Some("-f") => is_function = true,
                Some("-v" | "-n") => is_variable = true,
                Some(name) if is_function => {
                    self.state.functions.remove(name);
                }
                Some(name) if name.contains('[') => {
                    let array = name.split('[').next().unwrap_or_default();
                    if let Some(values) = self.state.arrays.get_mut(array) {
                        *values = vec![Value::unknown()];
                    }
                }
                Some(name) => {
                    // A function goes only if there is no variable of this name (bash's manual, "unset").
                    let was_array = self.state.arrays.remove(name).is_some();
                    let was_exported = self.state.exported_later.remove(name).is_some();
                    let was_set = self.state.variables.remove(name).is_some();
                    if !(was_array || was_exported || was_set || is_variable) {
                        self.state.functions.remove(name);
                    }
                }
                None => self.state.is_clouded = true,
            }
        }
    }

    pub(super) fn change_directory(&mut self, arguments: &[Value]) {
        let mut rest = arguments;
        while let Some((option, after)) = rest.split_first()
            && ["-L", "-P", "-e", "--"].contains(&option.text.as_str())
        {
            rest = after;
        }
        let target = match rest.first() {
            None => self.plain("HOME").unwrap_or_else(Value::unknown),
            Some(target) if target.complete() == Some("-") => self.plain("OLDPWD").unwrap_or_else(Value::unknown),
            Some(target) => target.clone(),
        };
        let directory = self.in_searched(&target).or_else(|| self.absolute(&target));
        let directory = directory.map_or_else(|| self.partly_known(&target), Value::known);
        let kind = directory.complete().and_then(|path| self.files.kind(path));
        if matches!(kind, Some(FileKind::Missing | FileKind::File { .. })) {
            self.state.status = Some(false);
            return;
        }
        let old = std::mem::replace(&mut self.state.directory, directory.clone());
        self.set("OLDPWD", old, false);
        self.set("PWD", directory, false);
        self.state.status = Some(true);
    }

    /// The directory of this name in the first one of `CDPATH` that has one (POSIX.1-2017, cd).
    fn in_searched(&self, target: &Value) -> Option<String> {
        let name = target.complete().filter(|name| !name.starts_with(['/', '.']))?;
        let searched = self.plain("CDPATH")?;
        let mut places = searched.text.split(':').filter(|directory| directory.starts_with('/'));
        places.find_map(|directory| {
            let path = self.absolute(&Value::known(format!("{directory}/{name}")))?;
            (self.files.kind(&path) == Some(FileKind::Directory)).then_some(path)
        })
    }

    /// What is known of a directory that is not known as a whole, if that is of interest.
    fn partly_known(&self, target: &Value) -> Value {
        if !self.follows_all_ways() {
            return Value::unknown();
        }
        let text = if target.is_complete {
            let all = self.state.directory.alternatives();
            all.map(|directory| format!("{directory}/{}", target.text))
                .collect::<Vec<_>>()
                .join(":")
        } else {
            target.text.clone()
        };
        Value {
            text,
            is_complete: false,
        }
    }

    /// `pushd DIRECTORY`, `pushd`, and `popd`; with other arguments, which turn or cut the stack, the directory is not known.
    fn directory_stack(&mut self, is_push: bool, arguments: &[Value]) {
        let target = match (is_push, arguments) {
            (true, [target]) if !target.text.starts_with(['+', '-']) => Some(target.clone()),
            (_, []) => {
                let Some(target) = self.state.left_directories.pop() else {
                    self.state.status = Some(false);
                    return;
                };
                Some(target)
            }
            _ => None,
        };
        let left = self.state.directory.clone();
        self.change_directory(&[target.unwrap_or_else(Value::unknown)]);
        if is_push && self.state.status == Some(true) {
            self.state.left_directories.push(left);
        }
    }

    fn source(&mut self, arguments: &[Value]) {
        let Some((file, rest)) = arguments.split_first() else {
            return;
        };
        if file.complete() == Some("/dev/stdin") {
            match self.input.take() {
                Some(input) if input.is_complete => self.nested(|shell| shell.text(&input.text)),
                _ => self.state.is_clouded = true,
            }
            return;
        }
        let path = match file.complete() {
            Some(name) if !name.contains('/') => {
                let path = self.plain("PATH").unwrap_or_default();
                let found = self.on_path(name, &path.text, false);
                found.or_else(|| self.absolute(file).filter(|_| !self.is_posix))
            }
            _ => self.absolute(file),
        };
        let Some(path) = path else {
            self.state.is_clouded = true;
            self.state.status = None;
            return;
        };
        let Some(text) = self.files.text(&path) else {
            if self.files.kind(&path) == Some(FileKind::Missing) {
                self.state.status = Some(false);
                if self.is_posix {
                    self.state.flow = Flow::Exit;
                }
            } else {
                // The system's own profiles set no search path of libraries.
                self.state.is_clouded |= !path.starts_with("/etc/");
                self.state.status = None;
            }
            return;
        };
        self.read.insert(path);
        let outer = std::mem::replace(&mut self.state.source, file.clone());
        let arguments = (!rest.is_empty()).then(|| std::mem::replace(&mut self.state.arguments, rest.to_vec()));
        self.sourced += 1;
        self.nested(|shell| shell.text(&text));
        self.sourced -= 1;
        self.state.source = outer;
        if let Some(arguments) = arguments {
            self.state.arguments = arguments;
        }
        if self.state.flow == Flow::Return {
            self.state.flow = Flow::Next;
        }
    }

    fn set_options(&mut self, arguments: &[Value]) {
        let mut rest = arguments;
        while let Some((word, after)) = rest.split_first() {
            let text = word.text.as_str();
            if text == "--" {
                self.state.arguments = after.to_vec();
                return;
            }
            let Some(letters) = text.strip_prefix(['-', '+']).filter(|letters| !letters.is_empty()) else {
                self.state.arguments = rest.to_vec();
                return;
            };
            let is_on = text.starts_with('-');
            let exports_all = if is_on { Export::Always } else { Export::Never };
            rest = after;
            for letter in letters.chars() {
                match letter {
                    'a' => self.state.exports_all = exports_all,
                    'e' => self.state.exits_on_error = is_on,
                    'f' => self.set_noglob(is_on),
                    'o' => {
                        match rest.first().map(|name| name.text.as_str()) {
                            Some("allexport") => self.state.exports_all = exports_all,
                            Some("errexit") => self.state.exits_on_error = is_on,
                            Some("noglob") => self.set_noglob(is_on),
                            Some("posix") => self.is_posix = is_on,
                            _ => {}
                        }
                        rest = rest.get(1..).unwrap_or_default();
                    }
                    _ => {}
                }
            }
        }
    }

    fn set_noglob(&mut self, is_on: bool) {
        self.state.patterns = if is_on { Patterns::Kept } else { Patterns::Expanded };
    }

    pub(super) fn print_line(&mut self, value: &Value) {
        let mut line = value.clone();
        line.push_str("\n");
        self.print(&line);
    }

    fn echo(&mut self, arguments: &[Value]) {
        let mut rest = arguments;
        let (mut has_newline, mut is_escaped) = (true, self.is_posix);
        while let Some((option, after)) = rest.split_first()
            && ["-n", "-e", "-E", "-ne", "-en"].contains(&option.text.as_str())
        {
            has_newline &= !option.text.contains('n');
            is_escaped |= option.text.contains('e');
            rest = after;
        }
        let mut line = Value::default();
        for (number, argument) in rest.iter().enumerate() {
            if number > 0 {
                line.push_str(" ");
            }
            line.push(argument);
        }
        line.is_complete &= !(is_escaped && line.text.contains('\\'));
        if has_newline {
            line.push_str("\n");
        }
        self.print(&line);
    }

    /// `printf` with the conversions of strings; others make a result that is not known.
    fn printf(&mut self, arguments: &[Value]) {
        let (variable, rest) = match arguments {
            [option, name, rest @ ..] if option.text == "-v" => (name.complete().map(ToOwned::to_owned), rest),
            rest => (None, rest),
        };
        let Some((format, mut values)) = rest.split_first() else {
            return;
        };
        let mut result = Value::default();
        result.is_complete &= format.is_complete;
        loop {
            let before = values.len();
            let mut characters = format.text.chars();
            while let Some(character) = characters.next() {
                let next = matches!(character, '%' | '\\').then(|| characters.next()).flatten();
                match (character, next) {
                    ('%', Some('s' | 'd' | 'i')) => {
                        if let Some((value, after)) = values.split_first() {
                            result.push(value);
                            values = after;
                        }
                    }
                    ('%', Some('%')) => result.push_str("%"),
                    ('\\', Some('n')) => result.push_str("\n"),
                    ('\\', Some('t')) => result.push_str("\t"),
                    ('\\', Some('\\')) => result.push_str("\\"),
                    ('%' | '\\', _) => result.is_complete = false,
                    (other, _) => result.push_str(other.encode_utf8(&mut [0; 4])),
                }
            }
            // The format is used again as long as there are words and it takes some.
            if values.is_empty() || values.len() == before {
                break;
            }
        }
        match variable {
            Some(name) => self.set(&name, result, false),
            None => self.print(&result),
        }
    }

    fn read_line(&mut self, arguments: &[Value]) {
        let names: Vec<String> = arguments
            .iter()
            .map(|argument| argument.text.clone())
            .filter(|name| super::is_name(name))
            .collect();
        let line = match self.input.as_mut() {
            Some(input) if input.is_complete && arguments.iter().all(|word| word.is_complete) => {
                let (line, after) = match input.text.split_once('\n') {
                    Some((line, after)) => (Some(line.to_owned()), after.to_owned()),
                    None => (None, String::new()),
                };
                input.text = after;
                line
            }
            _ => {
                for name in names {
                    self.set(&name, Value::unknown(), false);
                }
                self.state.status = None;
                return;
            }
        };
        self.state.status = Some(line.is_some());
        let line = line.unwrap_or_default();
        let separators = self.separators();
        let mut rest = line.trim_matches(|c: char| c.is_whitespace() && separators.contains(c));
        for (number, name) in names.iter().enumerate() {
            let is_last = number + 1 == names.len();
            let end = rest.find(|c: char| separators.contains(c)).filter(|_| !is_last);
            let (field, after) = match end {
                Some(end) => {
                    let width = rest[end..].chars().next().map_or(0, char::len_utf8);
                    (&rest[..end], &rest[end + width..])
                }
                None => (rest, ""),
            };
            self.set(name, Value::known(field), false);
            rest = after.trim_start_matches(|c: char| c.is_whitespace() && separators.contains(c));
        }
    }
}

fn status_of(value: &Value) -> Option<bool> {
    value.complete()?.parse::<u8>().ok().map(|status| status == 0)
}

/// What bash and POSIX shells have built in.
pub(super) fn is_built_in(name: &str) -> bool {
    super::commands::BUILTIN_COMMANDS.contains(&name)
}
