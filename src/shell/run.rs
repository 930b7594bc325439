//! Carries a script out as far as that is possible without running anything (POSIX.1-2017, Shell Command Language, and
//! bash's manual): variables, conditions, functions, and which programs it starts with which environment.
//!
//! A condition that cannot be known is both true and false: both branches are followed, and what differs after them is a
//! value that is not complete.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use brush_parser::ast::{
    AndOr, AndOrList, ArithmeticForClauseCommand, CaseItem, CaseItemPostAction, Command, CompoundCommand, CompoundList,
    ElseClause, IoFileRedirectKind, IoFileRedirectTarget, IoRedirect, Pipeline, Program, RedirectList,
    SeparatorOperator, UnexpandedArithmeticExpr,
};

use super::state::{Flow, Function, Patterns, State, Status, joined};
use super::survey::{MOST_STEPS_OF_SURVEY, Survey};
use super::value::{Export, Locals, Value, Variable};
use super::{Files, NamedWord, Script, Start, Started, parse};

/// What bounds the work on a hostile script: commands carried out, how deep functions, substitutions and branches nest, turns of
/// a loop, processes that are told of, variables, and bytes in all variables.
const MOST_STEPS: usize = 20_000;
const DEEPEST: usize = 100;
const MOST_TURNS: usize = 64;
const MOST_STARTED: usize = 256;
const MOST_VARIABLES: usize = 1000;
const MOST_BYTES: usize = 256 << 10;
/// How many patterns of paths are looked up in one script; people write two or three.
pub(super) const MOST_GLOBS: usize = 64;

pub(super) struct Shell<'f> {
    pub(super) files: &'f dyn Files,
    pub(super) state: State,
    pub(super) started: Vec<Started>,
    pub(super) read: BTreeSet<String>,
    /// What the script may do in any way, if that is of interest and not what it does.
    pub(super) survey: Option<Survey>,
    /// What commands print, while it is of interest.
    pub(super) output: Option<Value>,
    /// What the command that is carried out reads, if it is known.
    pub(super) input: Option<Value>,
    pub(super) is_posix: bool,
    /// The status of the last command substitution of the command that is carried out.
    pub(super) substituted: Option<Status>,
    /// What the functions that are being called have of their own, and how many files are being sourced.
    pub(super) locals: Vec<Locals>,
    pub(super) sourced: usize,
    /// How many of the conditions around are not known.
    uncertain: usize,
    /// How many commands around have a status that is looked at: `set -e` does not count there.
    conditions: usize,
    steps: usize,
    depth: usize,
    /// How many patterns of paths were looked up.
    pub(super) globs: usize,
}

impl<'f> Shell<'f> {
    pub(super) fn new(start: &Start<'_>, is_posix: bool, files: &'f dyn Files) -> Self {
        let mut variables: BTreeMap<String, Variable> = start
            .environment
            .iter()
            .map(|(name, value)| {
                let variable = Variable {
                    value: value.clone(),
                    export: Export::Always,
                };
                (name.clone(), variable)
            })
            .collect();
        variables.entry("PWD".to_owned()).or_default().value = start.directory.clone();
        let name = Value::known(start.path);
        Self {
            files,
            state: State {
                variables,
                arrays: BTreeMap::new(),
                functions: BTreeMap::new(),
                exported_later: BTreeMap::new(),
                directory: start.directory.clone(),
                left_directories: Vec::new(),
                source: name.clone(),
                name,
                arguments: start.arguments.to_vec(),
                status: Some(true),
                flow: Flow::Next,
                exports_all: Export::Never,
                exits_on_error: false,
                patterns: Patterns::Expanded,
                is_clouded: false,
            },
            started: Vec::new(),
            read: BTreeSet::new(),
            survey: None,
            output: None,
            input: None,
            is_posix,
            substituted: None,
            locals: Vec::new(),
            sourced: 0,
            uncertain: 0,
            conditions: 0,
            steps: 0,
            depth: start.depth,
            globs: 0,
        }
    }

