; Libraries that JavaScript code opens by name. `src/source/opens.rs` says what the captures mean.

; https://koffi.dev/functions, "Loading libraries"
((call_expression function: (member_expression object: (_) @object property: (property_identifier) @property) arguments: (arguments) @names) @open
  (#match? @object "koffi")
  (#eq? @property "load")
  (#set! names "file"))
; Node.js documentation, process.dlopen(module, filename)
((call_expression function: (_) @function arguments: (arguments) @names) @open
  (#match? @function "(^|[.])dlopen$")
  (#set! names "file"))
; ffi-napi, lib/library.js: a name without an ending gets the system's.
((call_expression function: (_) @function arguments: (arguments) @names) @open
  (#match? @function "^_?ffi[A-Za-z]*[.]Library$")
  (#set! names "whole"))
((new_expression constructor: (_) @function arguments: (arguments) @names) @open
  (#match? @function "^_?ffi[A-Za-z]*[.](Library|DynamicLibrary)$|^DynamicLibrary$")
  (#set! names "whole"))

(string (string_fragment) @content) @text
(template_string (string_fragment) @content) @text
(template_string (template_substitution)) @computed
[(arguments) (array) (parenthesized_expression) (ternary_expression)] @clear
(binary_expression operator: ["||" "??"]) @clear
[(object) (null) (number)] @aside
(ternary_expression condition: (_) @aside)

(identifier) @name
(variable_declarator name: (identifier) @variable value: (_) @value)
(variable_declarator name: (identifier) @variable !value)
(assignment_expression left: (identifier) @variable right: (_) @value)
(augmented_assignment_expression left: (identifier) @variable)
(for_in_statement left: (identifier) @variable right: (_) @value)
(formal_parameters (identifier) @variable)
(arrow_function parameter: (identifier) @variable)

[(try_statement) (for_in_statement) (ternary_expression)] @group
(binary_expression operator: ["||" "??"]) @group
(if_statement alternative: (_)) @group

(try_statement body: (_) @guarded handler: (_))
(try_statement body: (_) @unguarded handler: (catch_clause body: (statement_block (throw_statement))))
((for_in_statement body: (statement_block (try_statement body: (_) @unguarded))) . (throw_statement))
((for_in_statement body: (statement_block (try_statement body: (_) @unguarded))) . (if_statement consequence: [(throw_statement) (statement_block (throw_statement))]))

; Code for other systems.
((if_statement condition: (_) @condition consequence: (_) @skipped)
  (#match? @condition "(?i)win(32|dows)|darwin|macos|osx")
  (#not-match? @condition "!=|\\(!"))
((if_statement condition: (_) @condition alternative: (_) @skipped)
  (#match? @condition "(?i)win(32|dows)|darwin|macos|osx")
  (#match? @condition "!=|\\(!"))
((if_statement condition: (_) @condition alternative: (_) @skipped)
  (#match? @condition "(?i)linux")
  (#not-match? @condition "!=|\\(!"))
((if_statement condition: (_) @condition consequence: (_) @skipped)
  (#match? @condition "!==? *[\"']linux"))
((ternary_expression condition: (_) @condition consequence: (_) @skipped)
  (#match? @condition "(?i)win(32|dows)|darwin|macos|osx")
  (#not-match? @condition "!="))
((switch_case value: (_) @condition) @skipped
  (#match? @condition "(?i)win(32|dows)|darwin|macos|bsd|aix|sunos"))
