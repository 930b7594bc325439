//! Simple commands (POSIX.1-2017, Shell Command Language, section 2.9.1): assignments, words and redirections, and what carries them
//! out: a function, a built-in command or a program.

use std::collections::BTreeMap;
use std::rc::Rc;

use brush_parser::ast::{
    Assignment, AssignmentName, AssignmentValue, CommandPrefixOrSuffixItem, FunctionBody, IoRedirect, SimpleCommand,
};

use super::builtin::is_built_in;
use super::run::Shell;
use super::state::{Flow, Function};
use super::value::{Export, Locals, Outside, Setting, Value};

/// Built-in commands of which assignments are arguments that are not split (bash's manual, "Simple Commands").
const DECLARATIONS: [&str; 5] = ["export", "readonly", "declare", "typeset", "local"];
/// The special built-in commands: in POSIX mode, an assignment before one of them lasts (POSIX.1-2017, section 2.14).
const SPECIAL: [&str; 15] = [
    ".", ":", "break", "continue", "eval", "exec", "exit", "export", "readonly", "return", "set", "shift", "times",
    "trap", "unset",
];
/// The built-in commands that change the directory.
const CHANGERS: [&str; 2] = ["cd", "pushd"];

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

    pub(super) fn apply(&mut self, setting: Setting, is_exported: bool) {
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
    pub(super) fn dispatch(
        &mut self,
        words: &[Value],
        declared: Vec<Setting>,
        settings: Vec<Setting>,
        has_functions: bool,
    ) {
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

    pub(super) fn restore(&mut self, before: Locals) {
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

    pub(super) fn outside(&self, name: &str) -> Outside {
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
        if let Some(survey) = &mut self.survey
            && survey.is_known_call(function, &self.state.directory, arguments)
        {
            return;
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
}