    /// Carries out a text; what of it cannot be parsed may change anything.
    pub(super) fn text(&mut self, text: &str) {
        match parse::program(text, self.is_posix) {
            Some((program, is_whole)) => {
                self.program(&program);
                self.state.is_clouded |= !is_whole && self.state.flow == Flow::Next;
            }
            None => self.state.is_clouded = true,
        }
    }

    pub(super) fn program(&mut self, program: &Program) {
        for list in &program.complete_commands {
            if self.state.flow == Flow::Next {
                self.list(list);
            }
        }
    }

    fn most_steps(&self) -> usize {
        if self.follows_all_ways() {
            MOST_STEPS_OF_SURVEY
        } else {
            MOST_STEPS
        }
    }

    /// Whether both ways of every condition are followed.
    pub(super) fn follows_all_ways(&self) -> bool {
        self.survey.is_some()
    }

    /// Carries out a text in all ways, and then what of it nothing in it may have called: functions, and what is trapped. Words
    /// that were found before are `named`.
    pub(super) fn follow_all_ways(&mut self, text: &str, named: BTreeSet<NamedWord>) {
        self.survey = Some(Survey::from(named));
        self.text(text);
        let functions: Vec<Function> = self.state.functions.values().cloned().collect();
        for body in functions.iter().flat_map(|function| &function.bodies) {
            if !self.survey.as_ref().is_some_and(|survey| survey.was_called(body)) {
                self.state.flow = Flow::Next;
                self.subshell(|shell| shell.compound(&body.0));
            }
        }
        let trapped = self.survey.as_mut().map(Survey::take_trapped);
        for text in trapped.unwrap_or_default() {
            self.state.flow = Flow::Next;
            self.subshell(|shell| shell.text(&text));
        }
    }

    /// Keeps the words of a command, if they are of interest.
    pub(super) fn note(&mut self, words: &[Value]) {
        if let Some(survey) = &mut self.survey {
            survey.note(&self.state.directory, words);
        }
    }

    /// Carries out something that nests, unless it nests too deep.
    pub(super) fn nested(&mut self, work: impl FnOnce(&mut Self)) {
        if self.depth >= DEEPEST || self.steps >= self.most_steps() {
            self.state.is_clouded = true;
            self.state.status = None;
            return;
        }
        self.depth += 1;
        work(self);
        self.depth -= 1;
    }

    pub(super) fn list(&mut self, list: &CompoundList) {
        for item in &list.0 {
            if self.state.flow != Flow::Next {
                break;
            }
            match item.1 {
                SeparatorOperator::Async => {
                    self.subshell(|shell| shell.and_or(&item.0));
                    self.state.status = Some(true);
                }
                SeparatorOperator::Sequence => self.and_or(&item.0),
            }
        }
    }

    fn and_or(&mut self, list: &AndOrList) {
        let count = list.additional.len();
        self.element(&list.first, count == 0);
        for (number, next) in list.additional.iter().enumerate() {
            if self.state.flow != Flow::Next {
                break;
            }
            let (pipeline, wanted) = match next {
                AndOr::And(pipeline) => (pipeline, true),
                AndOr::Or(pipeline) => (pipeline, false),
            };
            let is_last = number + 1 == count;
            match self.state.status {
                Some(status) if status == wanted => self.element(pipeline, is_last),
                Some(_) => {}
                None => self.fork(
                    |shell| shell.element(pipeline, is_last),
                    |shell| shell.state.status = Some(!wanted),
                ),
            }
        }
    }

    /// A pipeline of a list. The last one of it ends the script if it fails and `set -e` holds.
    fn element(&mut self, pipeline: &Pipeline, is_last: bool) {
        if is_last && !pipeline.bang {
            self.pipeline(pipeline);
            if self.state.exits_on_error && self.conditions == 0 && self.state.status == Some(false) {
                self.state.flow = Flow::Exit;
            }
        } else {
            self.conditions += 1;
            self.pipeline(pipeline);
            self.conditions -= 1;
        }
    }

