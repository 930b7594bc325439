//! Simple commands: what a shell has built in, the few programs whose effect on variables or output is known, and all others,
//! which are only noted as started.

use std::collections::BTreeMap;
use std::rc::Rc;

use brush_parser::ast::{
    Assignment, AssignmentName, AssignmentValue, CommandPrefixOrSuffixItem, FunctionBody, IoRedirect, SimpleCommand,
};

use super::FileKind;
use super::run::{Flow, Function, Patterns, Shell};
use super::value::{Export, Locals, Outside, Value};

/// Built-in commands of which assignments are arguments that are not split (bash's manual, "Simple Commands").
const DECLARATIONS: [&str; 5] = ["export", "readonly", "declare", "typeset", "local"];
/// The special built-in commands: in POSIX mode, an assignment before one of them lasts (POSIX.1-2017, section 2.14).
const SPECIAL: [&str; 15] = [
    ".", ":", "break", "continue", "eval", "exec", "exit", "export", "readonly", "return", "set", "shift", "times",
    "trap", "unset",
];
/// The built-in commands that change the directory.
const CHANGERS: [&str; 2] = ["cd", "pushd"];
/// Programs that start the rest of their words as a command, with how many words of their own come before it and the
/// options that take another word (coreutils' and util-linux' manuals).
const STARTERS: [(&str, usize, &[&str]); 6] = [
    ("nohup", 0, &[]),
    ("setsid", 0, &[]),
    ("nice", 0, &["-n", "--adjustment"]),
    ("stdbuf", 0, &["-i", "-o", "-e"]),
    ("timeout", 1, &["-k", "-s", "--kill-after", "--signal"]),
    ("chrt", 1, &[]),
];

/// A variable that is set: its name, what it is set to, and whether that is put behind what it has.
#[derive(Clone)]
struct Setting {
    name: String,
    value: Option<Value>,
    is_appended: bool,
}