    fn pipeline(&mut self, pipeline: &Pipeline) {
        self.steps += 1;
        if let [command] = pipeline.seq.as_slice() {
            self.command(command);
        } else {
            // `time` alone is a pipeline without a command.
            let last = pipeline.seq.len().saturating_sub(1);
            let mut input = self.input.take();
            for (number, command) in pipeline.seq.iter().enumerate() {
                let output = self.output.take();
                self.output = if number == last {
                    output.clone()
                } else {
                    Some(Value::default())
                };
                self.input = input.take();
                self.subshell(|shell| shell.command(command));
                if number < last {
                    input = self.output.take();
                    self.output = output;
                }
            }
            self.input = None;
        }
        if pipeline.bang {
            self.state.status = self.state.status.map(|status| !status);
        }
        if self.follows_all_ways() {
            self.state.status = None;
        }
    }

    /// Carries out something on a copy of the state.
    pub(super) fn subshell(&mut self, work: impl FnOnce(&mut Self)) {
        let before = self.state.clone();
        self.nested(work);
        let status = self.state.status;
        self.state = before;
        self.state.status = status;
    }

    /// Carries out two things of which only one happens.
    pub(super) fn fork(&mut self, one: impl FnOnce(&mut Self), other: impl FnOnce(&mut Self)) {
        let before = self.state.clone();
        let output = self.output.clone();
        self.uncertain += 1;
        self.nested(one);
        let first = std::mem::replace(&mut self.state, before);
        let first_output = std::mem::replace(&mut self.output, output);
        self.nested(other);
        self.uncertain -= 1;
        let second = std::mem::replace(&mut self.state, first.clone());
        self.state = joined(first, second);
        self.output = match (first_output, self.output.take()) {
            (Some(first), Some(second)) => Some(first.either(second)),
            _ => None,
        };
    }

    fn command(&mut self, command: &Command) {
        if self.steps >= self.most_steps() {
            self.state.is_clouded = true;
            self.state.flow = Flow::Exit;
            return;
        }
        match command {
            Command::Simple(command) => self.nested(|shell| shell.simple(command)),
            Command::Compound(command, redirects) => {
                self.redirected(redirects.as_ref(), |shell| {
                    shell.nested(|shell| shell.compound(command));
                });
            }
            Command::Function(function) => {
                let known = Function {
                    bodies: vec![Rc::new(function.body.clone())],
                    may_be_missing: false,
                };
                self.state.functions.insert(function.fname.value.clone(), known);
                self.state.status = Some(true);
            }
            Command::ExtendedTest(test, _) => self.state.status = self.extended_test(&test.expr),
        }
    }

    pub(super) fn compound(&mut self, command: &CompoundCommand) {
        match command {
            CompoundCommand::BraceGroup(group) => self.list(&group.list),
            CompoundCommand::Subshell(shell) => self.subshell(|this| this.list(&shell.list)),
            CompoundCommand::IfClause(clause) => {
                let elses = clause.elses.as_deref().unwrap_or_default();
                self.branch(&clause.condition, &clause.then, elses);
            }
            CompoundCommand::CaseClause(clause) => {
                let value = self.value(&clause.value.value);
                self.case(&value, &clause.cases);
            }
            CompoundCommand::WhileClause(clause) => self.repeat(&clause.0, &clause.1.list, true),
            CompoundCommand::UntilClause(clause) => self.repeat(&clause.0, &clause.1.list, false),
            CompoundCommand::ForClause(clause) => {
                let values = match &clause.values {
                    Some(words) => words.iter().flat_map(|word| self.fields(&word.value)).collect(),
                    None => self.state.arguments.clone(),
                };
                self.each(&clause.variable_name, &values, &clause.body.list);
            }
            CompoundCommand::Arithmetic(command) => {
                let value = self.arithmetic(&command.expr.value);
                self.state.status = value.map(|value| value != 0);
            }
            CompoundCommand::ArithmeticForClause(clause) => self.count(clause),
            CompoundCommand::Coprocess(command) => {
                self.subshell(|shell| shell.command(&command.body));
                self.state.status = Some(true);
            }
        }
    }

    fn condition(&mut self, condition: &CompoundList) -> Status {
        self.conditions += 1;
        self.list(condition);
        self.conditions -= 1;
        self.state.status
    }

    fn branch(&mut self, condition: &CompoundList, then: &CompoundList, elses: &[ElseClause]) {
        let (mut condition, mut then, mut elses) = (condition, then, elses);
        loop {
            let status = self.condition(condition);
            if self.state.flow != Flow::Next {
                return;
            }
            match status {
                Some(true) => return self.list(then),
                Some(false) => match elses.split_first() {
                    None => {
                        self.state.status = Some(true);
                        return;
                    }
                    Some((next, rest)) => match &next.condition {
                        None => return self.list(&next.body),
                        Some(next_condition) => (condition, then, elses) = (next_condition, &next.body, rest),
                    },
                },
                None => {
                    return self.fork(
                        |shell| shell.list(then),
                        |shell| match elses.split_first() {
                            None => shell.state.status = Some(true),
                            Some((next, rest)) => match &next.condition {
                                None => shell.list(&next.body),
                                Some(condition) => shell.branch(condition, &next.body, rest),
                            },
                        },
                    );
                }
            }
        }
    }

    fn case(&mut self, value: &Value, items: &[CaseItem]) {
        let mut falls_through = false;
        self.state.status = Some(true);
        for (number, item) in items.iter().enumerate() {
            let matching = if falls_through {
                Some(true)
            } else {
                self.matches_any(value, item)
            };
            match matching {
                Some(false) => {}
                Some(true) => {
                    if let Some(list) = &item.cmd {
                        self.list(list);
                    }
                    match item.post_action {
                        CaseItemPostAction::ExitCase => return,
                        CaseItemPostAction::UnconditionallyExecuteNextCaseItem => falls_through = true,
                        CaseItemPostAction::ContinueEvaluatingCases => falls_through = false,
                    }
                    if self.state.flow != Flow::Next {
                        return;
                    }
                }
                None => {
                    let body = |shell: &mut Self| item.cmd.iter().for_each(|list| shell.list(list));
                    return self.fork(body, |shell| shell.case(value, &items[number + 1..]));
                }
            }
        }
    }

    fn matches_any(&mut self, value: &Value, item: &CaseItem) -> Option<bool> {
        let mut answer = Some(false);
        for word in &item.patterns {
            match self.matches_pattern(value, &word.value) {
                Some(true) => return Some(true).filter(|_| !self.follows_all_ways()),
                Some(false) => {}
                None => answer = None,
            }
        }
        answer.filter(|_| !self.follows_all_ways())
    }

    fn repeat(&mut self, condition: &CompoundList, body: &CompoundList, wanted: bool) {
        let mut status = Some(true);
        for turn in 0.. {
            let before = self.state.variables.clone();
            let holds = self.condition(condition).map(|holds| holds == wanted);
            if self.state.flow != Flow::Next || holds == Some(false) {
                break;
            }
            if holds.is_none() {
                self.fork(|shell| shell.list(body), |_| ());
                self.leave_loop();
                break;
            }
            self.list(body);
            status = self.state.status;
            if self.leave_loop() || self.state.flow != Flow::Next {
                break;
            }
            // A loop that nothing changes ends for a reason that is not seen here.
            if before == self.state.variables {
                break;
            }
            if turn == MOST_TURNS {
                self.state.is_clouded = true;
                break;
            }
        }
        self.state.status = status;
    }