impl Shell<'_> {
    pub(super) fn simple(&mut self, command: &SimpleCommand) {
        self.substituted = None;
        let mut redirects: Vec<&IoRedirect> = Vec::new();
        let mut assignments: Vec<&Assignment> = Vec::new();
        let prefix = command.prefix.iter().flat_map(|prefix| &prefix.0);
        for item in prefix {
            match item {
                CommandPrefixOrSuffixItem::IoRedirect(redirect) => redirects.push(redirect),
                CommandPrefixOrSuffixItem::AssignmentWord(assignment, _) => assignments.push(assignment),
                _ => {}
            }
        }
        let mut words = match &command.word_or_name {
            Some(word) => self.fields(&word.value),
            None => Vec::new(),
        };
        let is_declaration = words
            .first()
            .is_some_and(|name| DECLARATIONS.contains(&name.text.as_str()));
        let mut declared: Vec<Setting> = Vec::new();
        for item in command.suffix.iter().flat_map(|suffix| &suffix.0) {
            match item {
                CommandPrefixOrSuffixItem::IoRedirect(redirect) => redirects.push(redirect),
                CommandPrefixOrSuffixItem::AssignmentWord(assignment, word) if is_declaration => {
                    // Braces make several assignments of one, the last of which counts.
                    match self.braces(&word.value).as_slice() {
                        [] | [_] => declared.extend(self.setting(assignment)),
                        several => words.extend(several.iter().map(|word| self.value(word))),
                    }
                }
                CommandPrefixOrSuffixItem::AssignmentWord(_, word) | CommandPrefixOrSuffixItem::Word(word) => {
                    words.extend(self.fields(&word.value));
                }
                CommandPrefixOrSuffixItem::ProcessSubstitution(_, shell) => {
                    self.subshell(|this| this.list(&shell.list));
                    words.push(Value::unknown());
                }
            }
        }
        if words.is_empty() {
            for assignment in assignments {
                if let Some(setting) = self.setting(assignment) {
                    self.apply(setting, false);
                }
            }
            let status = self.substituted.unwrap_or(Some(true));
            // `$(<file)`
            self.with_redirects(&redirects, |shell| {
                if !redirects.is_empty() {
                    let input = shell.input.take().unwrap_or_else(Value::unknown);
                    shell.print(&input);
                }
            });
            self.state.status = status;
            return;
        }
        let settings: Vec<Setting> = assignments.into_iter().filter_map(|one| self.setting(one)).collect();
        self.with_redirects(&redirects, |shell| shell.dispatch(&words, declared, settings, true));
    }

    fn setting(&mut self, assignment: &Assignment) -> Option<Setting> {
        let AssignmentName::VariableName(name) = &assignment.name else {
            if let AssignmentName::ArrayElementName(name, _) = &assignment.name {
                self.state.arrays.insert(name.clone(), vec![Value::unknown()]);
            }
            return None;
        };
        match &assignment.value {
            AssignmentValue::Scalar(word) => Some(Setting {
                name: name.clone(),
                value: Some(self.value(&word.value)),
                is_appended: assignment.append,
            }),
            AssignmentValue::Array(elements) => {
                let mut values: Vec<Value> = match self.state.arrays.get(name) {
                    Some(values) if assignment.append => values.clone(),
                    _ => Vec::new(),
                };
                for (key, word) in elements {
                    if key.is_some() {
                        values.push(Value::unknown());
                    } else {
                        values.extend(self.fields(&word.value));
                    }
                }
                self.state.variables.remove(name);
                self.state.arrays.insert(name.clone(), values);
                None
            }
        }
    }

    fn apply(&mut self, setting: Setting, is_exported: bool) {
        let name = setting.name.clone();
        // `export NAME` of a variable that is not set leaves it so.
        if let Some(value) = self.appended(setting).or_else(|| self.plain(&name)) {
            self.set(&name, value, is_exported);
        }
    }

    /// What a variable is set to; `None` if that is left open.
    fn appended(&self, setting: Setting) -> Option<Value> {
        let value = setting.value?;
        if !setting.is_appended {
            return Some(value);
        }
        let mut whole = self.plain(&setting.name).unwrap_or_default();
        whole.push(&value);
        Some(whole)
    }

    /// Carries out a command by its name. `settings` are the assignments before it.
    fn dispatch(&mut self, words: &[Value], declared: Vec<Setting>, settings: Vec<Setting>, has_functions: bool) {
        let Some((first, arguments)) = words.split_first() else {
            return;
        };
        if !CHANGERS.contains(&first.text.as_str()) {
            self.note(words);
        }
        let Some(name) = first.complete().map(ToOwned::to_owned) else {
            let environment = self.environment_with(settings);
            self.start(words, environment);
            return;
        };
        let function = self.state.functions.get(&name).filter(|_| has_functions).cloned();
        if let Some(function) = function {
            self.call_either(&function, words, declared, settings);
            return;
        }
        if name == "exec" {
            let environment = self.environment_with(settings);
            self.exec(arguments, environment);
        } else if let "command" | "builtin" = name.as_str() {
            self.command_by_name(arguments, declared, settings);
        } else if is_built_in(&name) {
            let lasts = self.is_posix && SPECIAL.contains(&name.as_str());
            self.with_settings(settings, lasts, |shell| shell.built_in(&name, arguments, declared));
        } else {
            let environment = self.environment_with(settings);
            self.external(words, environment);
        }
    }

    fn environment_with(&mut self, settings: Vec<Setting>) -> BTreeMap<String, Value> {
        let mut environment = self.exported();
        for setting in settings {
            let name = setting.name.clone();
            environment.extend(self.appended(setting).map(|value| (name, value)));
        }
        environment
    }

    /// Carries out something with variables that are set and exported for that long only, unless the setting lasts.
    fn with_settings(&mut self, settings: Vec<Setting>, lasts: bool, work: impl FnOnce(&mut Self)) {
        let mut before: Locals = BTreeMap::new();
        for setting in settings {
            before.insert(setting.name.clone(), self.outside(&setting.name));
            self.apply(setting, !lasts);
        }
        work(self);
        if !lasts {
            self.restore(before);
        }
    }

    fn restore(&mut self, before: Locals) {
        for (name, outside) in before {
            if outside.exported_later > Export::Never {
                self.state.exported_later.insert(name.clone(), outside.exported_later);
            }
            match outside.variable {
                Some(variable) => self.state.variables.insert(name, variable),
                None => self.state.variables.remove(&name),
            };
        }
    }

    fn outside(&self, name: &str) -> Outside {
        Outside {
            variable: self.state.variables.get(name).cloned(),
            exported_later: self.state.exported_later.get(name).copied().unwrap_or_default(),
        }
    }

    /// Calls a function; if it depends on a condition which one that is, whether it is there at all, or both, calls each.
    fn call_either(&mut self, function: &Function, words: &[Value], declared: Vec<Setting>, settings: Vec<Setting>) {
        let arguments = words.get(1..).unwrap_or_default();
        match function.bodies.split_first() {
            None => self.dispatch(words, declared, settings, false),
            Some((body, [])) if !function.may_be_missing => {
                self.with_settings(settings, false, |shell| shell.call(body, arguments));
            }
            Some((body, rest)) => {
                let others = Function {
                    bodies: rest.to_vec(),
                    ..*function
                };
                let these = settings.clone();
                self.fork(
                    |shell| shell.with_settings(these, false, |shell| shell.call(body, arguments)),
                    |shell| shell.call_either(&others, words, declared, settings),
                );
            }
        }
    }

    fn call(&mut self, function: &Rc<FunctionBody>, arguments: &[Value]) {
        if self.follows_all {
            let directory = &self.state.directory;
            let is_same = |(body, before, given): &(Rc<FunctionBody>, Value, Vec<Value>)| {
                Rc::ptr_eq(body, function) && before == directory && given == arguments
            };
            if self.called.iter().any(is_same) {
                return;
            }
            self.called
                .push((Rc::clone(function), directory.clone(), arguments.to_vec()));
        }
        let outer = std::mem::replace(&mut self.state.arguments, arguments.to_vec());
        self.locals.push(Locals::new());
        self.state.status = Some(true);
        self.redirected(function.1.as_ref(), |shell| {
            shell.nested(|shell| shell.compound(&function.0));
        });
        if let Some(locals) = self.locals.pop() {
            self.restore(locals);
        }
        self.state.arguments = outer;
        if self.state.flow == Flow::Return {
            self.state.flow = Flow::Next;
        }
    }

    fn exec(&mut self, arguments: &[Value], environment: BTreeMap<String, Value>) {
        let mut environment = environment;
        let mut rest = arguments;
        while let Some((option, after)) = rest.split_first() {
            match option.text.as_str() {
                "-c" => environment.clear(),
                "-l" | "--" => {}
                "-a" => {
                    rest = after.get(1..).unwrap_or_default();
                    continue;
                }
                _ => break,
            }
            rest = after;
        }
        // Without a command, only redirections are carried out.
        if rest.is_empty() {
            self.state.status = Some(true);
            return;
        }
        self.external(rest, environment);
        self.state.flow = Flow::Exit;
    }

    fn command_by_name(&mut self, arguments: &[Value], declared: Vec<Setting>, settings: Vec<Setting>) {
        let mut rest = arguments;
        let mut is_question = false;
        while let Some((option, after)) = rest.split_first()
            && option.text.starts_with('-')
            && option.text.len() > 1
        {
            is_question |= option.text.contains(['v', 'V']);
            rest = after;
        }
        if is_question {
            self.locate(rest);
        } else {
            self.dispatch(rest, declared, settings, false);
        }
    }

    /// `command -v`, `type` and `which`: where commands are.
    fn locate(&mut self, names: &[Value]) {
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
    fn built_in(&mut self, name: &str, arguments: &[Value], declared: Vec<Setting>) {
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
            "trap" if self.follows_all => {
                let action = arguments.iter().find(|word| !word.text.starts_with('-'));
                self.trapped.extend(action.map(|action| action.text.clone()));
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

    fn change_directory(&mut self, arguments: &[Value]) {
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
        if !self.follows_all {
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

    fn print_line(&mut self, value: &Value) {
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

    /// A program: the few that start another one, those that print what can be known, and all others.
    fn external(&mut self, words: &[Value], environment: BTreeMap<String, Value>) {
        let Some((program, arguments)) = words.split_first() else {
            return;
        };
        let name = program.text.rsplit('/').next().unwrap_or_default();
        if program.is_complete && name == "env" {
            self.env(arguments, environment);
            return;
        }
        if let Some((_, own, options)) = STARTERS
            .iter()
            .find(|(starter, ..)| program.is_complete && *starter == name)
        {
            let mut rest = arguments;
            while let Some((option, after)) = rest.split_first()
                && option.text.starts_with('-')
            {
                let taken = usize::from(options.contains(&option.text.as_str()));
                rest = after.get(taken..).unwrap_or_default();
            }
            let rest = rest.get(*own..).unwrap_or_default();
            self.nested(|shell| shell.external(rest, environment));
            return;
        }
        if program.is_complete && self.printed(name, arguments) {
            return;
        }
        self.start(words, environment);
    }

    /// `env` (coreutils' manual): the environment that it makes, and what it starts with it.
    fn env(&mut self, arguments: &[Value], environment: BTreeMap<String, Value>) {
        let mut environment = environment;
        let directory = self.state.directory.clone();
        let mut words: Vec<Value> = arguments.to_vec();
        let mut is_unknown = false;
        let mut at = 0;
        while let Some(word) = words.get(at).cloned() {
            let text = word.text.as_str();
            let next = words.get(at + 1).map(|word| word.text.clone()).unwrap_or_default();
            let mut taken = 1;
            match text {
                "-" | "-i" | "--ignore-environment" => environment.clear(),
                "-u" | "--unset" => {
                    environment.remove(&next);
                    taken = 2;
                }
                "-C" | "--chdir" => {
                    self.change_directory(&[Value::known(next)]);
                    taken = 2;
                }
                "-S" | "--split-string" => {
                    let split: Vec<Value> = next.split_whitespace().map(Value::known).collect();
                    words.splice(at..(at + 2).min(words.len()), split);
                    continue;
                }
                "--" | "-v" | "-0" | "--null" | "--debug" => {}
                _ if text.starts_with("--unset=") => {
                    environment.remove(&text["--unset=".len()..]);
                }
                _ if text.starts_with("-u") && word.is_complete => {
                    environment.remove(&text[2..]);
                }
                _ if text.starts_with("--chdir=") => {
                    self.change_directory(&[Value::known(&text["--chdir=".len()..])]);
                }
                _ if text.starts_with('-') => {}
                // It may be any number of assignments.
                "" if !word.is_complete => is_unknown = true,
                _ => match text.split_once('=') {
                    Some((name, value)) => {
                        let value = Value {
                            text: value.to_owned(),
                            is_complete: word.is_complete,
                        };
                        environment.insert(name.to_owned(), value);
                    }
                    None => break,
                },
            }
            at += taken;
        }
        let rest = words.get(at..).unwrap_or_default().to_vec();
        if rest.is_empty() {
            self.print(&Value::unknown());
        } else {
            self.note(&rest);
            self.with_cloud(is_unknown, |shell| shell.external(&rest, environment));
        }
        self.state.directory = directory;
    }

    /// Carries out something for which more may have changed than is known, if it may.
    fn with_cloud(&mut self, is_clouded: bool, work: impl FnOnce(&mut Self)) {
        let before = self.state.is_clouded;
        self.state.is_clouded |= is_clouded;
        self.nested(work);
        self.state.is_clouded = before;
    }

    /// Programs that print something about paths. Whether it was one that is known.
    fn printed(&mut self, name: &str, arguments: &[Value]) -> bool {
        let words: Vec<&Value> = arguments.iter().filter(|word| !word.text.starts_with('-')).collect();
        let has_options = words.len() < arguments.len();
        let first = words.first().map_or_else(Value::unknown, |word| (*word).clone());
        let value = match name {
            "dirname" if words.len() == 1 => first.complete().map(|path| Value::known(parent(path))),
            "basename" if !has_options => first.complete().and_then(|path| {
                let suffix = words.get(1).map_or(Some(""), |suffix| suffix.complete())?;
                Some(Value::known(last_name(path, suffix)))
            }),
            "readlink" | "realpath" if name == "realpath" || has_options => {
                let path = self.absolute(&first);
                path.map(|path| self.files.real(&path).map_or_else(Value::unknown, Value::known))
            }
            "cat" if words.is_empty() => self.input.take(),
            "cat" if words.len() == 1 => self.content(&first).map(|mut content| {
                content.text.truncate(content.text.trim_end_matches('\n').len());
                content
            }),
            "uname" if arguments.is_empty() || matches!(arguments, [one] if one.text == "-s") => {
                Some(Value::known("Linux"))
            }
            "which" => {
                self.locate(arguments);
                return true;
            }
            _ => return false,
        };
        if let Some(value) = value {
            self.print_line(&value);
        } else {
            self.print(&Value::unknown());
            self.state.status = None;
        }
        true
    }
}

fn status_of(value: &Value) -> Option<bool> {
    value.complete()?.parse::<u8>().ok().map(|status| status == 0)
}

/// What `dirname` prints.
fn parent(path: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    match trimmed.rfind('/') {
        _ if trimmed.is_empty() && !path.is_empty() => "/".to_owned(),
        None => ".".to_owned(),
        Some(end) => match trimmed[..end].trim_end_matches('/') {
            "" => "/".to_owned(),
            parent => parent.to_owned(),
        },
    }
}

/// What `basename` prints.
fn last_name<'a>(path: &'a str, suffix: &str) -> &'a str {
    let trimmed = path.trim_end_matches('/');
    let name = match trimmed.rsplit('/').next() {
        Some("") | None if path.starts_with('/') => "/",
        Some(name) => name,
        None => "",
    };
    match name.strip_suffix(suffix) {
        Some(stem) if !stem.is_empty() => stem,
        _ => name,
    }
}

/// What bash and POSIX shells have built in.
pub(super) fn is_built_in(name: &str) -> bool {
    super::commands::BUILTIN_COMMANDS.contains(&name)
}