    /// `for ((…; …; …))`
    fn count(&mut self, clause: &ArithmeticForClauseCommand) {
        let part = |shell: &mut Self, part: &Option<UnexpandedArithmeticExpr>| match part {
            // A condition that is left out holds.
            None => Some(1),
            Some(part) => shell.arithmetic(&part.value),
        };
        part(self, &clause.initializer);
        self.state.status = Some(true);
        for turn in 0.. {
            match part(self, &clause.condition) {
                Some(0) => break,
                Some(_) if turn < MOST_TURNS => self.list(&clause.body.list),
                _ => {
                    for part in [&clause.condition, &clause.updater].into_iter().flatten() {
                        self.forget_assigned(&part.value);
                    }
                    self.fork(|shell| shell.list(&clause.body.list), |_| ());
                    self.leave_loop();
                    break;
                }
            }
            if self.leave_loop() || self.state.flow != Flow::Next {
                break;
            }
            part(self, &clause.updater);
        }
    }

    fn each(&mut self, name: &str, values: &[Value], body: &CompoundList) {
        self.state.status = Some(true);
        for (turn, value) in values.iter().enumerate() {
            if turn == MOST_TURNS {
                self.state.is_clouded = true;
                break;
            }
            self.set(name, value.clone(), false);
            if value.is_complete {
                self.list(body);
            } else {
                // There may be no such word, or several.
                self.fork(|shell| shell.list(body), |_| ());
            }
            if self.leave_loop() || self.state.flow != Flow::Next {
                break;
            }
        }
    }

    /// After a turn of a loop: whether the loop is over because of `break`, or of `continue` for a loop further out.
    fn leave_loop(&mut self) -> bool {
        let (flow, is_over) = match self.state.flow {
            Flow::Break(levels) if levels > 1 => (Flow::Break(levels - 1), true),
            Flow::Break(_) => (Flow::Next, true),
            Flow::Continue(levels) if levels > 1 => (Flow::Continue(levels - 1), true),
            Flow::Continue(_) => (Flow::Next, false),
            other => (other, false),
        };
        self.state.flow = flow;
        is_over
    }

    /// Carries out something of which the output may go to a file, and the input come from a here-document.
    pub(super) fn redirected(&mut self, redirects: Option<&RedirectList>, work: impl FnOnce(&mut Self)) {
        let redirects: Vec<&IoRedirect> = redirects.iter().flat_map(|list| &list.0).collect();
        self.with_redirects(&redirects, work);
    }

    pub(super) fn with_redirects(&mut self, redirects: &[&IoRedirect], work: impl FnOnce(&mut Self)) {
        let mut takes_output = false;
        for redirect in redirects {
            match redirect {
                IoRedirect::File(descriptor, kind, target) => match kind {
                    IoFileRedirectKind::Write
                    | IoFileRedirectKind::Append
                    | IoFileRedirectKind::Clobber
                    | IoFileRedirectKind::DuplicateOutput => takes_output |= descriptor.unwrap_or(1) == 1,
                    IoFileRedirectKind::Read => {
                        self.input = match target {
                            IoFileRedirectTarget::Filename(name) => {
                                let path = self.value(&name.value);
                                self.note(std::slice::from_ref(&path));
                                self.content(&path)
                            }
                            _ => None,
                        };
                    }
                    _ => {}
                },
                IoRedirect::HereDocument(_, document) => {
                    let input = if document.requires_expansion {
                        self.here_document(&document.doc.value)
                    } else {
                        Value::known(document.doc.value.clone())
                    };
                    self.note(std::slice::from_ref(&input));
                    self.input = Some(input);
                }
                IoRedirect::HereString(_, text) => {
                    let mut input = self.value(&text.value);
                    input.push_str("\n");
                    self.input = Some(input);
                }
                IoRedirect::OutputAndError(..) => takes_output = true,
            }
        }
        if takes_output {
            let output = self.output.take();
            work(self);
            self.output = output;
        } else {
            work(self);
        }
        if !redirects.is_empty() {
            self.input = None;
        }
    }

    /// What a file holds, if that is known.
    pub(super) fn content(&self, path: &Value) -> Option<Value> {
        let path = self.absolute(path)?;
        self.files.text(&path).map(Value::known)
    }

    /// A path by its absolute name.
    pub(super) fn absolute(&self, path: &Value) -> Option<String> {
        let path = path.complete()?;
        if path.starts_with('/') {
            return Some(normal(path));
        }
        let directory = self.state.directory.complete()?;
        Some(normal(&format!("{directory}/{path}")))
    }

    /// Sets a variable, as long as there are not too many.
    pub(super) fn set(&mut self, name: &str, value: Value, is_exported: bool) {
        let all = &mut self.state.variables;
        let bytes: usize = all.values().map(|variable| variable.value.text.len()).sum();
        let is_known = all.contains_key(name);
        if (all.len() >= MOST_VARIABLES && !is_known) || bytes + value.text.len() > MOST_BYTES {
            self.state.is_clouded = true;
            return;
        }
        let later = self.state.exported_later.remove(name).unwrap_or_default();
        let asked = if is_exported { Export::Always } else { Export::Never };
        let variable = all.entry(name.to_owned()).or_default();
        variable.value = value;
        variable.export = variable.export.max(asked).max(later).max(self.state.exports_all);
        self.state.arrays.remove(name);
    }

    /// The environment of a process that is started here.
    pub(super) fn exported(&self) -> BTreeMap<String, Value> {
        let variables = self.state.variables.iter();
        variables
            .filter(|(_, variable)| variable.export > Export::Never)
            .map(|(name, variable)| {
                let mut value = variable.value.clone();
                value.is_complete &= variable.export == Export::Always;
                (name.clone(), value)
            })
            .collect()
    }

    /// Notes that a program is started and, if it is a shell script that can be read, carries that out, too.
    pub(super) fn start(&mut self, words: &[Value], environment: BTreeMap<String, Value>) {
        self.state.status = None;
        if let Some(output) = &mut self.output {
            output.is_complete = false;
        }
        let Some((program, arguments)) = words.split_first() else {
            return;
        };
        let program = self.find_program(program, &environment);
        let started = Started {
            program,
            arguments: arguments.to_vec(),
            environment,
            directory: self.state.directory.clone(),
            is_certain: self.uncertain == 0,
            is_complete: !self.state.is_clouded,
            by: self.state.source.text.clone(),
        };
        if self.started.len() >= MOST_STARTED || self.started.contains(&started) {
            return;
        }
        self.started.push(started.clone());
        self.nested(|shell| shell.follow(&started));
        // Programs such as su carry out a word as commands.
        let may_be_commands = |word: &&Value| self.follows_all_ways() && super::may_change_directory(&word.text);
        for text in arguments.iter().filter(may_be_commands).collect::<Vec<_>>() {
            self.subshell(|shell| shell.text(&text.text));
        }
    }

    fn follow(&mut self, started: &Started) {
        let Some(program) = started.program.complete() else {
            return;
        };
        let mut arguments = started.arguments.as_slice();
        let name = program.rsplit('/').next().unwrap_or_default();
        let script = if super::is_shell(name) {
            // Options such as -e come before the script.
            while arguments
                .first()
                .is_some_and(|word| word.text.starts_with('-') && !takes_text(&word.text))
            {
                arguments = &arguments[1..];
            }
            match arguments.split_first() {
                Some((word, rest)) if takes_text(&word.text) => {
                    let Some((text, rest)) = rest.split_first() else { return };
                    let Some(text) = text.complete() else { return };
                    let arguments = rest.get(1..).unwrap_or_default();
                    let zero = rest.first().and_then(Value::complete).unwrap_or(program);
                    self.follow_text(text, name != "bash", zero, arguments, started);
                    return;
                }
                Some((word, rest)) => {
                    arguments = rest;
                    self.absolute(word)
                }
                // Without a script, a shell reads one from its input.
                None => {
                    let input = self.input.take();
                    let Some(text) = input.as_ref().and_then(Value::complete) else {
                        return;
                    };
                    self.follow_text(text, name != "bash", program, &[], started);
                    return;
                }
            }
        } else {
            Some(program.to_owned())
        };
        let Some(path) = script else { return };
        let Some(text) = self.files.text(&path) else { return };
        let Some(script) = Script::of(&text) else { return };
        self.read.insert(path.clone());
        self.follow_text(&text, script.is_posix, &path, arguments, started);
    }

    fn follow_text(&mut self, text: &str, is_posix: bool, path: &str, arguments: &[Value], started: &Started) {
        let start = Start {
            path,
            arguments,
            directory: started.directory.clone(),
            environment: &started.environment,
            depth: self.depth,
        };
        let mut inner = Shell::new(&start, is_posix, self.files);
        inner.state.is_clouded = !started.is_complete;
        inner.uncertain = self.uncertain;
        inner.steps = self.steps;
        inner.globs = self.globs;
        inner.started = std::mem::take(&mut self.started);
        inner.read = std::mem::take(&mut self.read);
        if let Some(survey) = &mut self.survey {
            inner.follow_all_ways(text, std::mem::take(&mut survey.named));
        } else {
            inner.text(text);
        }
        self.steps = inner.steps;
        self.globs = inner.globs;
        self.started = inner.started;
        self.read = inner.read;
        if let (Some(survey), Some(inner)) = (&mut self.survey, inner.survey) {
            survey.named = inner.named;
        }
    }

    /// A program by its absolute path, if a file of this name is known on the search path.
    fn find_program(&self, program: &Value, environment: &BTreeMap<String, Value>) -> Value {
        if program.text.contains('/') {
            return self.absolute(program).map_or_else(|| program.clone(), Value::known);
        }
        let Some(name) = program.complete() else {
            return program.clone();
        };
        let path = environment.get("PATH").map_or("", |path| path.text.as_str());
        self.on_path(name, path, true)
            .map_or_else(|| program.clone(), Value::known)
    }

    /// The first file of this name in the directories of a search path, or the first that can be executed.
    pub(super) fn on_path(&self, name: &str, path: &str, executed: bool) -> Option<String> {
        let directories = path.split(':').filter(|directory| directory.starts_with('/'));
        let mut candidates = directories.map(|directory| normal(&format!("{directory}/{name}")));
        candidates.find(|path| {
            matches!(self.files.kind(path), Some(super::FileKind::File { is_executable }) if is_executable || !executed)
        })
    }

    /// What a variable was set to.
    pub(super) fn plain(&self, name: &str) -> Option<Value> {
        self.state.variables.get(name).map(|variable| variable.value.clone())
    }

    /// The characters at which words are split.
    pub(super) fn separators(&self) -> String {
        self.plain("IFS").map_or_else(|| " \t\n".to_owned(), |value| value.text)
    }

    /// Prints something, if somebody looks.
    pub(super) fn print(&mut self, value: &Value) {
        if let Some(output) = &mut self.output {
            output.push(value);
        }
        self.state.status = Some(true);
    }

    /// Where the value of variables is not known any more because an expression assigns to them.
    pub(super) fn forget_assigned(&mut self, expression: &str) {
        if expression.contains('=') || expression.contains("++") || expression.contains("--") {
            for name in super::names_in(expression) {
                self.set(name, Value::unknown(), false);
            }
        }
    }
}

/// Whether an option of a shell says that its next word is the text to carry out: `-c`, also behind other letters.
fn takes_text(option: &str) -> bool {
    !option.starts_with("--") && option.strip_prefix('-').is_some_and(|letters| letters.contains('c'))
}

/// An absolute path without `.`, `..` and empty names, as `cd -L` and `pwd -L` have it.
pub(super) fn normal(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    format!("/{}", names.join("/"))
}
